#!/usr/bin/env bats
# A connection that was cut never looks like one that ended: the client sees a reset.

load helpers

setup() {
    configure optional
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
}

# cut_by COMMAND...: does a client see a reset, each of three times? Some are lucky.
cut_by() {
    local number
    for number in 1 2 3; do
        start "held$number" user1 /home/tools/client.py 8001 hold
        eventually says "held$number" held
        "$@"
        finish "held$number"
        says "held$number" reset
    done
}

# The user's half of his ssh session on n1.
session() { processes sshd | awk '$1 == "n1" && /sshd: user1$/ { print $2 }'; }

kill_ssh() { kill "-$1" "$(ssh_of "$(step s)")"; }
kill_session() { kill "-$1" "$(session)"; }

@test "ssh killed with -9" { cut_by kill_ssh KILL; }

@test "ssh terminated" { cut_by kill_ssh TERM; }

# ssh closes the sockets of its connections before it exits then (clientloop.c, channel_free_all).
@test "the node's end of the ssh connection killed with -9" { cut_by kill_session KILL; }

@test "the node's end of the ssh connection terminated" { cut_by kill_session TERM; }

@test "the keeper killed with -9" {
    start held user1 /home/tools/client.py 8001 hold
    eventually says held held
    kill -KILL "$(keeper "$(step s)")"
    finish held
    says held reset
}

@test "the keeper killed with -9 while a connection waits for ssh" {
    start_waiting() {
        kill -STOP "$(keeper "$(step s)")"
        kill_ssh KILL
        start held user1 /home/tools/client.py 8001 hold
        eventually connected
        kill -CONT "$(keeper "$(step s)")"
    }
    connected() { as root ss -Htn state established dport = :8001 | grep -q 8001; }
    service n1 sshd stop
    start_waiting
    eventually counts "$(step s)" connections 1
    kill -KILL "$(keeper "$(step s)")"
    finish held
    service n1 sshd start
    says held reset
}

@test "srun killed with -9" {
    start held user1 /home/tools/client.py 8001 hold
    eventually says held held
    kill -KILL "$(pid s)"
    finish held
    says held reset
}

@test "a service that ends in order ends in order for the client, whoever closed first" {
    answers same user1 8001 source 3000000
    answers same user1 8001 sum 3000000
    answers hello user1 8001 greet 3000
    answers 200 user1 8001 each 200
}
