#!/usr/bin/env bats
# A ~/.ssh/config full of traps, which also apply to the jump host in it.

load ../system/helpers

setup() {
    only_under traps
    configure required transport=ssh
}

@test "the traps are there: ssh by the user's own configuration falls into them" {
    run as user1 timeout 20 ssh n1 hostname
    [[ $status != 0 ]]
}

@test "tunnels to both nodes over one jump host: the end of one leaves the other alone" {
    serve one user1 -w n1 --tunnel 8001:8000 -- 8000
    serve two user1 -w n2 --tunnel 8002:8000 -- 8000
    start held user1 /home/tools/client.py 8002 hold
    eventually says held held
    cancel one
    answers n2:8000 user1 8002 name
    goes_on held
}

@test "no sshd on the node behind a jump host: what the jump said is said" {
    service n1 sshd stop
    run as user1 srun -w n1 --tunnel 8001:8000 echo the job ran
    service n1 sshd start
    [[ $status != 0 ]]
    holds "connect failed: Connection refused: no sshd answers on n1"
}
