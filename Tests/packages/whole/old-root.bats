#!/usr/bin/env bats
# What was built here runs on Debian 11, with version 2.31 of the C library and Slurm 20.11: the parts for
# Slurm are compiled there, without Swift, and a tunnel is opened in a personal Slurm.
#
# build/debian-11 is made once, by debootstrap.

load ../helpers

# shellcheck disable=SC2016 # expanded in there
IN_ROOT='
    mount --rbind /dev "$1/dev"
    mount -t proc proc "$1/proc"
    mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
    mount -t tmpfs tmpfs "$1/run"
    hostname old
    ip link set lo up
    printf "127.0.0.1 localhost old\n::1 localhost\n" >"$1/etc/hosts"
    # An init, which buries the daemons.
    exec tini -- chroot "$1" bash -ec "$2"'

# in_root COMMANDS: in the old system, with a network and processes of its own.
in_root() {
    run timeout 300 unshare --mount --uts --net --pid --fork bash -ec "$IN_ROOT" root "$ROOT" "$1"
    echo "$output"
}

setup_file() {
    export ROOT=$OUT/debian-11
    [[ -e $ROOT/made ]] || {
        rm -rf "$ROOT"
        debootstrap --variant=minbase --include=slurmctld,slurmd,slurm-client,libslurm-dev,munge,openssh-server,openssh-client,gcc,make,libc6-dev,python3,procps \
            bullseye "$ROOT" >"$BATS_FILE_TMPDIR/log" 2>&1 || { tail -n 20 "$BATS_FILE_TMPDIR/log"; return 1; }
        chroot "$ROOT" useradd -m someone
        touch "$ROOT/made"
    }
    rm -rf "$ROOT/source" "$ROOT/opt/spunnel"
    "$REPOSITORY/Packaging/copy" "$ROOT/source"
    make_as_root install-core PREFIX=/opt/spunnel DESTDIR="$ROOT"
}

@test "the parts for Slurm are compiled by gcc 10 for Slurm 20.11" {
    in_root 'cd /source && make --silent slurm && make --silent install-slurm PREFIX=/opt/spunnel
        /opt/spunnel/libexec/spunnel/spunnel-jobs version'
    [[ $status == 0 ]]
    holds "slurm 20.11."
}

@test "a tunnel is opened, used and closed with version 2.31 of the C library" {
    # shellcheck disable=SC2016 # expanded in there
    in_root 'su someone -s /bin/bash -c "
        export PATH=/opt/spunnel/bin:\$PATH; cd
        spunnelctl cluster up
        timeout 60 spunnelctl cluster exec srun --tunnel 8001:8000 bash -c \"
            python3 -m http.server --bind 127.0.0.1 8000 >/dev/null 2>&1 &
            for i in {1..100}; do : </dev/tcp/127.0.0.1/8000 && break; sleep 0.1; done 2>/dev/null
            python3 -c \\\"import urllib.request as u; print(u.urlopen(\\\\\\\"http://127.0.0.1:8001/\\\\\\\").status)\\\"\"
        spunnelctl cluster down"'
    [[ $status == 0 ]]
    holds "spunnel: localhost:8001 -> "
    grep -qx 200 <<<"$output"
}
