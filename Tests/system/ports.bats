#!/usr/bin/env bats
# The submit port: claimed before a job is queued, held as long as the tunnel, free right after.

load helpers

# taken TEXT: srun ends with an error that has the text, and no job was made.
taken() { not_queued 8001:8000 "$1"; }

@test "a port that another program holds: srun names it and ends before a job is queued" {
    start other user1 python3 -c 'import socket, sys
s = socket.create_server(("127.0.0.1", 8001)); print("listens", flush=True); sys.stdin.read(); s.accept()'
    eventually says other listens
    taken "port 8001 of login is in use: take another submit port"
}

@test "a port that is taken on ::1 alone is taken" {
    start other user2 python3 -c 'import socket
s = socket.create_server(("::1", 8001), family=socket.AF_INET6); print("listens", flush=True); s.accept()'
    eventually says other listens
    taken "port 8001 of login is in use: take another submit port"
}

@test "a port of another user's tunnel is in use, and the tunnel unharmed" {
    serve s user2 -w n1 --tunnel 8001:8000 -- 8000
    taken "port 8001 of login is in use"
    answers n1:8000 user2 8001 name
}

@test "a port of one's own tunnel: the error names its job" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    taken "port 8001 is held by your own tunnel of job $(job s), step 0"
    holds "spunnelctl close $(job s)"
    answers n1:8000 user1 8001 name
}

@test "of two ports one is taken: the other is not held either" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    run as user1 srun --tunnel 8889:8888,8001:8000 true
    holds "port 8001 is held by your own tunnel"
    as user1 srun --tunnel 8889:8888 true
}

@test "the port is free again right after srun, five times in a row" {
    local turn
    configure required
    for turn in 1 2 3 4 5; do
        serve "s$turn" user1 -w n1 --tunnel 8001:8000 -- 8000
        answers n1:8000 user1 8001 name
        cancel "s$turn"
    done
}

@test "the port is free again right after an srun whose tunnel was never used" {
    local turn
    configure required
    for turn in 1 2 3 4 5; do
        as user1 srun --tunnel 8001:8000 true
    done
}

@test "a claim on a job that is never started is given up with srun" {
    hold user2 -N2 --exclusive
    start s user1 srun --tunnel 8001:8000 true
    eventually taken_by_srun
    same "" "$(compgen -G "/proc/$(host_init login)/root/tmp/spunnel-*")"
    kill -INT "$(pid s)"
    finish s
    nothing_left
}

taken_by_srun() { remains | grep -F 1F41; }
