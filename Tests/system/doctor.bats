#!/usr/bin/env bats
# spunnelctl doctor and check-config: each thing that a tunnel needs is broken for real, found and mended.

load helpers

teardown() {
    local sshd=$STATE/n1/etc/ssh
    own_config_gone
    n1_takes_logins
    cp "$STATE/keys/ssh_known_hosts" "$STATE/login/etc/ssh/ssh_known_hosts"
    if [[ -e $sshd/sshd_config.d/test.conf ]]; then
        rm "$sshd/sshd_config.d/test.conf"
        service n1 sshd restart
    fi
    sed -i '/^SrunPortRange=/d' "$STATE/slurm/slurm.conf"
    service login munged start
    service login slurmctld start
    for file in "$PREFIX/lib/spunnel/libSpunnel.so" "$PREFIX/libexec/spunnel/spunnel-"{jobs,keeper,sshd} /etc/fuse.conf; do
        host login root umount "$file" 2>/dev/null || true
        host n1 root umount "$file" 2>/dev/null || true
    done
    rm -f "$STATE/home/tools/"{stand-in,plugin.so,plugstack.conf,without}
    clean_up
}

doctor() { run as user1 spunnelctl doctor "$@"; }

# finds NAME TEXT ADVICE: the doctor tells that this check is wrong, and what to do.
finds() {
    local line
    same 1 "$status"
    line=$(grep -A 1 -F -- "$1:" <<<"$output" | grep -A 1 "WRONG\|UNKNOWN")
    [[ $line == *"$1: "*"$2"*"do: "*"$3"* ]] || {
        echo "'$1: … $2 … do: … $3' is not in: $output"
        return 1
    }
}

# sound NAME TEXT: that check is well.
sound() {
    grep -F -- "$1: " <<<"$output" | grep -E "^  (ok|-) " | grep -F -- "$2" || {
        echo "'$1: … $2' is not well in: $output"
        return 1
    }
}

# replaces PROGRAM FILE [HOST]: a host has this file in place of one of ours.
replaces() { host "${3:-login}" root mount --bind "$1" "$2"; }

@test "on a sound host all is well, with tunnels both ways, and exit status and JSON say so" {
    doctor n1
    same 0 "$status"
    same "all is well" "${lines[-1]}"
    for name in "line in plugstack.conf" "arguments of the line" "the plugin's file" "built for the Slurm here" \
        "--tunnel in srun --help" "the core" spunnel-keeper "one build" "spunnel-jobs answers" "munge answers" \
        "slurmctld answers" "this host's clock" "ports for srun" "place for records" "owner of a connection" \
        "tunnels after logout" "limit of open files" "left over records" "a tunnel through srun"; do
        sound "$name" ""
    done
    no_ssh || sound "a tunnel by ssh" "open before the task started"
    run as user1 spunnelctl doctor --json
    jq -e '.version == 1 and .well and (.checks | length > 20) and all(.checks[]; .verdict != "wrong")' <<<"$output"
    eventually no_jobs
}

@test "the plugin: no line, two lines, a wrong argument, no file, a file that others may change" {
    "$CLUSTER/plugstack" "# nothing"
    doctor
    finds "line in plugstack.conf" "no line loads spunnel.so" "add 'optional $PREFIX/lib/spunnel/spunnel.so'"
    "$CLUSTER/plugstack" "optional $PLUGIN"$'\n'"required $PLUGIN"
    doctor
    finds "line in plugstack.conf" "2 lines load the plugin" "leave one of them"
    configure optional tiemout=5
    doctor
    finds "arguments of the line" ":1: unknown argument 'tiemout=5'" "correct the line"
    "$CLUSTER/plugstack" "optional /nowhere/spunnel.so"
    doctor
    finds "the plugin's file" "/nowhere/spunnel.so: No such file" "install Spunnel there"
    cp "$PLUGIN" "$STATE/home/tools/spunnel.so"
    chmod 777 "$STATE/home/tools/spunnel.so"
    "$CLUSTER/plugstack" "optional /home/tools/spunnel.so"
    doctor
    finds "the plugin's file" "mode 777" "slurmd loads the plugin as root"
    rm "$STATE/home/tools/spunnel.so"
}

@test "the installation: no core, a keeper of another build, a helper that cannot run" {
    : >"$STATE/home/tools/stand-in"
    chmod 000 "$STATE/home/tools/stand-in"
    replaces /home/tools/stand-in "$PREFIX/lib/spunnel/libSpunnel.so"
    doctor
    finds "the core" "Permission denied" "install Spunnel as a whole"
    host login root umount "$PREFIX/lib/spunnel/libSpunnel.so"
    sed 's/spunnel-build<[^>]/spunnel-build<X/' "$PREFIX/libexec/spunnel/spunnel-keeper" >"$STATE/home/tools/stand-in"
    chmod 755 "$STATE/home/tools/stand-in"
    replaces /home/tools/stand-in "$PREFIX/libexec/spunnel/spunnel-keeper"
    doctor
    finds "one build" "spunnel-keeper is of 'X" "install all of one build"
    host login root umount "$PREFIX/libexec/spunnel/spunnel-keeper"
    printf '#!/bin/sh\necho "error while loading shared libraries: libslurm.so.99" >&2; exit 127\n' \
        >"$STATE/home/tools/stand-in"
    replaces /home/tools/stand-in "$PREFIX/libexec/spunnel/spunnel-jobs"
    doctor
    finds "spunnel-jobs answers" "libslurm.so.99" "make slurm && make install-slurm"
    finds "built for the Slurm here" "unknown" "make slurm && make install-slurm"
}

@test "Slurm: munge, slurmctld, the clock, and ports for srun" {
    service login munged stop
    doctor
    finds "munge answers" "munged" "systemctl start munge"
    service login munged start
    service login slurmctld stop
    doctor
    finds "slurmctld answers" "DOWN" "scontrol ping"
    service login slurmctld start
    run as user1 faketime -f -10m spunnelctl doctor
    finds "this host's clock" "behind slurmctld's" "NTP"
    echo "SrunPortRange=61001-61004" >>"$STATE/slurm/slurm.conf"
    doctor
    finds "ports for srun" "SrunPortRange=61001-61004: 4 are free" "ask your administrator for a wider range"
}

@test "this host: the place for records, limits, who connects, and what crashed" {
    configure optional state_dir=/nowhere
    doctor
    finds "place for records" "/nowhere" "state_dir="
    configure optional
    run as user1 sh -c 'ulimit -n 256; spunnelctl doctor'
    finds "limit of open files" "256, and 1024 are needed" "nofile"
    gcc -std=gnu11 -Wall -Wextra -Werror "$TESTS/without.c" -o "$STATE/home/tools/without"
    run as user1 /home/tools/without sock_diag spunnelctl doctor
    finds "owner of a connection" "ask the kernel who connects" "modprobe tcp_diag"
    echo user_allow_other >"$STATE/home/tools/stand-in"
    replaces /home/tools/stand-in /etc/fuse.conf
    doctor
    sound "mounts of users" "user_allow_other is set"
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    crash "$(step s)"
    eventually shown_stale
    doctor
    finds "left over records" "1 of tunnels that crashed: $(step s)" "spunnelctl clean"
    as user1 spunnelctl clean
}

shown_stale() { [[ $(as user1 spunnelctl status) == *" stale "* ]]; }

@test "the node: a login that is refused, a host key, forwarding, and the helper on the node" {
    only_ssh
    configure optional transport=ssh
    n1_takes_no_login
    doctor n1
    finds "ssh without a question" "Permission denied" "make ssh n1 work without a question"
    finds "a tunnel by ssh" "Permission denied" ""
    configure optional
    doctor n1
    sound "ssh without a question" "tunnels to n1 go through srun"
    n1_takes_logins
    configure optional transport=ssh
    : >"$STATE/login/etc/ssh/ssh_known_hosts"
    doctor n1
    finds "ssh without a question" "Host key verification failed" "accept it"
    cp "$STATE/keys/ssh_known_hosts" "$STATE/login/etc/ssh/ssh_known_hosts"
    echo "AllowTcpForwarding no" >"$STATE/n1/etc/ssh/sshd_config.d/test.conf"
    service n1 sshd restart
    doctor n1
    finds "sshd forwards" "forbids forwarding" "AllowTcpForwarding"
    configure optional transport=srun
    : >"$STATE/home/tools/stand-in"
    replaces /home/tools/stand-in "$PREFIX/libexec/spunnel/spunnel-sshd" n1
    doctor n1
    finds "a tunnel through srun" "Permission denied" ""
}

only_ssh() { [[ -z $POLICY ]] || skip "for a cluster without policies"; }

@test "a word that is no node's is refused" {
    doctor 'n1 n2'
    same 2 "$status"
    holds "doctor: 'n1 n2' is no node's name: sinfo --Node lists them"
}

# --- check-config ------------------------------------------------------------------------------

@test "check-config says nothing of a sound line, and where a wrong one is" {
    local file=/home/tools/plugstack.conf
    configure required
    run as user1 spunnelctl check-config
    same 0 "$status"
    same "" "$output"
    printf '# ours\n\noptional %s timeout=0 # half\n' "$PLUGIN" >"$STATE$file"
    run as user1 spunnelctl check-config "$file"
    same 1 "$status"
    same "spunnelctl: check-config: $file:3: malformed argument 'timeout=0': write whole seconds from 1 to 3600, as in timeout=15: correct the line: until then each srun --tunnel fails" "$output"
    printf 'include sub.d/*.conf\n' >"$STATE$file"
    run as user1 spunnelctl check-config "$file"
    same 1 "$status"
    holds "no line loads spunnel.so in $file"
    run as user1 spunnelctl check-config /nowhere
    same 1 "$status"
    same "spunnelctl: check-config: '/nowhere': No such file or directory" "$output"
    as user1 spunnelctl check-config "$file" --json | jq -e '.well == false' || [[ $? == 1 ]]
}
