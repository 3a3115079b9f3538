#!/usr/bin/env bats
# Every form of a forward, with the bytes that go through it.

load helpers

# Sockets that a test has made in the hosts' /tmp.
teardown() {
    local host
    clean_up || return
    for host in login n1 n2; do
        # No folder: what a host shows of the machine may be there.
        host "$host" root find /tmp -maxdepth 1 -not -type d -delete
    done
}

# carries USER PORT|PATH: do bytes arrive unchanged, both ways?
carries() {
    answers same "$1" "$2" source 1000000
    answers same "$1" "$2" sum 1000000
}

# no_tunnel SPEC TEXT...: under `required` the step fails with one line that has all the texts.
no_tunnel() {
    local text
    configure required timeout=60
    run as user1 srun -w n1 --tunnel "$1" echo the job ran
    [[ $status != 0 ]]
    lacks "the job ran"
    same 1 "$(grep -c 'spunnel: no tunnel: ' <<<"$output")"
    for text in "${@:2}"; do
        holds "$text"
    done
    nothing_left
}

# listed PATH [FIND-ARGUMENT]...: files of users on the login host with their modes and owners. The
# repository may lie in the machine's /tmp, and is seen there.
listed() { as root find "$@" \( -user user1 -o -user user2 \) -printf '%p %m %u\n'; }

# --- Ports -------------------------------------------------------------------------------------

@test "one port stands for both ends; a free port is told to the user and to the tasks" {
    local one two
    # shellcheck disable=SC2016 # expanded in the job
    start s user1 srun -w n1 --tunnel 8888,:8889,0:8890 \
        bash -c 'echo "told $SPUNNEL_FORWARDS"; exec /home/tools/service.py 8888 8889 8890'
    eventually says s serving
    one=$(told s n1:8889)
    two=$(told s n1:8890)
    answers n1:8888 user1 8888 name
    answers n1:8889 user1 "$one" name
    answers_twice n1:8890 user1 "$two" name
    says s "told 8888:n1:8888,$one:n1:8889,$two:n1:8890"
    says s "-L $(laptop user1 8888) -L $(laptop user1 "$one") -L $(laptop user1 "$two") user1@login"
    carries user1 "$one"
}

@test "srun --quiet prints nothing of a tunnel that is there" {
    start s user1 srun --quiet -w n1 --tunnel 8888 /home/tools/service.py 8888
    eventually says s serving
    answers n1:8888 user1 8888 name
    [[ $(output s) != *spunnel:* ]]
    run as user1 srun --quiet -w n1 --tunnel 8888 true
    [[ $output == *'port 8888 is held by your own tunnel'* ]]
}

# --- Nodes -------------------------------------------------------------------------------------

@test "each forward reaches the localhost of its own node, over one ssh a node" {
    local keeper
    start s user1 srun -N2 --tunnel 8001:8000,8002:n2:8000,8003:+1:8000,:all:8000 \
        /home/tools/service.py 8000
    eventually says s "on n1"
    eventually says s "on n2"
    answers n1:8000 user1 8001 name
    answers n2:8000 user1 8002 name
    answers n2:8000 user1 8003 name
    answers n1:8000 user1 "$(told s n1:8000 | tail -n 1)" name
    answers n2:8000 user1 "$(told s n2:8000 | tail -n 1)" name
    # Nobody but the node itself reaches that service.
    run host n1 user1 bash -c ': </dev/tcp/n2/8000'
    holds "Connection refused"
    keeper=$(keeper "$(step s)")
    same 2 "$(pgrep -c -P "$keeper" -x ssh)"
    same 1 "$(wc -w <<<"$keeper")"
    carries user1 8002
}

@test "a host that is no node of the step is refused, with the nodes that there are" {
    no_tunnel 8001:n2:5432 "'n2' in '8001:n2:5432' is no node of step" "which has n1" "targets=any"
    no_tunnel 8001:+1:8000 "'+1' in '8001:+1:8000' is no node of step"
    # What no node can be is refused before the job is queued.
    not_queued 8001:db:5432 "'db' in '8001:db:5432' is no node of this cluster"
    not_queued R:9000:db:5432 "'db' in 'R:9000:db:5432' is a third host, which needs targets=any"
    not_queued R:db:9000:5432 "'db' in 'R:db:9000:5432' is no node of this cluster"
}

@test "targets=any: the node reaches a third host" {
    not_under permitopen "no third host is permitted"
    configure required targets=any
    start_on n2 db user1 /home/tools/service.py "$(bracketed n2):5432"
    eventually says db serving
    start s user1 srun -w n1 --tunnel 8001:n2:5432,R:9000:n2:5432 sleep 600
    eventually answers n2:5432 user1 8001 name
    # The other way round it is the submit host that reaches it.
    same n2:5432 "$(host n1 user1 /home/tools/client.py 9000 name)"
    says s "localhost:8001 -> n2:5432, through n1"
}

@test "two nodes, and the cable of one is pulled: connections to the other live on" {
    ! no_ssh || skip "policy $POLICY: through srun ssh_args= is not for ssh, which misses the node after 45 s"
    configure optional 'ssh_args=-o|ServerAliveInterval=1|-o|ServerAliveCountMax=1'
    start s user1 srun -N2 --tunnel 8001:n1:8000,8002:n2:8000 /home/tools/service.py 8000
    eventually says s "on n1"
    eventually says s "on n2"
    start one user1 /home/tools/client.py 8001 hold
    start two user1 /home/tools/client.py 8002 hold
    eventually says one held
    eventually says two held
    "$CLUSTER/link" n2 down
    finish two
    says two reset
    goes_on one
    answers n1:8000 user1 8001 name
    counts "$(step s)" state reconnecting
    "$CLUSTER/link" n2 up
    eventually answers n2:8000 user1 8002 name
    goes_on one
}

# --- Unix sockets ------------------------------------------------------------------------------

@test "a unix socket at the submit end is its owner's alone, and gone with the step" {
    local path
    configure required
    serve s user1 -w n1 --tunnel '/tmp/%u-%j.%s-%n%%:8000,8001:8000' -- 8000
    path=/tmp/user1-$(step s)-0%
    says s "spunnel: $path -> n1:8000"
    same "$path 600 user1" "$(listed "$path")"
    carries user1 "$path"
    answers n1:8000 user1 "$path" name
    answers "[Errno 13] Permission denied" user2 "$path" name
    cancel s
    same "" "$(listed /tmp -mindepth 1)"
}

@test "a submit socket in a folder for all, opened to all: another user is closed off" {
    serve s user1 -w n1 --tunnel /tmp/s.sock:8000 -- 8000
    as user1 chmod 666 /tmp/s.sock
    answers "closed before a byte" user2 /tmp/s.sock name
    answers n1:8000 user1 /tmp/s.sock name
    grep -F "refused uid $(as user2 id -u) on /tmp/s.sock" "$(record "$(step s)" log)"
}

@test "a submit socket is gone after kill -9 of srun, and of the keeper" {
    serve s user1 -w n1 --tunnel /tmp/s.sock:8000 -- 8000
    kill -KILL "$(pid s)"
    soon emptied
    serve t user1 -w n1 --tunnel /tmp/s.sock:8000 -- 8000
    kill -KILL "$(keeper "$(step t)")"
    soon emptied
}

emptied() { same "" "$(listed /tmp -mindepth 1)"; }

@test "what is in a submit socket's place already is an error before a job is queued, and stays" {
    local before
    as user1 touch /tmp/file
    not_queued /tmp/file:8000 "--tunnel: '/tmp/file' exists already"
    start other user1 /home/tools/service.py /tmp/other-user1%
    eventually says other serving
    not_queued /tmp/other-%u%%:8000 "'/tmp/other-user1%' exists already"
    answers login:/tmp/other-user1% user1 /tmp/other-user1% name
    # Another user's, though nobody listens.
    left_over user2 /tmp/theirs
    not_queued 8001:8000,/tmp/theirs:8000 "'/tmp/theirs' exists already"
    before=$(next_job)
    run as user1 sbatch --tunnel /tmp/file:8000 --output /dev/null --wrap true
    [[ $status != 0 ]]
    holds "'/tmp/file' exists already"
    same "$before" "$(next_job)"
    same "$(printf '%s\n' "/tmp/file 644 user1" "/tmp/other-user1% 755 user1" "/tmp/theirs 755 user2")" \
        "$(listed /tmp -mindepth 1 | sort)"
    # With the job in its name it is not known before.
    as user1 touch /tmp/file-0
    no_tunnel /tmp/file-%n:8000 "'/tmp/file-0' exists already"
}

@test "a submit socket that has no place is an error before a job is queued" {
    not_queued /tmp/none/s.sock:8000 "'/tmp/none/s.sock': No such file or directory: take a path in a directory"
    not_queued /etc/hostname/s.sock:8000 "'/etc/hostname/s.sock': Not a directory"
    not_queued /usr/s.sock:8000 "'/usr/s.sock': Permission denied"
    not_queued "/tmp/$(printf 'x%.0s' {1..100})%u:8000" "it is longer than 107 bytes"
}

@test "a submit socket where others could put theirs is an error before a job is queued" {
    as user2 mkdir -m 777 /tmp/theirs
    not_queued /tmp/theirs/s.sock:8000 "'/tmp/theirs/s.sock': others could put a socket of theirs there"
    as user1 mkdir -m 700 /tmp/theirs/own
    not_queued /tmp/theirs/own/s.sock:8000 "('/tmp/theirs': it belongs to uid $(as user2 id -u))"
    as user1 mkdir -m 770 /tmp/shared
    not_queued /tmp/shared/s.sock:8000 "('/tmp/shared': others may write to it and it is not sticky)"
    as user1 chmod 755 /tmp/shared
    serve s user1 -w n1 --tunnel /tmp/shared/s.sock:8000 -- 8000
    answers n1:8000 user1 /tmp/shared/s.sock name
    cancel s
    as root rm -r /tmp/theirs /tmp/shared
}

@test "while the job is queued there is no submit socket: what takes its place is an error then" {
    local blocker
    configure required timeout=5
    blocker=$(hold user2 -N2 --exclusive)
    start s user1 srun --tunnel /tmp/s.sock:8000,8001:8000 echo the job ran
    start t user1 srun --tunnel /tmp/t.sock:8000,8002:8000 echo the job ran
    eventually listens 1F41
    eventually listens 1F42
    emptied
    kill -KILL "$(pid t)"
    finish t
    emptied
    as user1 touch /tmp/s.sock
    as root scancel "$blocker"
    finish s
    says s "no tunnel: '/tmp/s.sock' exists already"
    run output s
    lacks "the job ran"
    same "/tmp/s.sock 644 user1" "$(listed /tmp -mindepth 1)"
}

# listens PORT: in hexadecimal.
listens() { remains | grep -F ":$1"; }

# left_over USER PATH [HOST]: a socket on which nobody listens any more.
left_over() {
    host "${3:-login}" "$1" python3 -c 'import socket, sys
socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$2"
}

@test "a socket that a crash has left is replaced" {
    left_over user1 /tmp/s.sock
    serve s user1 -w n1 --tunnel /tmp/s.sock:8000 -- 8000
    answers n1:8000 user1 /tmp/s.sock name
    crash "$(step s)"
    finish_crash
    as user1 test -S /tmp/s.sock
    serve t user1 -w n1 --tunnel /tmp/s.sock:8000 -- 8000
    answers n1:8000 user1 /tmp/s.sock name
}

finish_crash() { soon no_process && cancel s; }

no_process() { [[ -z $(processes spunnel-keeper spunnel-guard ssh) ]]; }

@test "a unix socket at the exec end, from a port and from a socket" {
    not_under permitopen "sshd then connects to no unix socket"
    # shellcheck disable=SC2016 # expanded in the job
    start s user1 srun -w n1 --tunnel '8001:/tmp/%u.%j.sock,/tmp/s.sock:/tmp/%u.%j.sock' \
        bash -c 'exec /home/tools/service.py "/tmp/user1.$SLURM_JOB_ID.sock"'
    eventually says s serving
    answers "n1:/tmp/user1.$(job s).sock" user1 8001 name
    answers "n1:/tmp/user1.$(job s).sock" user1 /tmp/s.sock name
    carries user1 8001
    carries user1 /tmp/s.sock
}

@test "a socket for each node: its place is in its name" {
    start s user1 srun -N2 --tunnel '/tmp/%n.sock:all:8000' /home/tools/service.py 8000
    eventually says s "on n1"
    eventually says s "on n2"
    answers n1:8000 user1 /tmp/0.sock name
    answers n2:8000 user1 /tmp/1.sock name
}

# --- The other way round -----------------------------------------------------------------------

# carried HOST PORT|PATH: the same as `carries`, from a node.
carried() {
    same same "$(host "$1" user1 /home/tools/client.py "$2" source 1000000)"
    same same "$(host "$1" user1 /home/tools/client.py "$2" sum 1000000)"
}

@test "R: the exec host reaches ports and sockets of the submit host" {
    start db user1 /home/tools/service.py 5432 /tmp/db.sock
    eventually says db serving
    start s user1 srun -w n1 --tunnel R:9000:5432,R:9001:/tmp/db.sock,R:/tmp/far.sock:5432,R:5432 \
        sleep 600
    eventually says s "spunnel: n1:5432 -> localhost:5432"
    same login:5432 "$(host n1 user1 /home/tools/client.py 9000 name)"
    same login:5432 "$(host n1 user1 /home/tools/client.py 5432 name)"
    same login:/tmp/db.sock "$(host n1 user1 /home/tools/client.py 9001 name)"
    same login:5432 "$(host n1 user1 /home/tools/client.py /tmp/far.sock name)"
    same "/tmp/far.sock 600 user1" "$(host n1 root find /tmp/far.sock -printf '%p %m %u')"
    carried n1 9000
    carried n1 9001
    carried n1 /tmp/far.sock
}

@test "R: on a free port, which the tasks are told" {
    local port
    start db user1 /home/tools/service.py 9500
    eventually says db serving
    # shellcheck disable=SC2016 # expanded there
    start s user1 srun -w n1 --tunnel R::9500 sh -c 'echo "told $SPUNNEL_PORT $SPUNNEL_FORWARDS"; exec sleep 600'
    eventually says s told
    port=$(output s | sed -n 's/^told \([0-9]*\) .*/\1/p')
    says s "told $port R:$port:9500"
    says s "spunnel: n1:$port -> localhost:9500"
    same login:9500 "$(host n1 user1 /home/tools/client.py "$port" name)"
    # It comes back on the same port.
    kill -KILL "$(ssh_of "$(processes spunnel-keeper | awk '{ print $6 }')")"
    eventually far_answers login:9500 "$port"
}

@test "R: on every node of the step, and on another one than the first" {
    start db user1 /home/tools/service.py 9500
    eventually says db serving
    start s user1 srun -N2 --tunnel R:all:9000:9500,R:+1:9001:9500,R:n2:9002:9500 sleep 600
    eventually says s "spunnel: n2:9000 -> localhost:9500"
    says s "spunnel: n1:9000 -> localhost:9500"
    same login:9500 "$(host n1 user1 /home/tools/client.py 9000 name)"
    same login:9500 "$(host n2 user1 /home/tools/client.py 9000 name)"
    same login:9500 "$(host n2 user1 /home/tools/client.py 9001 name)"
    same login:9500 "$(host n2 user1 /home/tools/client.py 9002 name)"
    run host n1 user1 /home/tools/client.py 9001 name
    lacks login
}

@test "R: a port that is busy on the node is an error that names it" {
    # On all addresses of both families.
    start_on n1 other user1 python3 -c 'import socket, time
s = socket.create_server(("::", 9000), family=socket.AF_INET6, dualstack_ipv6=True)
print("listens", flush=True); time.sleep(600)'
    eventually says other listens
    no_tunnel R:9000:5432 "n1 does not listen on '9000'" "take another exec port"
}

@test "R: a port that is busy on one of the node's two addresses is an error that names it" {
    local address
    for address in 127.0.0.1 ::1; do
        [[ $address != ::1 ]] || ! under ipv4 || continue
        start_on n1 "other$address" user1 python3 -c 'import socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.create_server((sys.argv[1], 9000), family=family)
print("listens", flush=True); time.sleep(600)' "$address"
        eventually says "other$address" listens
        no_tunnel R:9000:5432 "n1 does not listen on '9000': " "$address" ":9000 is in use there"
        kill "$(pid "other$address")"
        finish "other$address"
    done
    # Nothing of the looking stays.
    start s user1 srun -w n1 --tunnel R:9000:5432 sleep 600
    eventually says s "spunnel: n1:9000 -> localhost:5432"
    same "$(families)" "$(host n1 user1 cat /proc/net/tcp /proc/net/tcp6 | grep -c ':2328 .* 0A ')"
    under ipv4 || same "" "$(grep 'remote port' "$(record "$(processes spunnel-keeper | awk '{ print $6 }')" log)")"
}

@test "R: comes back after ssh was lost, also where sshd has left its socket behind" {
    start db user1 /home/tools/service.py 5432
    eventually says db serving
    serve s user1 -w n1 --tunnel R:/tmp/far.sock:5432,R:9000:5432,8001:8000 -- 8000
    kill -KILL "$(ssh_of "$(step s)")"
    eventually far_answers login:5432 9000
    answers n1:8000 user1 8001 name
    counts "$(step s)" state up
    eventually far_answers login:5432 /tmp/far.sock
}

# far_answers ANSWER PORT|PATH
far_answers() { same "$1" "$(host n1 user1 /home/tools/client.py "$2" name)"; }

# --- SOCKS -------------------------------------------------------------------------------------

# address_of HOST: as the login host's file of hosts has it.
# shellcheck disable=SC2016 # for awk
address_of() { as root awk -v host="$1" '$2 == host { print $1; exit }' /etc/hosts; }

# fetch URL CURL-ARGUMENT...: what the web server of a step says, through port 1080.
fetch() { as user1 curl -s -m 10 "${@:2}" "$1"; }

@test "D: SOCKS clients reach the nodes of the step by name, on their localhost" {
    local data
    start s user1 srun -N2 --chdir /etc --tunnel D:1080 /home/tools/web.py 8000
    eventually fetch http://n1:8000/hostname --socks5-hostname localhost:1080
    eventually fetch http://n2:8000/hostname --socks5-hostname localhost:1080
    same n1 "$(fetch http://n1:8000/hostname --socks5-hostname localhost:1080)"
    same n2 "$(fetch http://n2:8000/hostname --socks5-hostname localhost:1080)"
    same n1 "$(fetch http://localhost:8000/hostname --socks5-hostname localhost:1080)"
    same n2 "$(fetch http://n2:8000/hostname --socks4a localhost:1080)"
    # In any case, by its full name as this host completes names, and by its address.
    same n2 "$(fetch http://N2:8000/hostname --socks5-hostname localhost:1080)"
    same n2 "$(fetch "http://$(address_of n2):8000/hostname" --socks5-hostname localhost:1080)"
    data=$(as user1 sha256sum /etc/ssh/moduli)
    same "$data" "$(fetch http://n2:8000/ssh/moduli --socks5-hostname localhost:1080 |
        sha256sum | sed 's|-|/etc/ssh/moduli|')"
    # Another user is closed off, and other hosts are none of a tunnel's.
    run as user2 curl -s -m 10 --socks5-hostname localhost:1080 http://n1:8000/hostname
    [[ $status != 0 && -z $output ]]
    run fetch http://login:8000/ --socks5-hostname localhost:1080
    same 97 "$status"
    run fetch http://login:8000/ --socks4a localhost:1080
    same 97 "$status"
}

@test "D: with targets=any other hosts are reached, by name and by address" {
    not_under permitopen "no third host is permitted"
    configure optional targets=any
    # shellcheck disable=SC2016 # expanded there
    start web user1 sh -c 'cd /etc && exec python3 -m http.server --bind "$0" 8000' "$(address login)"
    start s user1 srun -w n1 --tunnel D:1080 sleep 600
    eventually says s "SOCKS, through n1"
    eventually fetch http://login:8000/hostname --socks5-hostname localhost:1080
    same login "$(fetch http://login:8000/hostname --socks5-hostname localhost:1080)"
    same login "$(fetch -g "http://$(bracketed login):8000/hostname" --socks5 localhost:1080)"
    # SOCKS 4 knows no other addresses than IPv4's.
    under ipv6 || same login "$(fetch http://10.79.0.1:8000/hostname --socks4 localhost:1080)"
}
