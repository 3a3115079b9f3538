#!/usr/bin/env bats
# The queue on a machine without a Slurm of a site's: on a personal one.
# What stands in single quotes is for the jobs.
# shellcheck disable=SC2016

load cluster_helpers

setup_file() {
    machine_start
    export MACHINE MACHINE_PID MACHINE_OUTER
}

teardown_file() { machine_stop; }

teardown() {
    as user1 spunnelctl cluster down --now || true
    as user1 sh -c 'rm -rf .local slurm-*.out order'
    no_daemons
}

ctl() { LIMIT=120 as user1 spunnelctl "$@"; }
slurm() { as user1 spunnelctl cluster exec "$@"; }

# ends STATUS TEXT WORD…: the command exits so, and says so.
ends() {
    run ctl "${@:3}"
    [[ $status == "$1" && $output == *"$2"* ]] || {
        echo "${*:3}: status $status: $output"
        return 1
    }
}

@test "submit: without a Slurm it says what makes one; --personal makes it, and the commands mean it" {
    local job
    ends 1 "spunnelctl cluster up makes one of your own" submit true
    ends 3 "Submitted batch job 1" submit --personal --wait sh -c 'exit 3'
    ends 0 "cluster 'default' is up already" cluster up
    job=$(ctl submit --parsable -o slurm-p.out sh -c 'echo here; exit 4')
    ends 4 "exit status 4" wait "$job"
    ends 0 "here" logs "$job"
    ends 0 "exit status 3" queue
    ends 0 "[" nodes
    ends 0 "It is over: exit status 4" explain "$job"
    ends 0 "of processor time" efficiency "$job"
    # Each cluster has a record of its own.
    as user1 sh -c "ls .local/state/spunnel/queue/*clusters-default-slurm-conf/$job.end"
}

@test "priority by nice: the operator is the user, and may go below 0" {
    ctl cluster up --cpus 1
    ctl submit -t 5 sleep 4
    for name in low med high; do
        as user1 sh -c "echo 'command: echo $name >>order' >$name; echo 'priority: $name' >>$name"
        ctl submit -f "$name" -o /dev/null
    done
    wait_until 60 in_order $'high\nmed\nlow'
    as user1 rm low med high
}

in_order() { [[ $(as user1 cat order) == "$1" ]]; }

@test "100,000 short jobs an hour are taken: two arrays of the largest size, and no EAGAIN" {
    ctl cluster up
    ends 0 "batch job 1" submit --hold --array=1-100000 true
    ends 0 "batch job 2" submit --hold --array=1-100000 true
    ctl cancel --all
}

@test "ended jobs are kept where Slurm has forgotten them: wait, info, queue, efficiency and retry" {
    local job folder=$MACHINE/home/user1/.local/state/spunnel/clusters/default
    ctl cluster up
    job=$(ctl submit --parsable -o slurm-k.out sh -c 'exit 5')
    ends 5 "" wait "$job"
    sed -i 's/^MinJobAge=.*/MinJobAge=2/' "$folder/slurm.conf"
    slurm scontrol reconfigure
    wait_until 60 forgotten "$job"
    ends 5 "exit status 5" wait "$job"
    ends 0 "status      5" info "$job"
    ends 0 "exit status 5" queue
    ends 0 "of processor time" efficiency "$job"
    ends 0 "It is over: exit status 5" explain "$job"
    ends 5 "Submitted batch job" retry --wait "$job"
    # What nobody has noted is not known, and never 0.
    ends 125 "Slurm has forgotten job 999" wait 999
    job=$(slurm sbatch --parsable --output /dev/null --wrap 'exit 0')
    wait_until 60 forgotten "$job"
    ends 125 "no record tells how it ended" wait "$job"
}

forgotten() { ! slurm scontrol show job "$1"; }

@test "memory: Slurm kills the job, wait says 137, explain says the peak and the limit" {
    ctl cluster up --memory 2G
    ends 137 "" submit --wait --mem 50 -o slurm-m.out \
        perl -e '$x = "x" x (1 << 20); $y .= $x for 1 .. 200; sleep 60'
    ends 0 "Slurm killed it for its memory: it used " explain 1
    [[ $output == *"its limit was 50M: give it more, as in --mem="* ]]
}

@test "time: Slurm ends the job at its limit, wait says 124, explain says what to ask for" {
    ctl cluster up
    PATIENCE=150 ends 124 "its time limit was reached" submit --wait -t 1 -o slurm-t.out sleep 300
    ends 0 "Its limit was 1:00: give it more, as in --time=2" explain 1
}
