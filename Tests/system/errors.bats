#!/usr/bin/env bats
# When there is no tunnel, one line says what ssh said and what to do next.

load helpers

setup() { configure required transport=ssh timeout=60; }

teardown() {
    local sshd=$STATE/n1/etc/ssh
    own_config_gone
    n1_takes_logins
    cp "$STATE/keys/ssh_known_hosts" "$STATE/login/etc/ssh/ssh_known_hosts"
    if [[ -e $sshd/sshd_config.d/test.conf ]]; then
        rm "$sshd/sshd_config.d/test.conf"
        service n1 sshd restart
    fi
    service n1 sshd start
    "$CLUSTER/link" n2 up
    clean_up
}

# no_tunnel TEXT...: under `required` the step fails with one line that has all the texts, and is
# not run. no_tunnel_of SPEC TEXT...: the same beside another step.
no_tunnel() {
    no_tunnel_of 8001:8000 "$@"
    within 2 nothing_left
}

no_tunnel_of() {
    local text line
    run as user1 srun -w n1 --tunnel "$1" echo the job ran
    shift
    [[ $status != 0 ]]
    lacks "the job ran"
    lacks "-> n1:8000"
    same 1 "$(grep -c 'spunnel: no tunnel: ' <<<"$output")"
    line=$(grep 'spunnel: no tunnel: ' <<<"$output")
    for text; do
        [[ $line == *"$text"* ]] || {
            echo "'$text' is not in: $line"
            return 1
        }
    done
    soon nothing_left
}

sshd_says() {
    echo "$1" >"$STATE/n1/etc/ssh/sshd_config.d/test.conf"
    service n1 sshd restart
}

@test "a key that the node does not take" {
    n1_takes_no_login
    no_tunnel "Permission denied (publickey)" "make ssh n1 work without a question first"
}

@test "a host key that nobody knows" {
    : >"$STATE/login/etc/ssh/ssh_known_hosts"
    no_tunnel "Host key verification failed" "run ssh n1 once and accept it"
}

@test "a host key that changed" {
    sed -i "/^n1,/s/.*/n1 $(cut -d' ' -f1,2 "$STATE/keys/n2.pub" | sed 's|/|\\/|g')/" \
        "$STATE/login/etc/ssh/ssh_known_hosts"
    no_tunnel "REMOTE HOST IDENTIFICATION HAS CHANGED" "ssh-keygen -R n1"
}

@test "no sshd on the node" {
    service n1 sshd stop
    no_tunnel "Connection refused" "no sshd answers on n1"
}

@test "an address where nobody is: what the first attempt said is said, though another is under way" {
    # The kernel gives up after three seconds; the second attempt is cut short.
    own_config 'Host n1
        HostName 10.79.0.99'
    no_tunnel "connect to host 10.79.0.99 port 22: " "ask your administrator"
}

@test "a node whose cable is pulled" {
    local job
    job=$(hold user1 -N2)
    # Until n2 knows all of its job, Slurm misses its word for half a minute, and so do the next tests.
    as user1 srun --jobid "$job" --overlap -N2 true
    "$CLUSTER/link" n2 down
    # Then the kernel finds out within seconds.
    host login root ip neigh flush dev eth0
    run as user1 srun --jobid "$job" --overlap -N1 -w n2 --tunnel 8001:8000 echo the job ran
    [[ $status != 0 ]]
    lacks "the job ran"
    holds "spunnel: no tunnel: n2: ssh: connect to host n2 port 22: No route to host"
    soon nothing_left
}

@test "a host that accepts connections and never speaks" {
    start mute user1 srun -w n1 /home/tools/service.py 0.0.0.0:2222
    eventually says mute serving
    own_config 'Host n1
        Port 2222'
    configure required transport=ssh timeout=2
    no_tunnel "n1" "raise timeout="
}

@test "a name without an address" {
    own_config 'Host n1
        HostName no-such-host'
    no_tunnel "Could not resolve hostname no-such-host" "ask your administrator"
}

@test "AllowTcpForwarding no" {
    sshd_says "AllowTcpForwarding no"
    no_tunnel "n1:8000" "administratively prohibited" "AllowTcpForwarding"
}

@test "PermitOpen for another port" {
    sshd_says "PermitOpen localhost:9"
    no_tunnel "n1:8000" "administratively prohibited" "PermitOpen"
}

@test "PermitOpen for the forward's own port is enough" {
    sshd_says "PermitOpen localhost:8000"
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
    cancel s
    no_tunnel_of :8000,:8888 "n1:8888" "administratively prohibited"
}

@test "PermitOpen for the node alone: a third host is refused at the start" {
    sshd_says "PermitOpen localhost:*"
    configure required transport=ssh timeout=5 targets=any
    no_tunnel_of 8001:n2:5432 "n1:5432" "administratively prohibited" "PermitOpen"
}

# serves TEXT: is that the last word of the tunnel's line?
serves() { as user1 spunnelctl status | sed -n 2p | grep -F -- "  $1"; }

@test "AllowStreamLocalForwarding no: ports go on, and a path's first connection finds out why" {
    sshd_says "AllowStreamLocalForwarding no"
    serve s user1 -w n1 --tunnel 8001:8000,8002:/tmp/there.sock,8003:/tmp/absent.sock -- 8000 /tmp/there.sock
    answers n1:8000 user1 8001 name
    answers "closed before a byte" user1 8002 name
    answers "closed before a byte" user1 8003 name
    run as user1 spunnelctl status "$(job s)"
    holds "open failed: connect failed: open failed"
    eventually found listening denied refused
    serves "nothing listens: /tmp/absent.sock; sshd forbids it: /tmp/there.sock"
}

@test "nothing listens on a node's path is said only where it is known" {
    # No command tells either.
    sshd_says $'AllowStreamLocalForwarding no\nForceCommand false'
    serve s user1 -w n1 --tunnel 8002:/tmp/untold.sock -- 8000 /tmp/untold.sock
    answers "closed before a byte" user1 8002 name
    eventually found unreached
    serves "not reached"
}

@test "a service on the node's own address alone: its user is told to have it listen on localhost" {
    serve s user1 -w n1 --tunnel 8001:8000 -- "$(bracketed n1):8000"
    start o user1 spunnelctl open "$(step s)" 8002:8000
    eventually says o "n1:8000"
    answers "closed before a byte" user1 8002 name
    eventually says o "nothing listens at n1:8000 on localhost, where the tunnel ends, but a program does on another address of n1: have it listen on localhost"
    as user1 spunnelctl status --probe
    serves "not on localhost"
}

# found FAR...: is that what is known of the far ends?
found() { same "$*" "$(as user1 spunnelctl status --json | jq -r '[.tunnels[0].forwards[].far] | join(" ")')"; }

@test "the log tells of no refusal that nobody has met with" {
    serve s user1 -w n1 --tunnel 8001:8000,:auto -- 8000
    answers n1:8000 user1 8001 name
    run as user1 spunnelctl status "$(job s)" --probe
    holds " -> n1:8000    listening"
    holds "nothing listens"
    lacks "open failed"
}

@test "no ssh program" {
    configure required transport=ssh ssh_cmd=/nonexistent
    no_tunnel "'/nonexistent'" "set ssh_cmd= in plugstack.conf"
    configure required transport=ssh ssh_cmd=no-such-ssh
    no_tunnel "'no-such-ssh'" "set ssh_cmd= in plugstack.conf"
}

@test "a program that is no ssh: its failure is not taken for success" {
    configure required transport=ssh ssh_cmd=/bin/false
    no_tunnel "ssh ended with status 1" "see whether ssh n1 works"
    configure required transport=ssh ssh_cmd=/bin/true
    no_tunnel "ssh ended with status 0" "see whether ssh n1 works"
}

@test "a damaged ssh configuration of the user's" {
    own_config 'Bogus yes'
    no_tunnel "Bad configuration option: bogus" "mend ~/.ssh/config"
}

@test "forwards, a command and a control path of the user's own configuration do no harm" {
    own_config 'Host *
        LocalForward 8001 localhost:1
        RemoteForward 8001 localhost:1
        RemoteCommand false
        RequestTTY force
        ControlMaster auto
        ControlPath ~/.ssh/shared
        LogLevel QUIET'
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
}

@test "ForkAfterAuthentication in the user's own configuration does no harm" {
    own_config 'ForkAfterAuthentication yes'
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
}

@test "a jump host's ControlMaster, ControlPersist and StdinNull do no harm, and nobody rides on the jump" {
    own_config 'Host n1
        ProxyJump n2,login
    Host *
        ControlMaster auto
        ControlPath ~/.ssh/shared-%h
        ControlPersist 600
        ForkAfterAuthentication yes
        StdinNull yes
        RemoteCommand touch trapped
        PermitLocalCommand yes
        LocalCommand touch trapped
        BatchMode no'
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
    answers same user1 8001 source 1000000
    same "" "$(as user1 find . -name 'shared-*' -o -name trapped)"
    cancel s
    soon nothing_left
}

# over_loopback TEXT: user1's way to n1 is by way of this host's own sshd on ::1; TEXT is for that jump.
over_loopback() {
    not_under ipv4 "no ::1"
    own_config "Host n1
        ProxyJump [::1]:22
    Host ::1
        $1"
}

@test "a jump over an IPv6 address, whatever shell the user has" {
    over_loopback 'HostKeyAlias login'
    start s user1 env SHELL=/bin/false srun -w n1 --tunnel 8001:8000 /home/tools/service.py 8000
    eventually says s serving
    answers n1:8000 user1 8001 name
}

@test "a jump host's key that nobody knows: the jump host is named" {
    over_loopback 'UserKnownHostsFile /dev/null'
    no_tunnel "Host key verification failed" "the host key of ::1 is unknown" "run ssh -p 22 ::1 once"
}

@test "under optional the job goes on without a tunnel, and says so" {
    configure optional transport=ssh timeout=60
    service n1 sshd stop
    run as user1 srun -w n1 --tunnel 8001:8000 echo the job ran
    same 0 "$status"
    holds "spunnel: no tunnel: n1: "
    holds "the job goes on without it"
    holds "the job ran"
    soon nothing_left
}

@test "an sshd that comes back within two seconds is waited for" {
    local turn
    # A slow machine may be late now and then.
    for turn in 1 2 3 4 5; do
        service n1 sshd stop
        start "s$turn" user1 srun -w n1 --tunnel 8001:8000 /home/tools/service.py 8000
        eventually ssh_was_refused
        service n1 sshd start
        eventually is_decided "s$turn"
        ended "s$turn" || break
        finish "s$turn"
    done
    says "s$turn" serving
    answers n1:8000 user1 8001 name
}

is_decided() { says "$1" serving || ended "$1"; }

ssh_was_refused() {
    grep -h "Connection refused" "/proc/$(host_init login)/root/tmp/spunnel-"*/*/log
}
