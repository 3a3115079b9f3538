#!/usr/bin/env bats
# What a personal Slurm counts and lists, and tunnels on one machine.
# shellcheck disable=SC2016,SC2030,SC2031 # expanded when it runs; each test is a subshell

bats_require_minimum_version 1.5.0

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

@test "pages that eight processes share are counted once" {
    LIMIT=60 as user1 spunnelctl cluster exec srun --mem 400M python3 -c 'import os, mmap, time
shared = mmap.mmap(-1, 200 << 20)
for place in range(0, len(shared), 4096):
    shared[place] = 1
children = []
for _ in range(7):
    child = os.fork()
    if child == 0:
        sum(shared[place] for place in range(0, len(shared), 4096))
        time.sleep(6)
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
print("done")'
}

@test "a file, and a folder that others may write to, hide no cluster from the list" {
    local folder=.local/state/spunnel/clusters
    as user1 sh -c "touch $folder/bad; mkdir -m 720 $folder/open"
    run --separate-stderr as user1 spunnelctl cluster list
    [[ $status == 0 ]]
    [[ $output == *default* ]]
    # shellcheck disable=SC2154 # set by run
    [[ $stderr == *"/bad'"* && $stderr == *"/open'"*"720"* ]]
}

@test "--tunnel 8041 on one machine leads into itself: an error that says which port to take" {
    run as user1 spunnelctl cluster exec srun --tunnel 8041 echo the job goes on
    [[ $output == *"'8041' of n1 is where this tunnel itself listens, as n1 is this host"* ]]
    [[ $output == *"as in :8041"* ]]
    LIMIT=90 as user1 spunnelctl cluster exec srun --tunnel :8041,D:1041 sh -c \
        'python3 -m http.server 8041 & sleep 60' >"$BATS_TEST_TMPDIR/srun" 2>&1 3>&- 4>&- &
    wait_until 30 grep 'localhost:[0-9]* -> n1:8041' "$BATS_TEST_TMPDIR/srun"
    port=$(sed -n 's/^spunnel: localhost:\([0-9]*\) -> n1:8041$/\1/p' "$BATS_TEST_TMPDIR/srun")
    wait_until 30 as user1 curl -sf "localhost:$port"
    # Nor by way of SOCKS.
    run as user1 curl -s --max-time 20 --socks5-hostname localhost:1041 http://n1:1041/
    [[ $status != 0 && $status != 28 ]]
    as user1 spunnelctl cluster exec scancel --user user1
}
