#!/usr/bin/env bats
# What a tunnel is for: ports of the login host reach ports of the step's first node.

load helpers

@test "a service of the job answers on the submit port, on 127.0.0.1 and on ::1" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers_twice n1:8000 user1 8001 name
}

@test "each of two port pairs leads to its own port" {
    serve s user1 -w n1 --tunnel 8001:8000,8889:8888 -- 8000 8888
    answers n1:8000 user1 8001 name
    answers n1:8888 user1 8889 name
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
    answers n1:8000 user1 8001 name
    answers n2:8000 user1 8002 name
}

@test "two users reach services on the same exec port at once" {
    serve one user1 -w n1 --tunnel 8001:8000 -- 8000
    serve two user2 -w n2 --tunnel 8002:8000 -- 8000
    answers n1:8000 user1 8001 name
    answers n2:8000 user2 8002 name
}

@test "many tunnels of one user at once, each to its own service" {
    local number
    for number in 1 2 3 4 5 6; do
        start "s$number" user1 srun -w n1 --tunnel "800$number:900$number" \
            /home/tools/service.py "900$number"
    done
    for number in 1 2 3 4 5 6; do
        eventually says "s$number" serving
        answers "n1:900$number" user1 "800$number" name
    done
}

@test "srun, sbatch and salloc of the same user beside a tunnel leave it alone" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    start held user1 /home/tools/client.py 8001 hold
    eventually says held held
    local before
    before=$(keeper "$(step s)") && [[ -n $before ]]
    same n2 "$(as user1 srun -w n2 hostname)"
    as user1 sbatch --wait --output /dev/null --wrap 'srun hostname'
    run as user1 salloc -w n2 srun hostname
    same 0 "$status"
    same "$before" "$(keeper "$(step s)")"
    answers n1:8000 user1 8001 name
    # The connection that was open all the time is open still.
    goes_on held
}

@test "in an allocation of both nodes a step on the second one is reached there" {
    local job
    job=$(hold user1 -N2)
    serve s user1 --jobid "$job" --overlap -N1 -w n2 --tunnel 8001:8000 -- 8000
    answers n2:8000 user1 8001 name
}

@test "what the environment says of other jobs' nodes leads no tunnel there" {
    local job stale=(env SLURM_NODELIST=n1 SLURM_NNODES=1 SLURM_STEP_NODELIST=n1)
    job=$(hold user1 -w n2)
    start fresh user1 "${stale[@]}" srun -w n2 --tunnel 8001:8000 /home/tools/service.py 8000
    start joined user1 "${stale[@]}" srun --jobid "$job" --overlap --tunnel 8002:8002 \
        /home/tools/service.py 8002
    start other user1 "${stale[@]}" SLURM_JOB_NODELIST=n1 srun --jobid "$job" --overlap \
        --tunnel 8003:8003 /home/tools/service.py 8003
    for name in fresh joined other; do eventually says "$name" serving; done
    answers n2:8000 user1 8001 name
    answers n2:8002 user1 8002 name
    answers n2:8003 user1 8003 name
}

@test "a service that is not there yet: the connection is closed, a later one works" {
    start s user1 srun -w n1 --tunnel 8001:8000 /home/tools/service.py 8005
    eventually says s serving
    answers "closed before a byte" user1 8001 name
    start late user1 srun --jobid "$(job s)" --overlap /home/tools/service.py 8000
    eventually says late serving
    answers n1:8000 user1 8001 name
}

@test "a port where nobody listens cuts everybody, whoever else comes and goes; the other port's ends stay in order" {
    serve s user1 -w n1 --tunnel 8001:7999,8002:8000 -- 8000
    # Comes and goes, without a word and without an answer.
    start passing user1 python3 -c 'import socket, time
while True: socket.create_connection(("127.0.0.1", 8002)).close(); time.sleep(0.002)'
    as user1 python3 -c 'import socket
for attempt in range(100):
    try:
        client = socket.create_connection(("127.0.0.1", 8001), 60)
        raise SystemExit(f"{attempt}: {client.recv(1)}")
    except ConnectionResetError: pass'
    # Of those of the dead port that go before they are refused nobody is left to be told. Not as fast as they
    # could: sshd looks up localhost for each, and runs out of descriptors.
    start knocking user1 python3 -c 'import socket, time
while True: socket.create_connection(("127.0.0.1", 8001)).close(); time.sleep(0.002)'
    for _ in {1..20}; do answers same user1 8002 sum 100000; done
}

@test "an answer that was whole before the tunnel ended is read whole after it" {
    start s user1 srun -w n1 --tunnel 8001:8000 /usr/bin/python3 -c 'import os, socket
listener = socket.create_server(("127.0.0.1", 8000))
print("serving", "{SLURM_JOB_ID}.{SLURM_STEP_ID}".format(**os.environ), "on n1", flush=True)
connection, _ = listener.accept()
connection.sendall(b"x" * 400000)
connection.shutdown(socket.SHUT_WR)
connection.recv(1)'
    eventually says s serving
    start late user1 python3 -c 'import os, socket, time
client = socket.create_connection(("127.0.0.1", 8001), 60)
while not os.path.exists("go"): time.sleep(0.02)
count = 0
while part := client.recv(65536): count += len(part)
print("read", count)'
    # The end follows the last byte at once, and the record both a moment later.
    eventually counts "$(step s)" received 400000
    as user1 "$PREFIX/bin/spunnelctl" close "$(job s)"
    as user1 touch go
    finish late
    as user1 rm go
    says late "read 400000"
}

@test "a client that ends its direction still reads the answer" {
    serve s user1 --tunnel 8001:8000 -- 8000
    answers same user1 8001 sum 3000000
}

@test "a service that ends its direction still reads what the client sends" {
    serve s user1 --tunnel 8001:8000 -- 8000
    answers hello user1 8001 greet 3000000
    eventually answers same user1 8001 last 3000000
}

@test "what a client sends beside urgent data arrives, and its end after it" {
    serve s user1 --tunnel 8001:8000 -- 8000
    answers "['first', 'second', 'third']" user1 8001 urgently
    answers same user1 8001 urgent 5
    answers same user1 8001 urgent 3000000
}

@test "a reader that does not read holds up nobody else" {
    serve s user1 --tunnel 8001:8000 -- 8000
    answers same user1 8001 slow 20000000
}

@test "200 connections at once are all served" {
    serve s user1 --tunnel 8001:8000 -- 8000
    answers 200 user1 8001 many 200
    eventually counts "$(step s)" connections 0
    eventually counts "$(step s)" accepted 200
}

@test "1000 short connections, ten at a time, are all served" {
    serve s user1 --tunnel 8001:8000 -- 8000
    PATIENCE=120 answers 1000 user1 8001 each 1000
}

@test "a plugin that is a link, as among Slurm's own, finds what lies beside the file" {
    local folder=$STATE/home/tools/linked
    mkdir -p "$folder"
    ln -sf "$PLUGIN" "$folder/spunnel.so"
    PLUGIN=/home/tools/linked/spunnel.so configure optional
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
    cancel s
    configure optional
    rm -r "$folder"
}
