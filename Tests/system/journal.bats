#!/usr/bin/env bats
# Who had which port when: lines in syslog, and metrics for root.

load helpers

LOG=$BATS_FILE_TMPDIR/syslog

setup() {
    configure optional
    : >"$LOG"
    # Takes lines as a syslog daemon does, at the /dev that all hosts share.
    python3 - "$LOG" 3>&- 4>&- <<'PY' &
import os, socket, sys
if os.path.exists("/dev/log"):
    os.unlink("/dev/log")
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind("/dev/log")
os.chmod("/dev/log", 0o666)
with open(sys.argv[1], "a") as log:
    while True:
        log.write(listener.recv(4096).decode() + "\n")
        log.flush()
PY
    SYSLOG=$!
    eventually test -S /dev/log
}

teardown() {
    kill "$SYSLOG" || true
    rm -f /dev/log
    clean_up
}

# logged TEXT: is there a line with it, of job $JOB?
logged() { grep -F " job=$JOB " "$LOG" | grep -F -- "$1" || { cat "$LOG"; return 1; }; }

@test "a tunnel's beginning and end are a line each in syslog, with what it carried and why it ended" {
    JOB=
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    JOB=$(job s)
    eventually logged "begin uid=$(stat -c %u "$STATE/home/user1") job=$JOB step=0 nodes=n1 forwards=8001:n1:8000 transport="
    grep -E '^<14>[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} spunnel\[[0-9]+\]: begin ' "$LOG"
    answers n1:8000 user1 8001 name
    cancel s
    eventually logged "end uid="
    logged 'connections=1 refused=0 sent='
    logged 'reason="'
    same 2 "$(grep -c " job=$JOB " "$LOG")"
}

@test "a keeper that is killed has its line, and syslog=off has none" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    JOB=$(job s)
    eventually logged "begin uid="
    kill -KILL "$(keeper "$(step s)")"
    eventually logged 'reason="its keeper was killed"'
    configure optional syslog=off
    serve t user1 -w n1 --overlap --tunnel 8002:8001 -- 8001
    JOB=$(job t)
    cancel t
    soon nothing_left
    same 0 "$(grep -c " job=$JOB " "$LOG")"
}

@test "metrics: what all tunnels do, for root alone" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    serve t user2 -w n2 --tunnel 8002:8000 -- 8000
    answers n1:8000 user1 8001 name
    run as user1 spunnelctl metrics
    same 2 "$status"
    eventually metric 'spunnel_accepted{user="user1"} 1'
    metric 'spunnel_tunnels{state="up"} 2'
    metric 'spunnel_user_tunnels{user="user2"} 1'
    metric '# TYPE spunnel_received_bytes gauge'
}

metric() {
    run as root spunnelctl metrics
    holds "$1"
}

@test "poll= is how often a batch job is asked about" {
    local job
    configure optional poll=1
    job=$(as user1 sbatch --parsable -o /dev/null -w n1 --tunnel 8001:8000 --wrap 'exec /home/tools/service.py 8000')
    eventually answers n1:8000 user1 8001 name
    same "spunnel-jobs watch $job /tmp/spunnel-" "$(processes spunnel-jobs | awk '{ print $5, $6, $7, $8 }' |
        sed 's/[0-9]*$//')"
    same 1 "$(processes spunnel-jobs | awk '{ print $NF }')"
    as root scancel "$job"
    within 5 nothing_left
}
