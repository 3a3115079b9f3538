#!/usr/bin/env bats
# A connection that was cut never looks like one that ended: the client sees a reset. Nor does the service's
# end hang: sshd closes it, in order.

load helpers

setup() {
    configure optional
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
}

# cut_by COMMAND...: does a client see a reset, and the service an end, each of three times? Some are lucky.
cut_by() {
    local number
    for number in 1 2 3; do
        start "held$number" user1 /home/tools/client.py 8001 hold
        eventually says "held$number" held
        "$@"
        finish "held$number"
        says "held$number" reset
        within 5 ends_seen n1 8000 "$number"
    done
}

# ends_seen HOST PORT COUNT: has the service there seen the end of so many connections?
ends_seen() { same "$3" "$(host "$1" user1 /home/tools/client.py "$2" ended | wc -w)"; }

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
    within 5 ends_seen n1 8000 1
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

@test "srun killed with -9, while the service lives on in another step" {
    local job
    job=$(job s)
    start other user1 srun --jobid "$job" --overlap -w n1 --tunnel 8002:8000 sleep 600
    eventually answers n1:8000 user1 8002 name
    start held user1 /home/tools/client.py 8002 hold
    eventually says held held
    kill -KILL "$(pid other)"
    finish held
    says held reset
    within 5 ends_seen n1 8000 1
}

# n2_is_cut_off: a tunnel to n2 has a connection open when the cable is pulled; its ssh soon knows.
n2_is_cut_off() {
    ! no_ssh || skip "policy $POLICY: through srun ssh_args= is not for ssh, which misses the node after 45 s"
    configure optional 'ssh_args=-o|ServerAliveInterval=1|-o|ServerAliveCountMax=1'
    serve other user1 -w n2 --tunnel 8002:8000 -- 8000
    start held user1 /home/tools/client.py 8002 hold
    eventually says held held
    "$CLUSTER/link" n2 down
    finish held
    says held reset
}

@test "the network cut: the service is told when it is back" {
    n2_is_cut_off
    "$CLUSTER/link" n2 up
    # The submit host's kernel repeats the end of the connection, at intervals that have grown meanwhile.
    eventually ends_seen n2 8000 1
    eventually answers n2:8000 user1 8002 name
}

@test "the network cut: where sshd asks after its clients the service is told without the network" {
    echo $'ClientAliveInterval 1\nClientAliveCountMax 1' >"$STATE/n2/etc/ssh/sshd_config.d/test.conf"
    service n2 sshd restart
    n2_is_cut_off
    within 10 ends_seen n2 8000 1
}

# few_descriptors PROCESS COUNT: it can open so many more, as its own user, who needs no capability for that.
few_descriptors() {
    local used
    used=$(find "/proc/$1/fd" -type l | wc -l)
    setpriv --reuid "$(stat -c %u "/proc/$1")" --regid "$(stat -c %g "/proc/$1")" --clear-groups \
        prlimit --pid "$1" --nofile=$((used + $2)):
}

@test "without descriptors for all that is on its way nothing is cut, and nothing stands still" {
    local before
    start pulse user1 /home/tools/client.py 8001 pulse
    eventually says pulse back
    # Two for each connection, and for two pipes.
    few_descriptors "$(keeper "$(step s)")" 28
    start tardy user1 /home/tools/client.py 8001 tardy 12 16000000
    eventually says tardy stuck
    before=$(output pulse | wc -l)
    eventually more_pulses "$before"
    host n1 user1 /home/tools/client.py 8000 begin
    finish tardy
    same $'stuck\n12' "$(output tardy)"
    goes_on pulse
}

more_pulses() { (($(output pulse | wc -l) > $1 + 10)); }

teardown() {
    "$CLUSTER/link" n2 up
    if [[ -e $STATE/n2/etc/ssh/sshd_config.d/test.conf ]]; then
        rm "$STATE/n2/etc/ssh/sshd_config.d/test.conf"
        service n2 sshd restart
    fi
    clean_up
}

@test "a service that ends in order ends in order for the client, whoever closed first" {
    answers same user1 8001 source 3000000
    answers same user1 8001 sum 3000000
    answers hello user1 8001 greet 3000
    answers 200 user1 8001 each 200
}
