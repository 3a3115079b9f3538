#!/usr/bin/env bats
# What spunnelctl tells about tunnels, and what it takes away.

load helpers

json() { as "$1" spunnelctl status --json; }

# field KEY...: a value of the first tunnel in the JSON of standard input.
field() {
    /usr/bin/python3 -c 'import functools, json, sys
print(functools.reduce(dict.get, sys.argv[1:], json.load(sys.stdin)["tunnels"][0]))' "$@"
}

tunnels() { json "$1" | /usr/bin/python3 -c 'import json, sys; print(len(json.load(sys.stdin)["tunnels"]))'; }

@test "a tunnel is listed with its job, step, node, forwards and state, for its owner alone" {
    serve s user1 -w n1 --tunnel 8001:8000,8889:8888 -- 8000 8888
    run as user1 spunnelctl status
    same 0 "$status"
    [[ ${lines[0]} == JOB*STEP*NODE*FORWARDS*STATE* ]]
    [[ ${lines[1]} == "$(job s)"*" 0 "*" n1 "*" 8001:8000,8889:8888 "*" up "* ]]
    same 2 "${#lines[@]}"
    run as user2 spunnelctl status
    same 0 "$status"
    lacks n1
}

@test "the JSON form has the same, and counts" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    client user1 8001 source 1000000
    client user2 8001 name
    same "$(job s)" "$(json user1 | field job)"
    same n1 "$(json user1 | field node)"
    same up "$(json user1 | field state)"
    eventually counted 1 connections accepted
    eventually counted 1 connections refused
    eventually counted 1000000 bytes received
}

# counted WANTED KEY...
counted() { same "$1" "$(json user1 | field "${@:2}")"; }

@test "no tunnel is no error" {
    same 0 "$(tunnels user1)"
    run as user1 spunnelctl status
    same 0 "$status"
}

@test "while ssh is lost the state is reconnecting" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    service n1 sshd stop
    kill -KILL "$(ssh_of "$(step s)")"
    eventually counted reconnecting state
    service n1 sshd start
    eventually counted up state
}

@test "a crash's record is shown as stale, and clean removes it and nothing alive" {
    serve alive user1 -w n1 --tunnel 8001:8000 -- 8000
    serve dead user1 -w n2 --tunnel 8002:8000 -- 8000
    crash "$(step dead)"
    eventually shown "$(job dead)" stale
    shown "$(job alive)" up
    run as user1 spunnelctl clean
    same 0 "$status"
    holds "removed the record of job $(job dead), step 0"
    same 1 "$(tunnels user1)"
    answers n1:8000 user1 8001 name
}

shown() { as user1 spunnelctl status | grep -E "^$1 .* $2 "; }

@test "status finds the records where plugstack.conf puts them" {
    configure required state_dir=/var/tmp
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    same 1 "$(tunnels user1)"
    same "$(job s)" "$(as user1 spunnelctl status --json --state-dir /var/tmp | field job)"
}

@test "a wrong command or option is a usage error that quotes it" {
    run as user1 spunnelctl bogus
    same 2 "$status"
    holds "'bogus' is no command"
    run as user1 spunnelctl status --bogus
    same 2 "$status"
    holds "'--bogus' is no option"
}
