#!/usr/bin/env bats
# Tunnels of heterogeneous jobs, whose components are jobs of their own to Slurm.

load helpers

# By itself a tunnel ends some seconds after its job.
teardown() {
    as user1 rm -f het.sh go
    as user1 spunnelctl close --all
    clean_up
}

# submit SBATCH-ARGUMENT...: a job of two components, first n2 and then n1, with a service on each; prints
# its number.
submit() {
    not_under nohome "no folder for a script"
    as user1 tee het.sh >"$BATS_TEST_TMPDIR/script" <<'SCRIPT'
#!/bin/sh
#SBATCH --nodelist=n2
#SBATCH hetjob
#SBATCH --nodelist=n1
srun --het-group=0,1 /home/tools/service.py 8000
SCRIPT
    as user1 sbatch --parsable --output /dev/null "$@" het.sh 2>"$BATS_TEST_TMPDIR/said"
}

# carries PORT: do bytes arrive unchanged, both ways?
carries() {
    answers same user1 "$1" source 1000000
    answers same user1 "$1" sum 1000000
}

@test "spunnelctl open reaches the component that is meant, and no other" {
    local job
    job=$(submit)
    eventually runs "$job+1"
    as user1 spunnelctl open --background "$job+1" 8001:8000
    as user1 spunnelctl open --background "$job+0" 8002:8000
    as user1 spunnelctl open --background "$job" 8003:8000
    eventually answers n1:8000 user1 8001 name
    answers n2:8000 user1 8002 name
    answers n2:8000 user1 8003 name
    carries 8001
    run as user1 spunnelctl open "$job+2" 8004:8000
    same 1 "$status"
    same 1 "${#lines[@]}"
    holds "spunnelctl: find job '$job+2': Slurm has no such job now"
    as user1 spunnelctl close "$((job + 1))"
    frees 8001
    answers n2:8000 user1 8002 name
}

@test "sbatch: the tunnel leads into the first component, and an srun in the script for both opens none" {
    local job
    job=$(submit --tunnel 8001:8000)
    same "spunnel: localhost:8001 -> port 8000 of job $job, while it runs" "$(output said | head -n 1)"
    eventually answers n2:8000 user1 8001 name
    carries 8001
    same "" "$(host n2 root find /tmp -maxdepth 1 -name 'spunnel-*')"
}

@test "salloc: an srun for one component has its tunnel, and one for both has one in all" {
    local one
    not_under nohome "no folder to wait for a file in"
    # shellcheck disable=SC2016 # expanded in the allocation
    start a user1 salloc --tunnel 8001:8000 -w n2 : -w n1 sh -c '
        srun --het-group=1 /home/tools/service.py 8000 &
        until [ -e go ]; do sleep 0.1; done
        srun --overlap --het-group=0,1 hostname; echo "beside: $?"
        srun --overlap --het-group=0,1 --tunnel 8002:8000 hostname; echo "its own: $?"
        kill $!; wait
        srun --het-group=0,1 hostname; echo "both: $?"'
    eventually says a serving
    answers n1:8000 user1 8001 name
    carries 8001
    as user1 touch go
    finish a
    # Its ports are held by the other one: that is said once, and is no error.
    says a "beside: 0"
    same 1 "$(grep -c "spunnel: .*8001 is held by your own tunnel" <(output a))"
    says a "its own: 0"
    same 1 "$(grep -c '^spunnel: localhost:8002 -> ' <(output a))"
    says a "both: 0"
    # The first of the two to get there.
    one=$(sed -n 's/^spunnel: localhost:8001 -> //p' <(output a))
    [[ $one == $'n1:8000\n'n[12]:8000 ]]
    nothing_left
}
