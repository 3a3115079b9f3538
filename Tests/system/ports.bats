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

# unbound PORT: can another program bind it, without SO_REUSEADDR? For ports of no other test: connections in
# TIME-WAIT would be in its way for a minute.
unbound() {
    as user1 python3 -c 'import errno, socket, sys
for family, address in (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"):
    try:
        socket.socket(family).bind((address, int(sys.argv[1])))
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise' "$1"
}

@test "a port that is closed is bound by nobody: of srun, of sbatch and of spunnelctl open" {
    local batch opened job
    serve s user1 -w n1 --tunnel 7601:8000,7602:8000,7603:8000 -- 8000
    batch=$(as user1 sbatch --parsable -o /dev/null -w n2 --tunnel 7611:8000,7612:8000 --wrap 'sleep 600')
    opened=$(hold user1 -w n2)
    as user1 spunnelctl open --background "$opened" 7621:8000 7622:8000
    eventually counts "$(whole "$batch")" state up
    for job in "$(job s) 7601" "$batch 7611" "$opened 7621"; do
        # shellcheck disable=SC2086 # two words
        as user1 spunnelctl close $job
        unbound "${job#* }"
    done
    # Nor when srun goes on without the rest of its tunnel.
    as user1 spunnelctl close "$(job s)" 7602
    unbound 7602
    as user1 spunnelctl close "$(job s)"
    unbound 7603
    as user1 spunnelctl close "$batch" "$opened"
    unbound 7612
    unbound 7622
    goes_on s
}

@test "a port of a tunnel whose keeper was killed is bound by nobody, while its srun goes on" {
    serve s user1 -w n1 --tunnel 7631:8000 -- 8000
    kill -KILL "$(keeper "$(step s)")"
    soon nothing_left
    unbound 7631
    goes_on s
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
