#!/usr/bin/env bats
# sbatch --tunnel: a port of the login host for as long as the job is queued and runs, whoever has
# logged out meanwhile.

load helpers

teardown() {
    service login slurmctld start
    service login sshd start
    # By itself a tunnel ends some seconds after its job.
    as user1 spunnelctl close --all
    clean_up
}

# submit SBATCH-ARGUMENT...: queues a job of user1 whose first node serves port 8000; prints its
# number. What else sbatch said is the output of `said`.
submit() {
    as user1 sbatch --parsable --output /dev/null "$@" --wrap 'exec /home/tools/service.py 8000' \
        2>"$BATS_TEST_TMPDIR/said"
}

@test "the port waits while the job is pending, serves while it runs, and ends with it" {
    local job
    job=$(submit --hold -w n1 --tunnel 8001:8000)
    same "spunnel: port 8001 of login -> port 8000 of job $job, while it runs" "$(output said)"
    counts "$(whole "$job")" state waiting
    # A client who comes too early is served when the job has started.
    start early user1 /home/tools/client.py 8001 name
    eventually waits 8001
    as root scontrol release "$job"
    finish early
    says early n1:8000
    answers same user1 8001 source 1000000
    answers same user1 8001 sum 1000000
    answers "closed before a byte" user2 8001 name
    as root scancel "$job"
    within 10 nothing_left
}

# waits PORT: is a client connected there?
waits() { as root grep -i ":$(printf %04X "$1") .* 01 " /proc/net/tcp; }

@test "a script's own line, and the command line's, which wins; free ports are told" {
    local port
    as user1 sh -c 'printf "%s\n" "#!/bin/bash" "#SBATCH --tunnel 8001:8000" "#SBATCH -w n1" \
        "#SBATCH -o /dev/null" "exec /home/tools/service.py 8000" >job.sh'
    as user1 sbatch job.sh
    eventually answers n1:8000 user1 8001 name
    as user1 sbatch --tunnel :8000 job.sh >"$BATS_TEST_TMPDIR/second" 2>&1
    as user1 rm job.sh
    port=$(sed -n 's/^spunnel: port \([0-9]*\) of login -> port 8000 of job .*/\1/p' <(output second))
    [[ $port -gt 1023 && $port != 8001 ]]
    answers n1:8000 user1 8001 name
}

@test "the user who submitted it logs out: the tunnel stays" {
    local job
    job=$(python3 - "$CLUSTER/in" "${SSH_BY_HAND[@]}" -tt login 3>&- 4>&- <<'PY'
import pexpect, sys
t = pexpect.spawn(sys.argv[1], ["n2", "user1", "--"] + sys.argv[2:], timeout=30, encoding="utf-8")
t.sendline("sbatch -o /dev/null -w n1 --tunnel 8001:8000 --wrap '/home/tools/service.py 8000'; exit")
t.expect(r"Submitted batch job (\d+)")
print(t.match.group(1))
t.expect(pexpect.EOF)
PY
    )
    same "" "$(processes sshd | awk '$3 != 0')"
    eventually answers n1:8000 user1 8001 name
    runs "$job"
}

@test "nobody can log in to the host where sbatch was typed: the tunnel needs no way back" {
    not_under traps "the submit host is the jump host of its users"
    service login sshd stop
    submit -w n1 --tunnel 8001:8000
    # By no other way either: the node cannot connect to it.
    run host n1 user1 "${SSH_BY_HAND[@]}" login true
    [[ $status != 0 ]]
    eventually answers n1:8000 user1 8001 name
    answers same user1 8001 source 1000000
}

@test "sbatch over a pipe returns at once: the tunnel does not hold the pipe" {
    start s user1 bash -c 'sbatch -w n1 -o /dev/null --tunnel 8001:8000 --wrap "sleep 600" 2>&1 | cat'
    within 5 ended s
    says s "-> port 8000 of job"
}

@test "a job that is requeued keeps its ports, those that were free to choose as well, and may move" {
    local job port
    job=$(submit -w n1 --requeue --tunnel 8001:8000,:8000)
    port=$(sed -n 's/^spunnel: port \([0-9]*\) of login -> port 8000 of job .*/\1/p' <(output said) |
        tail -n 1)
    eventually answers n1:8000 user1 "$port" name
    answers n1:8000 user1 8001 name
    start held user1 /home/tools/client.py 8001 hold
    eventually says held held
    as root scontrol requeue "$job"
    finish held
    eventually counts "$(whole "$job")" state waiting
    # Slurm holds a requeued job back for two minutes.
    as root scontrol update job "$job" starttime=now nodelist=n2
    eventually answers n2:8000 user1 8001 name
    answers n2:8000 user1 "$port" name
}

@test "a job array is refused with what to do, and holds no port" {
    local job
    job=$(submit --hold --array 1-2 --tunnel 8001:8000)
    same "sbatch: error: spunnel: no tunnel: job arrays have none: open one for a task, as in spunnelctl open ${job}_1 8001:8000" \
        "$(output said)"
    nothing_left
}

@test "what is wrong is said before anything is queued" {
    local before
    before=$(next_job)
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    run submit --tunnel 8001:8000
    says said "port 8001 is held by your own tunnel of job $(job s), step 0"
    run submit --tunnel 8002:http
    says said "'http' in '8002:http' is no port"
    run submit --tunnel :auto
    says said "'auto' in ':auto': a batch job has started before its port could be chosen"
    same "$((before + 1))" "$(next_job)"
    answers n1:8000 user1 8001 name
}

@test "a submission that fails leaves nothing" {
    run submit --partition nowhere --tunnel 8001:8000
    [[ $status != 0 ]]
    nothing_left
    run as user1 sbatch --tunnel 8001:8000 no-such-script
    [[ $status != 0 ]]
    nothing_left
    submit --test-only --tunnel 8001:8000
    nothing_left
}

@test "--wait: the job is over when sbatch could follow it, which is said" {
    run as user1 sbatch --wait --output /dev/null --tunnel 8001:8000 --wrap true
    same 0 "$status"
    holds "spunnel: no tunnel: job"
    holds "submit without --wait"
    nothing_left
}

@test "two jobs in a row, each with its own tunnel" {
    local one two
    one=$(submit -w n1 --tunnel 8001:8000)
    two=$(submit -w n2 --tunnel 8002:8000)
    eventually answers n1:8000 user1 8001 name
    eventually answers n2:8000 user1 8002 name
    as root scancel "$one"
    within 10 frees 8001
    answers n2:8000 user1 8002 name
    runs "$two"
}

@test "scancel of a pending job frees its port" {
    local job
    job=$(submit --hold --tunnel 8001:8000)
    as root scancel "$job"
    within 10 nothing_left
}

@test "a job that ends by itself ends its tunnel" {
    as user1 sbatch -w n1 --output /dev/null --tunnel 8001:8000 --wrap true
    within 10 nothing_left
}

@test "the keeper killed with -9 leaves nothing, and the job goes on" {
    local job
    job=$(submit -w n1 --tunnel 8001:8000,/tmp/s.sock:8000)
    eventually answers n1:8000 user1 /tmp/s.sock name
    kill -KILL "$(keeper "$(whole "$job")")"
    within 2 nothing_left
    as user1 test ! -e /tmp/s.sock
    runs "$job"
}

@test "spunnel-jobs killed: the end of the job is still seen" {
    local job
    job=$(submit -w n1 --tunnel 8001:8000)
    eventually answers n1:8000 user1 8001 name
    processes spunnel-jobs | awk '{ print $2 }' | xargs kill -KILL
    as root scancel "$job"
    within 12 nothing_left
}

@test "slurmctld away for a while changes nothing" {
    local job
    job=$(submit -w n1 --tunnel 8001:8000)
    eventually answers n1:8000 user1 8001 name
    start held user1 /home/tools/client.py 8001 hold
    eventually says held held
    service login slurmctld stop
    # The link is lost, so Slurm is asked, which does not answer.
    kill -KILL "$(ssh_of "$(whole "$job")")"
    finish held
    eventually grep -F "ask Slurm for the job" "$(record "$(whole "$job")" log)"
    answers n1:8000 user1 8001 name
    service login slurmctld start
    counts "$(whole "$job")" state up
    answers n1:8000 user1 8001 name
    as root scancel "$job"
    within 12 nothing_left
}

@test "an srun inside the script opens no tunnel, nor does it say anything, whatever is inherited" {
    not_under nohome "no folder that both hosts have"
    as user1 env SPUNNEL_TUNNEL=8002:8000 sbatch --wait -w n1 --output batch.out --tunnel 8001:8000 \
        --wrap 'printenv SPUNNEL_TUNNEL; srun hostname; ls -d /tmp/spunnel-*; true'
    run as user1 cat batch.out
    as user1 rm batch.out
    same 8002:8000 "${lines[0]}"
    same n1 "${lines[1]}"
    holds "cannot access '/tmp/spunnel-*'"
    lacks "spunnel: "
}

@test "a job of two nodes: each node is reached" {
    local job
    job=$(as user1 sbatch --parsable -N2 -o /dev/null --tunnel 8001:8000,8002:n2:8000,8003:+1:8000 \
        --wrap 'srun /home/tools/service.py 8000')
    eventually answers n2:8000 user1 8002 name
    eventually answers n1:8000 user1 8001 name
    answers n2:8000 user1 8003 name
}
