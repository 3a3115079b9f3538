#!/usr/bin/env bats
# What the environment has to do with tunnels: what the tasks are told, SPUNNEL_TUNNEL,
# SPUNNEL_WAIT, and the allocation or the job around an srun.

load helpers

teardown() {
    service n1 sshd start
    if grep -q interactive "$STATE/slurm/slurm.conf"; then
        sed -i /interactive/d "$STATE/slurm/slurm.conf"
        as root scontrol reconfigure
    fi
    clean_up
}

# with WORD=VALUE...: srun with these in its environment.
with() { as user1 env "$@"; }

# --- SPUNNEL_TUNNEL ----------------------------------------------------------------------------

@test "SPUNNEL_TUNNEL is for every srun that has no --tunnel" {
    start s user1 env SPUNNEL_TUNNEL=8001:8000 srun -w n1 /home/tools/service.py 8000
    eventually says s serving
    says s "localhost:8001 -> n1:8000"
    answers n1:8000 user1 8001 name
    # The next one runs without, and says why.
    run with SPUNNEL_TUNNEL=8001:8000 srun -w n1 --overlap hostname
    same 0 "$status"
    holds "this step has no tunnel of its own: port 8001 is held by your own tunnel of job $(job s)"
    holds n1
    # The command line wins, and nothing is an answer as well.
    run with SPUNNEL_TUNNEL=8001:8000 srun -w n1 --overlap --tunnel 8002:8000 printenv SPUNNEL_FORWARDS
    same 0 "$status"
    same 1 "$(grep -c ' -> ' <<<"$output")"
    holds 8002:n1:8000
    lacks "no tunnel"
    run with SPUNNEL_TUNNEL= srun -w n1 --overlap hostname
    holds n1
    lacks spunnel
}

@test "a malformed SPUNNEL_TUNNEL is named" {
    configure required
    run with SPUNNEL_TUNNEL=8001:http srun -w n1 hostname
    [[ $status != 0 ]]
    holds "spunnel: SPUNNEL_TUNNEL: 'http' in '8001:http' is no port"
    lacks "--tunnel: "
}

# --- What the tasks are told -------------------------------------------------------------------

@test "auto: a free port of each node, told to the tasks in the order of the spec" {
    # shellcheck disable=SC2016 # expanded in the job
    start s user1 srun -N2 --tunnel 8001:auto,8002:8000,:+1:auto,8003:auto bash -c '
        echo "$SPUNNEL_PORT $SPUNNEL_PORT_1 $SPUNNEL_PORT_2 $SPUNNEL_PORT_3 $SPUNNEL_PORT_4."
        exec /home/tools/service.py $SPUNNEL_PORT $SPUNNEL_PORT_2 $SPUNNEL_PORT_3'
    eventually says s "on n1"
    eventually says s "on n2"
    read -r port one two three rest < <(grep '\.$' <(output s))
    same "$port ." "$one $rest"
    answers "n1:$one" user1 8001 name
    answers "n2:$two" user1 "$(told s "n2:$two")" name
    answers "n1:$three" user1 8003 name
    answers same user1 8001 source 1000000
}

@test "a free port at both ends: twenty steps at once, and no two of them collide" {
    # shellcheck disable=SC2034 # for the helpers
    local job PATIENCE=120
    configure required timeout=120
    job=$(hold user1 -w n1)
    # As many logins at once as an sshd takes without refusing any (MaxStartups).
    # shellcheck disable=SC2016 # expanded in the job
    start s user1 bash -c 'for number in {1..20}; do
        until ((number - $(spunnelctl status | grep -c " up ") <= 8)); do sleep 0.1; done
        srun --jobid "$0" --overlap --tunnel :auto bash -c "exec /home/tools/service.py \$SPUNNEL_PORT" &
    done; wait' "$job"
    eventually serves s 20
    # shellcheck disable=SC2016,SC2046 # expanded there; one word each
    same "$(sed -n 's/^spunnel: localhost:.* -> //p' <(output s))" "$(as user1 sh -c '
        for port; do /home/tools/client.py $port name; done' sh \
        $(sed -n 's/^spunnel: localhost:\(.*\) -> .*/\1/p' <(output s)))"
}

# serves NAME COUNT: do so many services listen?
serves() { same "$2" "$(grep -c '^serving ' <(output "$1"))"; }

@test "a heterogeneous job and --multi-prog have a tunnel" {
    start s user1 srun --overlap --tunnel 8001:8000 -w n1 /home/tools/service.py 8000 : \
        -w n2 /home/tools/service.py 8000
    as user1 sh -c 'printf "%s\n" "0 /home/tools/service.py 8070" "1 /home/tools/service.py 8080" \
        >multi.conf'
    start m user1 srun -N2 --overlap --tunnel 8002:8070,8003:+1:8080 --multi-prog multi.conf
    eventually says m "on n1"
    eventually says m "on n2"
    eventually says s "on n2"
    as user1 rm multi.conf
    answers n1:8070 user1 8002 name
    answers n2:8080 user1 8003 name
    # The first part to get there has it. Through srun another than the job's first can have none.
    no_ssh && return
    eventually says s " -> "
    same 1 "$(grep -c ' -> ' <(output s))"
    eventually answers "$(sed -n 's/^spunnel: .* -> //p' <(output s))" user1 8001 name
}

# --- Waiting -----------------------------------------------------------------------------------

@test "SPUNNEL_WAIT=0 and wait=no: tasks start at once, early clients are served once ssh is there" {
    # The longer sshd is away, the longer are the pauses between two attempts.
    # shellcheck disable=SC2034 # for the helpers
    local PATIENCE=120
    service n1 sshd stop
    configure required transport=ssh wait=no timeout=120
    start s user1 srun -w n1 --tunnel 8001:8000 /home/tools/service.py 8000
    eventually says s serving
    configure required transport=ssh timeout=120
    start t user1 env SPUNNEL_WAIT=0 srun -w n1 --tunnel 8002:8888 /home/tools/service.py 8888
    eventually says t serving
    counts "$(step s)" state starting
    says s "localhost:8001 -> n1:8000"
    start early user1 /home/tools/client.py 8001 name
    start soon user1 /home/tools/client.py 8002 name
    eventually counts "$(step t)" connections 1
    service n1 sshd start
    finish early
    finish soon
    says early n1:8000
    says soon n1:8888
    eventually counts "$(step s)" state up
}

@test "SPUNNEL_WAIT=0: it is said to be being opened, and at srun's end why it never came up" {
    configure required transport=ssh
    service n1 sshd stop
    start s user1 env SPUNNEL_WAIT=0 srun -w n1 --tunnel 8001:8000 sh -c 'sleep 1; echo the job ran'
    finish s
    same 0 "$status"
    says s "spunnel: localhost:8001 -> n1:8000, being opened"
    same "the job ran" "$(tail -n 2 <(output s) | head -n 1)"
    holds_last s "srun: error: spunnel: the tunnel never came up: n1: "
    says s "no sshd answers on n1"
    # What cannot be had at all is in the record as well.
    service n1 sshd start
    take other n1 9300
    start t user1 env SPUNNEL_WAIT=0 srun -w n1 --tunnel R:9300:8000 /home/tools/service.py 8000
    eventually says t serving
    eventually counts "$(step t)" state failed
    run as user1 spunnelctl status "$(job t)"
    holds "  failed     R:9300:8000: n1 does not listen on '9300'"
    cancel t
    holds_last t "spunnel: the tunnel never came up: n1 does not listen on '9300'"
    # One that was there says nothing.
    run with SPUNNEL_WAIT=0 srun -w n1 --tunnel 8001:8000 sleep 2
    same 1 "$(grep -c spunnel: <(grep -v computer <<<"$output"))"
}

# holds_last NAME TEXT: is it in the last line of the output of what was started?
holds_last() { says "$1" "$2" && [[ $(tail -n 1 <(output "$1")) == *"$2"* ]]; }

@test "SPUNNEL_WAIT=1 is the user's word against wait=no" {
    configure required transport=ssh wait=no timeout=60
    service n1 sshd stop
    run with SPUNNEL_WAIT=1 srun -w n1 --tunnel 8001:8000 echo the job ran
    [[ $status != 0 ]]
    holds "no sshd answers on n1"
    lacks "the job ran"
}

@test "another SPUNNEL_WAIT is named and left aside" {
    run with SPUNNEL_WAIT=maybe srun -w n1 --tunnel 8001:8000 echo the job ran
    same 0 "$status"
    holds "spunnel: SPUNNEL_WAIT 'maybe' is neither 0 nor 1: it is left aside"
    holds "localhost:8001 -> n1:8000"
    holds "the job ran"
}

# --- Allocations -------------------------------------------------------------------------------

@test "salloc --tunnel: one srun has the tunnel, the next one says a line, its own port is an error" {
    # shellcheck disable=SC2016 # expanded in the allocation
    start s user1 salloc -w n1 --tunnel 8001:8000 bash -c '
        srun --overlap /home/tools/service.py 8000 8888 &
        until spunnelctl status | grep -q " up "; do sleep 0.05; done
        srun --overlap echo second
        srun --overlap --tunnel 8001:8888 echo third || echo "status $?"
        srun --overlap --tunnel 8002:8888 echo "fourth ran"
        echo over
        wait'
    eventually says s over
    eventually says s serving
    answers n1:8000 user1 8001 name
    run output s
    holds second
    holds "this step has no tunnel of its own: port 8001 is held by your own tunnel of job"
    holds "error: spunnel: --tunnel: port 8001 is held by your own tunnel of job"
    lacks third
    holds "status 255"
    holds "localhost:8002 -> n1:8888"
    holds "fourth ran"
}

@test "salloc --tunnel with the interactive step: it has the tunnel, sruns inside have none" {
    echo LaunchParameters=use_interactive_step >>"$STATE/slurm/slurm.conf"
    as root scontrol reconfigure
    terminal <<'PY'
t = Terminal("user1", "salloc", "-w", "n1", "--tunnel", "8001:8000").shell()
assert "localhost:8001 -> n1:8000" in t.seen, t.seen
start = len(t.seen)
assert t.ask("hostname") == ["n1"]
t.ask("/home/tools/service.py 8000 >/dev/null &")
eventually(lambda: login("user1", "/home/tools/client.py", "8001", "name"), "n1:8000\n")
assert "n1" in t.ask("srun --overlap hostname </dev/null"), t.seen
assert "spunnel" not in t.seen[start:], t.seen
t.sendline("kill %1; exit")
t.expect(pexpect.EOF)
PY
    soon nothing_left
}
