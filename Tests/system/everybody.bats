#!/usr/bin/env bats
# What root sees and closes of everybody's on the login host, whatever user2 has laid beside it.

load helpers

teardown() {
    as root rm -rf "/tmp/spunnel-$(as user2 id -u)"
    clean_up
}

# lead NAME JOB: user1's tunnel to the job as a whole, which leads from 8001 and 8002 to the node.
lead() { as user1 spunnelctl open "$1" 8001:8000,8002:8000 --background; }

# strangers ARGUMENT...: user2's own records of a job, see hostile.py.
strangers() {
    start strangers user2 /home/tools/hostile.py keepers "$@"
    eventually says strangers held
}

# --- Closing -----------------------------------------------------------------------------------

@test "root closes a job's tunnel past another user's record of the job that cannot be trusted, and is told of it" {
    local job
    job=$(hold user1 -w n1)
    lead "$job"
    strangers "$job" 1 755 ""
    run as root spunnelctl close "$job"
    same 1 "$status"
    holds "closed the tunnel of job $job, step extern, of user1"
    holds "close the tunnel of job $job, step 0, of user2: cannot trust"
    same 2 "${#lines[@]}"
    frees 8001
    same '[]' "$(as user1 spunnelctl status --json | jq -c .tunnels)"
}

@test "root closes a job's forward also when another user's keeper says that it has, and is told whose was closed" {
    local job
    job=$(hold user1 -w n1)
    lead "$job"
    strangers "$job" 1 700 "closed 8001:8000"
    run as root spunnelctl close "$job" 8001
    same 0 "$status"
    same "closed 8001:8000 of job $job, step 0, of user2" "${lines[0]}"
    same "closed 8001:8000 of job $job, step extern, of user1" "${lines[1]}"
    frees 8001
    same "user1 extern 8002:8000" "$(as root spunnelctl close "$job" 8002 --json |
        jq -r '.closed[] | select(.user == "user1") | "\(.user) \(.step) \(.forwards[])"')"
    frees 8002
}

@test "300 keepers of another user that neither answer nor end do not hold root up, and keep no tunnel from closing" {
    local job
    job=$(hold user1 -w n1)
    lead "$job"
    strangers "$job" 300 700 ""
    run as root spunnelctl close "$job" 8001
    same 1 "$status"
    holds "closed 8001:8000 of job $job, step extern, of user1"
    holds "of user2: its keeper gave no answer"
    same 2 "${#lines[@]}"
    frees 8001
    run as root spunnelctl close "$job" --json
    same 1 "$status"
    holds '"user": "user1"'
    holds "step 0, of user2: its keeper does not end"
    holds "and 290 more of user2"
    frees 8002
}
