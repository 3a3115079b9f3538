#!/usr/bin/env bats
# What a tunnel is for: ports of the login host reach ports of the step's first node.

load helpers

@test "a service of the job answers on the submit port, on 127.0.0.1 and on ::1" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    same n1:8000 "$(client user1 8001 name)"
    same n1:8000 "$(client user1 -6 8001 name)"
}

@test "each of two port pairs leads to its own port" {
    serve s user1 -w n1 --tunnel 8001:8000,8889:8888 -- 8000 8888
    same n1:8000 "$(client user1 8001 name)"
    same n1:8888 "$(client user1 8889 name)"
}

@test "megabytes arrive unchanged in both directions, on both ports at once" {
    serve s user1 --tunnel 8001:8000,8889:8888 -- 8000 8888
    client user1 8001 source 16000000 >"$BATS_TEST_TMPDIR/down" &
    client user1 8889 sum 16000000 >"$BATS_TEST_TMPDIR/up" &
    wait $! && wait -n
    same same "$(output down)"
    same same "$(output up)"
}

@test "a tunnel to each node at once, with the same exec port, leads to that node" {
    serve one user1 -w n1 --tunnel 8001:8000 -- 8000
    serve two user1 -w n2 --tunnel 8002:8000 -- 8000
    same n1:8000 "$(client user1 8001 name)"
    same n2:8000 "$(client user1 8002 name)"
}

@test "in an allocation of both nodes a step on the second one is reached there" {
    start hold user1 sbatch --parsable -N2 --wrap 'sleep 300' --output /dev/null
    finish hold
    serve s user1 --jobid "$(output hold)" --overlap -N1 -w n2 --tunnel 8001:8000 -- 8000
    same n2:8000 "$(client user1 8001 name)"
}

@test "a service that is not there yet: the connection is closed, a later one works" {
    start s user1 srun -w n1 --tunnel 8001:8000 /home/tools/service.py 8005
    eventually says s serving
    same "closed before a byte" "$(client user1 8001 name)"
    start late user1 srun --jobid "$(job s)" --overlap /home/tools/service.py 8000
    eventually says late serving
    same n1:8000 "$(client user1 8001 name)"
}

@test "a client that ends its direction still reads the answer" {
    serve s user1 --tunnel 8001:8000 -- 8000
    same same "$(client user1 8001 sum 3000000)"
}

@test "a service that ends its direction still reads what the client sends" {
    serve s user1 --tunnel 8001:8000 -- 8000
    same hello "$(client user1 8001 greet 3000000)"
    eventually same same "$(client user1 8001 last 3000000)"
}

@test "a reader that does not read holds up nobody else" {
    serve s user1 --tunnel 8001:8000 -- 8000
    same same "$(client user1 8001 slow 20000000)"
}

@test "200 connections at once are all served" {
    serve s user1 --tunnel 8001:8000 -- 8000
    same 200 "$(client user1 8001 many 200)"
    eventually counts "$(step s)" connections 0
    counts "$(step s)" accepted 200
}

@test "1000 short connections in a row are all served" {
    serve s user1 --tunnel 8001:8000 -- 8000
    same 1000 "$(client user1 8001 each 1000)"
}
