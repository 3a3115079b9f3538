#!/usr/bin/env bats
# Tests that must pass under every policy.

load ../system/helpers

# way: the transport that a tunnel must use: ssh wherever the policy allows it.
way() { if no_ssh; then echo srun; else echo ssh; fi; }

@test "bytes arrive by the way that the policy leaves, for the owner alone" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers_twice n1:8000 user1 8001 name
    answers same user1 8001 source 1000000
    answers same user1 8001 sum 1000000
    answers_twice "closed before a byte" user2 8001 name
    through s "$(way)"
}

@test "the tunnel is gone after the job, and took nothing along" {
    local before
    before=$(homes)
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    serve other user2 -w n1 --tunnel 8002:8002 -- 8002
    cancel s
    soon frees 8001
    answers n1:8002 user2 8002 name
    cancel other
    soon nothing_left
    same "$before" "$(homes)"
}

# homes: lists the files in the users' homes. The time of a home itself is left out: it changes,
# because a tunnel puts its sockets there.
homes() { find "$STATE/home" -not -path '*/tools/*' \( -path "$STATE/home/user*/*" -printf '%p %T@\n' -o -print \) | sort; }

@test "a batch job's tunnel, and one that is opened later" {
    local job
    job=$(as user1 sbatch --parsable --output /dev/null -w n1 --tunnel 8001:8000 \
        --wrap 'exec /home/tools/service.py 8000')
    eventually answers n1:8000 user1 8001 name
    as user1 spunnelctl open "$job" 8002:8000 --background
    answers n1:8000 user1 8002 name
    cancel_job "$job"
    soon nothing_left
}
