#!/usr/bin/env bats
# Whatever dies, and however: what is left, and what comes back.

load helpers

setup() {
    configure optional
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    start held user1 /home/tools/client.py 8001 hold
    eventually says held held
}

# Is the tunnel gone, while the job goes on?
job_goes_on() {
    goes_on s
    as user1 srun --jobid "$(job s)" --overlap true
}

# Does the client know that it was cut?
is_cut() {
    finish held
    says held reset
}

# The same where the service may be gone first: its end is one in order.
has_ended() {
    finish held
    says held closed || says held reset
}

@test "srun killed with -9: the tunnel is gone, open connections are cut" {
    kill -KILL "$(pid s)"
    soon nothing_left
    is_cut
}

@test "srun terminated: the tunnel is gone" {
    kill -TERM "$(pid s)"
    finish s
    soon nothing_left
    has_ended
}

@test "scancel: the tunnel is gone once srun has ended" {
    cancel s
    soon nothing_left
    has_ended
}

@test "a step that ends by itself takes its tunnel with it, before srun returns" {
    as root scancel --signal=KILL "$(step s)"
    finish s
    nothing_left
    has_ended
}

@test "the keeper killed with -9: nothing is left of the tunnel, the job goes on" {
    kill -KILL "$(keeper "$(step s)")"
    soon nothing_left
    is_cut
    job_goes_on
}

@test "the keeper's guardian killed with -9: nothing is left of the tunnel, the job goes on" {
    kill -KILL "$(guardian "$(step s)")"
    soon nothing_left
    is_cut
    job_goes_on
}

@test "keeper and guardian killed with -9 at once: the next tunnel sweeps their record away" {
    crash "$(step s)"
    is_cut
    soon no_process
    as user1 srun -w n1 --overlap --jobid "$(job s)" --tunnel 8002:8000 true
    same "" "$(record "*")"
    cancel s
}

no_process() { [[ -z $(processes spunnel-keeper spunnel-guard ssh) ]]; }

@test "ssh killed with -9: open connections are cut, the same port works again" {
    local before
    before=$(keeper "$(step s)")
    kill -KILL "$(ssh_of "$(step s)")"
    is_cut
    # The client waits for its answer, and does not ask twice.
    answers n1:8000 user1 8001 name
    same "$before" "$(keeper "$(step s)")"
    counts "$(step s)" state up
}

@test "a network that was cut and mended: the tunnel comes back on the same port" {
    ! no_ssh || skip "policy $POLICY: through srun ssh_args= is not for ssh, which misses the node after 45 s"
    configure optional 'ssh_args=-o|ServerAliveInterval=1|-o|ServerAliveCountMax=1'
    serve other user1 -w n2 --tunnel 8002:8000 -- 8000
    "$CLUSTER/link" n2 down
    eventually counts "$(step other)" state reconnecting
    "$CLUSTER/link" n2 up
    eventually answers n2:8000 user1 8002 name
    eventually counts "$(step other)" state up
}

@test "sshd restarted under a live tunnel: the open connection stays open" {
    service n1 sshd restart
    answers n1:8000 user1 8001 name
    goes_on held
}

@test "the exit flag in the record ends the tunnel at once, and the job goes on" {
    as user1 touch "/tmp/spunnel-$(as user1 id -u)/$(step s)/exit"
    soon nothing_left
    is_cut
    job_goes_on
}

# --- The end while the way is lost ---------------------------------------------------------------

# lost_for_all COMMAND...: tunnels of srun, of sbatch and of spunnelctl open lead to n2 when the command cuts
# them off; sets BATCH and OPENED, the last two's jobs.
lost_for_all() {
    local tunnel
    configure optional transport=ssh 'ssh_args=-o|ServerAliveInterval=1|-o|ServerAliveCountMax=1'
    BATCH=$(as user1 sbatch --parsable --output /dev/null -w n2 --tunnel 8003:8000 --wrap 'sleep 600')
    OPENED=$(hold user1 -w n2)
    as user1 spunnelctl open --background "$OPENED" 8004:8000
    serve other user1 -w n2 --tunnel 8002:8000 -- 8000
    eventually counts "$(whole "$BATCH")" state up
    "$@"
    for tunnel in "$(step other)" "$(whole "$BATCH")" "$(whole "$OPENED")"; do
        eventually counts "$tunnel" state reconnecting
    done
}

# all_gone_in_time: after scancel, nothing of any tunnel outlives what Slurm says by 5 seconds.
all_gone_in_time() {
    as root scancel "$(job s)" "$(job other)" "$BATCH" "$OPENED"
    eventually none_runs
    finish other
    within 5 nothing_left
}

none_runs() { [[ -z $(as root squeue --noheader --states running) ]]; }

# n2_refuses: its sshd is gone, and every ssh to it.
n2_refuses() {
    service n2 sshd stop
    processes ssh | awk '/ -- n2$/ { print $2 }' | xargs kill -KILL
}

@test "jobs that end while no sshd answers: nothing is left of the tunnels that try to return" {
    lost_for_all n2_refuses
    all_gone_in_time
}

@test "jobs that end while their node is cut off: nothing is left of the tunnels that try to return" {
    lost_for_all "$CLUSTER/link" n2 down
    all_gone_in_time
}

teardown() {
    "$CLUSTER/link" n2 up
    service n2 sshd status >/dev/null || service n2 sshd start
    clean_up
}
