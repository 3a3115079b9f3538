#!/usr/bin/env bats
# What holds under each policy, whatever else may not.

load ../system/helpers

# way: how a tunnel gets to the node: by ssh wherever that is allowed, and not through srun for want of it.
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

# homes: what lies in the users' homes. A home's own time changes, as a tunnel's sockets are in it meanwhile.
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
