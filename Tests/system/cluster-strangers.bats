#!/usr/bin/env bats
# A personal Slurm among strangers: its daemons are its owner's alone, and its logs stay small.
# shellcheck disable=SC2016,SC2030,SC2031 # expanded when it runs; each test is a subshell

load cluster_helpers

setup_file() {
    machine_start
    export MACHINE MACHINE_PID MACHINE_OUTER
    as user1 spunnelctl cluster up
}

teardown_file() {
    as user1 spunnelctl cluster down --now
    machine_stop
}

slurm() { as user1 spunnelctl cluster exec "$@"; }
folder() { echo "$MACHINE/home/user1/.local/state/spunnel/clusters/default"; }
ports() { sed -n 's/^ports=//p' "$(folder)/cluster.conf" | tr , ' '; }
logged() { cat "$(folder)"/log/* | wc -c; }

@test "eight bytes of a stranger's to each daemon, 3000 times: none is read, and not a line is written" {
    local before
    before=$(logged)
    # shellcheck disable=SC2046 # a word for each port
    as user2 python3 -c 'import socket, sys
answers = 0
for port in map(int, sys.argv[1:]):
    for _ in range(1000):
        with socket.socket() as end:
            end.settimeout(5)
            try:
                end.connect(("127.0.0.1", port))
                end.sendall(bytes(8))
                answers += len(end.recv(100))
            except (ConnectionResetError, BrokenPipeError):
                pass
sys.exit(answers)' $(ports)
    (($(logged) - before < 2000))
    [[ $(slurm srun hostname) == machine ]]
}

@test "400 idle connections of a stranger's to each daemon are closed, and squeue answers meanwhile" {
    # shellcheck disable=SC2046
    as user2 python3 -c 'import socket, sys, time
ends = []
for port in map(int, sys.argv[1:]):
    for _ in range(400):
        end = socket.socket()
        try:
            end.connect(("127.0.0.1", port))
            ends.append(end)
        except ConnectionResetError:
            pass
print("there", flush=True)
for end in ends:
    end.settimeout(20)
    try:
        if end.recv(1):
            sys.exit(1)
    except ConnectionResetError:
        pass
print("closed", flush=True)
time.sleep(60)' $(ports) >"$BATS_TEST_TMPDIR/idle" 2>&1 3>&- 4>&- &
    wait_until 30 grep there "$BATS_TEST_TMPDIR/idle"
    LIMIT=5 slurm squeue
    [[ $(slurm srun hostname) == machine ]]
    wait_until 30 grep closed "$BATS_TEST_TMPDIR/idle"
    kill "$!"
}

@test "a log that has grown to 20 MB is shortened, and its end is kept" {
    local log
    log=$(folder)/log/slurmctld.log
    as user1 sh -c 'head -c 20000000 /dev/zero | tr "\0" x >>"$0"; echo the end >>"$0"' "/home/user1${log#"$MACHINE/home/user1"}"
    wait_until 30 shortened "$log"
    [[ $(tail -n 1 "$log.old") == *"the end" ]]
    # The daemon goes on with it.
    slurm scontrol setdebug debug2
    slurm squeue
    slurm scontrol setdebug error
    [[ -s $log ]]
}

shortened() {
    slurm squeue
    (($(stat -c %s "$1") < 9000000))
}
