#!/usr/bin/env bats
# Whoever waits for more than two seconds is told what for.

load helpers

teardown() {
    own_config_gone
    [[ -z ${STOPPED:-} ]] || kill -CONT "$STOPPED" 2>/dev/null || true
    clean_up
}

@test "srun says what it waits for, and ends with what happened" {
    configure optional transport=ssh timeout=5
    own_config 'Host n1
        ProxyCommand sleep 60'
    run as user1 srun -w n1 --tunnel 8001:8000 true
    same 0 "$status"
    [[ $output == *"spunnel: waiting for the tunnel to n1, 5 seconds at most"*"spunnel: no tunnel: n1"*"spunnel: the job goes on without it"* ]]
    configure optional transport=ssh timeout=5 quiet
    run as user1 srun -w n1 --tunnel 8001:8000 true
    lacks "spunnel: waiting for"
}

@test "open --wait says why the job waits, and again when that changes" {
    local job
    job=$(as user1 sbatch --parsable --hold -o /dev/null -w n1 --wrap 'exec /home/tools/service.py 8000')
    start o user1 spunnelctl open "$job" 8001:8000 --wait
    eventually says o "job $job has not started (PENDING JobHeldUser): waiting"
    as root scontrol release "$job"
    eventually says o "localhost:8001 -> n1:8000"
    eventually answers n1:8000 user1 8001 name
    as root scancel "$job"
    finish o
    says o "the tunnel ended: job $job is over"
}

@test "close says which tunnel it waits for" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    STOPPED=$(keeper "$(step s)")
    kill -STOP "$STOPPED"
    run as user1 spunnelctl close "$(job s)"
    kill -CONT "$STOPPED"
    same 1 "$status"
    holds "spunnelctl: waiting for the tunnel of step $(step s) to end"
    holds "its keeper does not end"
}

@test "a job that Slurm does not tell of in time is waited for with a word" {
    local controller
    controller=$(processes slurmctld | awk '{ print $2; exit }')
    STOPPED=$controller
    kill -STOP "$controller"
    start u user1 spunnelctl url 4711
    eventually says u "spunnelctl: waiting for Slurm's answer on job 4711"
    kill -CONT "$controller"
    finish u
    says u "no tunnel of job 4711 on login: "
}
