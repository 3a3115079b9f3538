# A separate machine for the tests of `spunnelctl cluster`, in namespaces: its own processes,
# network, /tmp, /run and accounts. The tests leave nothing behind and meet no other Slurm.
# shellcheck shell=bash

PREFIX=${SPUNNEL_TEST_PREFIX:-/opt/spunnel-test}
# SPUNNEL_SLURM, if set, comes before the machine's own Slurm.
SLURM_PATH=${SPUNNEL_SLURM:+$SPUNNEL_SLURM/bin:$SPUNNEL_SLURM/sbin:}

# machine_start: makes the machine with user1 and user2. MACHINE is its folder, of which it sees
# parts as /home and /tmp.
machine_start() {
    MACHINE=$(mktemp -d /tmp/spunnel-machine.XXXXXX)
    chmod 0755 "$MACHINE"
    mkdir -p "$MACHINE"/{tmp,run,empty,home/user1,home/user2,home/root}
    chmod 1777 "$MACHINE/tmp"
    cp /etc/passwd "$MACHINE/passwd"
    cp /etc/group "$MACHINE/group"
    sed -i '/^user[0-9]:/d; s|^root:\([^:]*:[^:]*:[^:]*:[^:]*\):[^:]*|root:\1:/home/root|' "$MACHINE/passwd"
    sed -i '/^user[0-9]:/d' "$MACHINE/group"
    # The folder where the programs of a coverage run leave their profiles.
    local profiles=${SPUNNEL_CLUSTER_DIR:-/run/spunnel-cluster}/home/profiles number
    [[ ! -d $profiles ]] || mkdir "$MACHINE/home/profiles"
    for number in 1 2; do
        printf 'user%d:x:%d:%d::/home/user%d:/bin/bash\n' \
            $number $((71000 + number)) $((71000 + number)) $number >>"$MACHINE/passwd"
        printf 'user%d:x:%d:\n' $number $((71000 + number)) >>"$MACHINE/group"
        chown $((71000 + number)):$((71000 + number)) "$MACHINE/home/user$number"
        chmod 0700 "$MACHINE/home/user$number"
    done
    (
        cd /
        close_bats_descriptors
        # shellcheck disable=SC2016 # expanded in there
        exec setsid unshare --mount --pid --net --ipc --uts --fork --kill-child bash -c '
            set -e
            mount --make-rprivate /
            hostname machine
            ip link set lo up
            mount --bind "$1/passwd" /etc/passwd
            mount --bind "$1/group" /etc/group
            for folder in /etc/slurm /etc/munge; do
                [[ ! -d $folder ]] || mount --bind "$1/empty" "$folder"
            done
            mount --bind "$1/home" /home
            [[ ! -d $1/home/profiles ]] || mount --bind "$2" /home/profiles
            mount -t tmpfs -o mode=0755 tmpfs /run
            mount --bind "$1/tmp" /tmp
            mount -t proc proc /proc
            exec env -i PATH=/usr/bin:/bin tini -- sleep infinity
        ' machine "$MACHINE" "$profiles"
    ) </dev/null >"$MACHINE/log" 2>&1 &
    MACHINE_OUTER=$!
    wait_until 30 machine_ready
}

machine_ready() {
    MACHINE_PID=$(pgrep -P "$MACHINE_OUTER" -x tini) && [[ -n $MACHINE_PID ]]
}

# machine_stop: kills the machine's first process, which ends all the others.
machine_stop() {
    [[ -z ${MACHINE_PID:-} ]] || kill -KILL "$MACHINE_PID" 2>/dev/null || true
    [[ -z ${MACHINE_OUTER:-} ]] || wait_until 30 process_gone "$MACHINE_OUTER"
    [[ -z ${MACHINE:-} ]] || rm -rf --one-file-system "$MACHINE"
}

process_gone() { [[ ! -d /proc/$1 ]]; }

# bats waits for every process that holds its descriptors.
close_bats_descriptors() {
    local link fd
    for link in /proc/"$BASHPID"/fd/*; do
        fd=${link##*/}
        ((fd <= 2 || fd == 255)) || eval "exec $fd>&-" 2>/dev/null
    done
}

# as USER COMMAND…: runs a command on the machine as in a new login. VARIABLES are added to its
# environment.
as() {
    local user=$1 id home
    shift
    id=$(awk -F: -v user="$user" '$1 == user { print $3 }' "$MACHINE/passwd")
    home=$(awk -F: -v user="$user" '$1 == user { print $6 }' "$MACHINE/passwd")
    machine_as "$id" "$home" "$@"
}

# machine_as UID HOME COMMAND…: the same for a user id.
machine_as() {
    local id=$1 home=$2
    shift 2
    timeout --foreground "${LIMIT:-60}" \
        nsenter --target "$MACHINE_PID" --mount --pid --net --ipc --uts \
        setpriv --reuid "$id" --regid "$id" --clear-groups --reset-env \
        env -C "$home" PATH="$PREFIX/bin:$SLURM_PATH/usr/bin:/bin" HOME="$home" "${VARIABLES[@]}" "$@"
}
VARIABLES=()

# on_machine COMMAND…: runs a command as root, with nothing of a user's environment.
on_machine() {
    timeout --foreground 60 nsenter --target "$MACHINE_PID" --mount --pid --net --ipc --uts \
        env -i PATH="$SLURM_PATH/usr/sbin:/usr/bin:/sbin:/bin" "$@"
}

# wait_until SECONDS COMMAND…: repeats a command until it succeeds. Fails at the deadline.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || return 1
        sleep 0.02
    done
}

# daemons [USER]: lists the daemons and job steps that run on the machine.
daemons() {
    on_machine ps -eo stat=,user=,args= | awk -v user="${1:-}" '
        $1 !~ /^Z/ && (user == "" || $2 == user) && $3 ~ /(munged|slurmctld|slurmd|slurmstepd:?|sshd:?|ssh|spunnel-[a-z]*)$/'
}

no_daemons() { [[ -z $(daemons "$@") ]]; }

# pid_of DAEMON [NAME]: a daemon's process id inside the machine.
pid_of() {
    as user1 spunnelctl cluster status --json --name "${2:-default}" |
        jq -r --arg name "$1" '.daemons[] | select(.name == $name) | .pid'
}
