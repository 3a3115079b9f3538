#!/usr/bin/env bats
# Nodes that admit by ssh only users with a job there, and end the login with the job
# (pam_slurm_adopt).

load ../system/helpers

PAM=$STATE/n1/etc/pam.d/sshd

setup() {
    only_under adopt
    configure required
}

teardown() {
    under adopt || return 0
    sed -i '/knows-no-job/d' "$PAM"
    n1_knows_its_jobs
    clean_up
}

login() { as "$1" "${SSH_BY_HAND[@]}" -o BatchMode=yes "$2" hostname; }

refused() {
    run login "$1" "$2"
    same 255 "$status"
    holds "Connection closed by"
}

@test "a login without a job is refused; with one it is let in, there and for its owner" {
    refused user1 n1
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    same n1 "$(login user1 n1)"
    refused user1 n2
    refused user2 n1
    through s ssh
    cancel s
    # The node forgets the job a moment after srun has ended.
    eventually refused user1 n1
}

@test "several jobs of one user on a node: a tunnel outlives the other's job, and ends with its own" {
    serve one user1 -w n1 --tunnel 8001:8001 -- 8001
    serve two user1 -w n1 --tunnel 8002:8002 -- 8002
    serve three user1 -w n1 --tunnel 8003:8003 -- 8003
    answers n1:8001 user1 8001 name
    answers n1:8002 user1 8002 name
    cancel two
    soon frees 8002
    answers n1:8001 user1 8001 name
    answers n1:8003 user1 8003 name
    cancel one
    soon frees 8001
    answers n1:8003 user1 8003 name
    through three ssh
}

@test "a login that was adopted by another job and ends with it: the tunnel comes back" {
    local before
    serve one user1 -w n1 --tunnel 8001:8001 -- 8001
    # pam_slurm_adopt finds the newest job by its start time, in seconds.
    eventually another_second "$(date +%s)"
    serve two user1 -w n1 --tunnel 8002:8002 -- 8002
    before=$(ssh_of "$(step one)")
    # From here on, the login of the older job belongs to the newest job.
    kill -KILL "$before"
    answers n1:8001 user1 8001 name
    before=$(ssh_of "$(step one)")
    cancel two
    # Slurm ends the login some time after the job.
    eventually has_another_ssh one "$before"
    answers n1:8001 user1 8001 name
    through one ssh
}

another_second() { (($(date +%s) > $1)); }

has_another_ssh() {
    counts "$(step "$1")" state up && [[ $(ssh_of "$(step "$1")") != "$2" ]]
}

# n1_knows_no_job: holds n1 in the state between the allocation and the moment when the node learns
# of it.
n1_knows_no_job() {
    host n1 root touch /run/knows-no-job
    sed -i '1i account requisite pam_exec.so quiet /usr/bin/test ! -e /run/knows-no-job' "$PAM"
}

n1_knows_its_jobs() { host n1 root rm -f /run/knows-no-job; }

was_refused() { grep -hF "Connection closed by" "/proc/$(host_init login)/root/tmp/spunnel-"*/*/log; }

@test "the race at the start: a node that does not know the job yet is asked again" {
    configure required transport=ssh
    n1_knows_no_job
    start s user1 srun -w n1 --tunnel 8001:8000 /home/tools/service.py 8000
    eventually was_refused
    n1_knows_its_jobs
    eventually says s serving
    answers n1:8000 user1 8001 name
    through s ssh
}

@test "the race at the start, for good: the tunnel goes through srun" {
    n1_knows_no_job
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
    through s srun
}

@test "the race at the start as it is: five jobs in a row, each with its tunnel by ssh" {
    configure required transport=ssh
    for _ in 1 2 3 4 5; do
        run as user1 srun -w n1 --tunnel 8001:8000 echo the job ran
        same 0 "$status"
        holds "the job ran"
    done
}
