#!/usr/bin/env bats
# The RPM packages: built by Debian's rpmbuild, installed and removed by rpm in a root of its own.

load helpers

# shellcheck disable=SC2016 # expanded in there
ROOT_OF_ITS_OWN='
    mount -t tmpfs tmpfs /mnt
    mkdir /mnt/upper /mnt/work /mnt/root
    mount -t overlay over -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
    mount --bind "$1" /mnt/root/media
    mount --bind /proc /mnt/root/proc
    rm -rf /mnt/root/etc/slurm/plugstack.conf.d
    exec chroot /mnt/root bash -ec "$2"'

# in_root COMMANDS: in a copy of the machine that nobody else sees, with the packages in /media.
in_root() { run unshare --mount bash -ec "$ROOT_OF_ITS_OWN" root "$BATS_FILE_TMPDIR/rpms" "$1"; echo "$output"; }

setup_file() {
    PREBUILT=${PREBUILT:-$REPOSITORY/.build/release} "$REPOSITORY/Packaging/rpm" "$BATS_FILE_TMPDIR/rpms"
}

@test "spunnel depends on no Slurm, and spunnel-slurm on its release alone" {
    run rpm -qp --requires "$BATS_FILE_TMPDIR"/rpms/spunnel-[0-9]*.rpm
    lacks "slurm"
    lacks "swift"
    run rpm -qp --requires "$BATS_FILE_TMPDIR"/rpms/spunnel-slurm-*.rpm
    version=$(slurmctld -V)
    version=${version#* }
    holds "slurm >= ${version%.*}"
    holds "slurm < "
    holds "spunnel = "
}

@test "installed, the plugin is where Slurm looks, and its line is in plugstack.conf.d" {
    in_root 'rpm --nodeps -i /media/*.rpm 2>&1
        readlink -e /usr/lib64/slurm/spunnel.so
        cat /etc/slurm/plugstack.conf.d/spunnel.conf
        spunnelctl --version
        ls /usr/libexec/spunnel'
    [[ $status == 0 ]]
    holds "/usr/lib/spunnel/spunnel.so"
    holds "optional spunnel.so"
    holds "spunnel-keeper"
    holds "spunnel-jobs"
    # Debian's plugstack.conf reads the folder already.
    lacks "add this line"
}

@test "where plugstack.conf does not read the folder, the line to add is printed" {
    in_root 'echo >/etc/slurm/plugstack.conf; rpm --nodeps -i /media/*.rpm 2>&1'
    [[ $status == 0 ]]
    holds "spunnel-slurm: /etc/slurm/plugstack.conf does not read /etc/slurm/plugstack.conf.d: add this line to it:"
    holds "    include /etc/slurm/plugstack.conf.d/*.conf"
}

@test "removed, nothing is left but the site's line, which is back after the next installation" {
    in_root 'rpm --nodeps -i /media/*.rpm
        echo "optional spunnel.so quiet" >/etc/slurm/plugstack.conf.d/spunnel.conf
        rpm --nodeps -U --force /media/*.rpm
        cat /etc/slurm/plugstack.conf.d/spunnel.conf
        rpm --nodeps -e spunnel spunnel-slurm
        ls /etc/slurm/plugstack.conf.d
        ls -d /usr/lib/spunnel /usr/libexec/spunnel /usr/share/spunnel /usr/bin/spunnelctl /usr/lib64/slurm/spunnel.so 2>&1 || true
        rpm --nodeps -i /media/*.rpm
        cat /etc/slurm/plugstack.conf.d/spunnel.conf'
    [[ $status == 0 ]]
    [[ $(grep -cF "optional spunnel.so quiet" <<<"$output") == 2 ]]
    holds "spunnel.conf.removed"
    [[ $(grep -c "No such file" <<<"$output") == 5 ]]
}
