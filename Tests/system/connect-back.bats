#!/usr/bin/env bats
# A tunnel through srun carries its bytes between the two hosts: the node connects back to the keeper. What
# strangers and firewalls make of that.

load helpers

setup_file() { service n1 sshd stop; }

teardown_file() { service n1 sshd start; }

setup() { configure required transport=srun; }

teardown() {
    firewall -F OUTPUT
    sed -i '/^SrunPortRange=/d' "$STATE/slurm/slurm.conf"
    rm -rf "$STATE/home/user1/held" "$STATE/home/user1/port" "$STATE/home/user1/go"
    clean_up
}

# firewall WORD...: iptables for n1, which has no copy of it where this machine got it later.
firewall() { nsenter -t "$(host_init n1)" -n /usr/sbin/iptables "$@"; }

# hold_srun: user1's next tunnels find an srun that waits, when it is the tunnel's, until it is let go; the
# keeper's port is open by then.
hold_srun() {
    as user1 mkdir -p held
    as user1 sh -c 'cat >held/srun; chmod 755 held/srun' <<WRAPPER
#!/bin/sh
echo "\${SPUNNEL_CALLBACK%%:*}" >\$HOME/port.new
mv \$HOME/port.new \$HOME/port
until [ -e \$HOME/go ]; do sleep 0.05; done
exec $(slurm_program srun) "\$@"
WRAPPER
    start s user1 sh -c "PATH=\$HOME/held:\$PATH exec $(slurm_program srun) -w n1 --tunnel 8001:8000 \
        /home/tools/service.py 8000"
    eventually test -s "$STATE/home/user1/port"
    port=$(cat "$STATE/home/user1/port")
}

let_go() {
    as user1 touch go
    eventually says s serving
}

# stranger HOST PORT COUNT: user2 connects to the login host's port COUNT times from there and says little,
# and then again and again.
stranger() {
    # shellcheck disable=SC2016 # Python's
    start_on "$1" "stranger$1" user2 python3 -uc '
import resource, socket, sys, time
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
end, count, kept = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3]), []
for number in range(count):
    try:
        kept.append(socket.create_connection(end, 5))
        if number % 3 == 0: kept[-1].send(b"0" * 63)
        if number % 3 == 1: kept[-1].send(b"0" * 64)
    except OSError: pass
print("there")
while True:
    try: socket.create_connection(end, 1).close()
    except OSError: pass
    time.sleep(0.001)' "$(address login)" "$2" "$3"
    eventually says "stranger$1" there
}

# inner_ports: those of the tunnel's own srun.
inner_ports() {
    local pids
    pids=$(processes srun | awk '/ --job-name=spunnel / { print $2 }' | paste -sd'|')
    nsenter -t "$(host_init login)" -n ss -Hltnp | grep -E "pid=($pids)," | awk '{ sub(/.*:/, "", $4); print $4 }'
}

log_of() { record "$(step "$1")" log; }

@test "the bytes go between the hosts, and the port for the node is closed once they do" {
    hold_srun
    nsenter -t "$(host_init login)" -n ss -Hltn | awk '{ print $4 }' | grep -E ":$port\$"
    let_go
    answers n1:8000 user1 8001 name
    # By the name of ssh, a connection to that port.
    nsenter -t "$(host_init login)" -n ss -Htnp "sport = :$port" | grep -F '"ssh"'
    run bash -c "nsenter -t $(host_init login) -n ss -Hltn | grep -E ':$port '"
    same 1 "$status"
    through s srun
    lacks_detour s
}

lacks_detour() {
    ! grep -F 'detour' "$(record "$(step "$1")" status)" && ! grep -F 'connect back' "$(log_of "$1")"
}

@test "strangers by the thousand, silent, slow and guessing, from both hosts, delay no start" {
    hold_srun
    stranger login "$port" 1500
    stranger n1 "$port" 1500
    let_go
    answers n1:8000 user1 8001 name
    through s srun
    lacks_detour s
    grep -E "closed [0-9]+ connections to port $port that did not know the tunnel's secret" "$(log_of s)"
    eventually frees_for_all
}

frees_for_all() { ! nsenter -t "$(host_init login)" -n ss -Hltn | grep -E ":$port "; }

@test "a stranger is told nothing, and a copy of half a secret is worth nothing" {
    hold_srun
    # shellcheck disable=SC2016 # Python's
    same "b''" "$(host n1 user2 python3 -c '
import socket, sys
end = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
end.send(b"a" * 64)
end.settimeout(10)
print(end.recv(100))' "$(address login)" "$port")"
    let_go
    answers n1:8000 user1 8001 name
}

@test "idle connections of strangers to srun's own ports stop nothing, for longer than srun waits" {
    local before held now end host number=0
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    before=$(ssh_of "$(step s)")
    for held in $(inner_ports); do
        for host in login n1; do
            number=$((number + 1))
            # shellcheck disable=SC2016 # Python's
            start_on "$host" "idle$number" user2 python3 -uc '
import socket, sys, time
end = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
print("held")
time.sleep(60)' "$(address login)" "$held"
            eventually says "idle$number" held
        done
    done
    ((number >= 4))
    read -r now _ </proc/uptime
    end=$((${now/./} + 1200))
    while ((${now/./} < end)); do
        answers same user1 8001 source 100000
        read -r now _ </proc/uptime
    done
    same "$before" "$(ssh_of "$(step s)")"
}

@test "the secrets are in no argument, and in no environment of the node" {
    local secret
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    secret=$(tr '\0' '\n' <"/proc/$(processes srun | awk '/ --job-name=spunnel / { print $2; exit }')/environ" |
        sed -n 's/^SPUNNEL_CALLBACK=[0-9]*:\(.*\):.*/\1/p')
    same 64 "${#secret}"
    # shellcheck disable=SC2046 # process ids
    same "" "$(holders cmdline "$secret" $(processes ssh sh srun spunnel-sshd sshd | awk '{ print $2 }'))"
    # shellcheck disable=SC2046
    same "" "$(holders environ "$secret" $(processes spunnel-sshd sshd ssh | awk '{ print $2 }'))"
}

# holders FILE TEXT PID...: the processes that have the text in that file of /proc.
holders() {
    local pid
    for pid in "${@:3}"; do
        if grep -qaF "$2" "/proc/$pid/$1"; then echo "$pid"; fi
    done
}

# falls_back TARGET: a firewall of the node's does that to what goes to the keeper's port.
falls_back() {
    hold_srun
    firewall -A OUTPUT -p tcp --dport "$port" -j "$1"
    let_go
    answers n1:8000 user1 8001 name
    answers same user1 8001 source 1000000
    answers same user1 8001 sum 1000000
    through s srun
    grep -F "cannot connect back to $(address login), port $port" "$(log_of s)"
    run as user1 spunnelctl status "$(job s)"
    holds "n1 cannot connect back to $(address login), port $port"
    run as user1 spunnelctl status --json
    holds '"detour"'
    cancel s
    soon nothing_left
}

@test "a firewall that drops what the node sends: through srun, told in log and status" {
    falls_back DROP
}

@test "a firewall that refuses what the node sends: through srun, told in log and status" {
    falls_back REJECT
}

@test "the port is one of SrunPortRange" {
    echo "SrunPortRange=61001-61040" >>"$STATE/slurm/slurm.conf"
    hold_srun
    ((port >= 61001 && port <= 61040))
    let_go
    answers n1:8000 user1 8001 name
}

@test "a SrunPortRange that is too small for the tunnel: no tunnel, the reason, and the job runs" {
    echo "SrunPortRange=61001-61006" >>"$STATE/slurm/slurm.conf"
    configure optional transport=srun
    run as user1 srun -N2 --tunnel ':all:8000' echo the job ran
    same 0 "$status"
    holds "the job ran"
    holds "SrunPortRange=61001-61006 has "
    holds "ask your administrator for a wider range"
}
