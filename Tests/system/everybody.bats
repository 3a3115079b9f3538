#!/usr/bin/env bats
# What root sees and closes of everybody's on the login host, whatever user2 has laid beside it.

load helpers

teardown() {
    # shellcheck disable=SC2016 # expanded there
    as root bash -c 'rm -rf /tmp/spunnel-20???? "$0"' "/tmp/spunnel-$(as user2 id -u)"
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

@test "a keeper of another user's that hangs up before it is asked ends nothing of root's" {
    local job
    job=$(hold user1 -w n1)
    lead "$job"
    strangers "$job" 1 700 -
    # So late that it has hung up for certain.
    run as root strace -o /dev/null -e trace=write,sendto -e inject=write,sendto:delay_enter=300000 \
        spunnelctl close "$job" 8001
    same 1 "$status"
    holds "closed 8001:8000 of job $job, step extern, of user1"
    holds "close: job $job, step 0, of user2: no forward listens at '8001'"
    same 2 "${#lines[@]}"
    frees 8001
}

@test "root is told the addresses of a job's tunnel past another user's damaged record of the job" {
    local job
    job=$(hold user1 -w n1)
    lead "$job"
    strangers "$job" 1 700 ""
    as user2 cp /etc/hosts "/tmp/spunnel-$(as user2 id -u)/$job.0/host"
    run as root spunnelctl url "$job"
    same 0 "$status"
    holds localhost:8001
    as user1 spunnelctl close "$job"
    run as root spunnelctl url "$job"
    same 1 "$status"
    same "spunnelctl: url: the record of step $job.0 is damaged" "$output"
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

@test "a job whose tunnel has gone keeps no other from closing" {
    serve one user1 -w n1 --tunnel 8001:8000 -- 8000
    serve two user2 -w n2 --tunnel 8002:8000 -- 8000
    # No port has such a number.
    run as root spunnelctl close "$(job one)" "$(step two)" 100000
    same 1 "$status"
    same "closed the tunnel of job $(job one), step 0, of user1" "${lines[0]}"
    same "closed the tunnel of job $(job two), step 0, of user2" "${lines[1]}"
    [[ ${lines[2]} == "spunnelctl: no tunnel of job 100000 on login: "* ]]
    same 3 "${#lines[@]}"
}

@test "root closes all of one user's tunnels as that user, and nobody else's" {
    serve one user1 -w n1 --tunnel 8001:8000 -- 8000
    serve two user1 -w n1 --tunnel 8003:8001 -- 8001
    serve other user2 -w n2 --tunnel 8002:8000 -- 8000
    run as root runuser -u user1 -- spunnelctl close --all
    same 0 "$status"
    same "closed the tunnel of job $(job one), step 0" "${lines[0]}"
    same "closed the tunnel of job $(job two), step 0" "${lines[1]}"
    same 2 "${#lines[@]}"
    answers n2:8000 user2 8002 name
}

# --- Bounds ------------------------------------------------------------------------------------

# small COMMAND...: runs it as root, in less than 200 MB.
small() {
    run as root /usr/bin/python3 -c 'import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], check=False).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
sys.exit(status if peak < 200 else f"it took {peak} MB")' "$@"
    lacks "it took"
}

@test "what another user has made large or many takes little of root's memory, and hides nobody's tunnels" {
    local job
    job=$(hold user1 -w n1)
    lead "$job"
    as user2 /home/tools/hostile.py crowd
    small spunnelctl status --all
    same 0 "$status"
    grep -E "^$job .* user1 .* 8001:8000,8002:8000 " <<<"$output"
    same 4096 "$(grep -c '^7 .* user2 ' <<<"$output")"
    holds "/tmp/spunnel-$(as user2 id -u)' has more than 4096 records"
    holds "/tmp/spunnel-$(as user2 id -u)' has more than 8 MB of records"
    holds "2950 more directories in '/tmp' cannot be trusted"
    small spunnelctl status --all --json
    same 0 "$status"
    same up "$(jq -r '.tunnels[] | select(.user == "user1").state' <<<"$output")"
    small spunnelctl status 7
    small spunnelctl status "$job"
    holds "localhost:8001 -> n1:8000"
    small spunnelctl close "$job"
    same 0 "$status"
    holds "closed the tunnel of job $job, step extern, of user1"
}
