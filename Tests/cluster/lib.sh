# Names, paths and functions that the scripts of the test cluster share. Other scripts source this
# file.
# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is used by the scripts

set -euo pipefail

CLUSTER_SOURCE=${BASH_SOURCE[0]%/*}
[[ $CLUSTER_SOURCE == /* ]] || CLUSTER_SOURCE=$PWD/${CLUSTER_SOURCE#./}
CLUSTER_SOURCE=${CLUSTER_SOURCE%/.}
PROGRAM=${0##*/}

# Many users' PATH lacks sbin, which has nsenter and the daemons.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

STATE=${SPUNNEL_CLUSTER_DIR:-/run/spunnel-cluster}
STATE=${STATE%/}
declare -A ADDRESS=([login]=10.79.0.1 [login2]=10.79.0.2 [n1]=10.79.0.11 [n2]=10.79.0.12)

# find_hosts: sets HOSTS from the state folder; only some policies have a second login host.
find_hosts() {
    HOSTS=(login n1 n2)
    [[ ! -d $STATE/login2 ]] || HOSTS+=(login2)
}
find_hosts

# Most tests use two users; some use all ten.
USERS=(user{1..10})

# The switch is a network namespace that holds the bridge. It is the far end of every cable, so that
# `link login down` works too, and the machine's own network sees neither bridge nor cables.
SWITCH=switch

# proctrack/cgroup needs only the freezer hierarchy. The folder is named after the state folder, so
# that two clusters, and the machine's own Slurm, stay apart.
FREEZER=/sys/fs/cgroup/freezer
STATE_NAME=${STATE#/}
FREEZER_CLUSTER=$FREEZER/${STATE_NAME//\//-}

# The cgroups of a host with systemd are in the machine's cgroup v2 hierarchy, wherever that is
# mounted.
UNIFIED=/sys/fs/cgroup
[[ ! -e $UNIFIED/unified/cgroup.procs ]] || UNIFIED+=/unified
UNIFIED_CLUSTER=$UNIFIED/${STATE_NAME//\//-}

# The deadline is generous for a loaded machine. On a quiet machine every step takes less than a
# second.
DEADLINE_SECONDS=30

die() {
    printf '%s: %s\n' "$PROGRAM" "$*" >&2
    exit 1
}

say() {
    printf '%s: %s\n' "$PROGRAM" "$*"
}

# Prints the last lines of a log as one line, so that an error stays on one line.
log_tail() {
    tail -n "${2:-3}" "$1" 2>/dev/null | tr '\n' '|' | sed 's/|$//; s/|/ | /g'
}

# Repeats a command until it succeeds. Fails at the deadline.
wait_until() {
    local deadline=$((SECONDS + DEADLINE_SECONDS))
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.01
    done
}

require_root() {
    ((EUID == 0)) || die "namespaces for a cluster: needs root, runs as uid $EUID"
}

require_host() {
    [[ -v ADDRESS[$1] ]] || die "host '$1': unknown, the cluster has ${HOSTS[*]}"
}

# `up`, `down` and `service` exclude each other. They lock this file, which exists in any case, so
# no lock file has to be removed.
lock_cluster() {
    exec {CLUSTER_LOCK}<"$CLUSTER_SOURCE/lib.sh"
    flock "$CLUSTER_LOCK"
}

# Descriptors above 2 belong to the caller: a lock here, bats' own 3 and 4. A daemon that kept one
# of them would hold the lock for ever, or make bats wait for its end.
close_inherited_descriptors() {
    local link fd
    for link in /proc/"$BASHPID"/fd/*; do
        fd=${link##*/}
        ((fd <= 2 || fd == 255)) || eval "exec $fd>&-" 2>/dev/null
    done
}

# A process is identified by its id and start time, because ids are reused.
# start_time PID: sets START_TIME; fails if the process has ended, reaped or not.
start_time() {
    local stat fields
    START_TIME=
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    # The command's name, in parentheses, may contain spaces, so fields are counted after it.
    read -ra fields <<<"${stat##*) }"
    [[ ${fields[0]} != [ZX] ]] || return 1
    START_TIME=${fields[19]}
}

# record_process NAME PID: records the first process of a host or of the switch.
record_process() {
    start_time "$2" || die "$1: its first process ended at once"
    printf '%s %s\n' "$2" "$START_TIME" >"$STATE/$1/init"
}

# host_pid NAME: sets HOST_PID to the recorded first process; fails if it has ended.
host_pid() {
    local started
    HOST_PID=
    { read -r HOST_PID started <"$STATE/$1/init"; } 2>/dev/null || return 1
    start_time "$HOST_PID" && [[ $START_TIME == "$started" ]]
}

require_running_host() {
    require_host "$1"
    host_pid "$1" || die "host '$1': not running, start the cluster with $CLUSTER_SOURCE/up"
}

# enter HOST COMMAND [ARGUMENT...]: replaces this shell by a command on the host, as root. The
# caller must have called host_pid.
enter() {
    exec nsenter --target "$HOST_PID" --mount --uts --ipc --net --pid --cgroup -- "$@"
}

# on HOST COMMAND [ARGUMENT...]: runs a command on the host as root, with a clean environment.
on() {
    host_pid "$1" || return 1
    (
        close_inherited_descriptors
        enter env -i -C / --default-signal PATH="$PATH" HOME=/root "${@:2}"
    )
}

# --- Daemons ---------------------------------------------------------------------------------

daemon_names() {
    case $1 in
    login) echo munged sshd slurmctld ;;
    login2) echo munged sshd ;;
    *) echo munged sshd slurmd ;;
    esac
}

# daemon_pid HOST DAEMON: sets DAEMON_PID to the daemon's id inside the host; fails if it does not
# run. It reads the host's /proc and /run through the host's first process, which costs no fork.
daemon_pid() {
    local root name
    DAEMON_PID=
    host_pid "$1" || return 1
    root=/proc/$HOST_PID/root
    { read -r DAEMON_PID <"$root/run/$2/$2.pid"; } 2>/dev/null || return 1
    { read -r name <"$root/proc/$DAEMON_PID/comm"; } 2>/dev/null && [[ $name == "$2" ]]
}

daemon_gone() {
    ! daemon_pid "$@"
}

# daemon_start HOST DAEMON: starts a daemon and waits for its pid file. Each daemon writes that file
# after it listens.
daemon_start() {
    local host=$1 daemon=$2 log=$STATE/$1/log/$2.log output=$STATE/$1/log/$2.out command
    host_pid "$host" || die "$daemon on $host: the host is not running"
    daemon_pid "$host" "$daemon" && return
    case $daemon in
    munged)
        # The default place of the seed file, /var/lib/munge, belongs to the machine.
        command=(setpriv --reuid munge --regid munge --init-groups
            munged --num-threads=2 --key-file=/etc/munge/munge.key --seed-file=/run/munged/seed
            --pid-file=/run/munged/munged.pid --log-file=/var/log/munged.log)
        ;;
    sshd) command=(/usr/sbin/sshd -E /var/log/sshd.log) ;;
    slurmctld) command=(slurmctld -i) ;;
    slurmd) command=(slurmd) ;;
    esac
    rm -f "/proc/$HOST_PID/root/run/$daemon/$daemon.pid"
    (
        close_inherited_descriptors
        # nsenter joins the cgroup namespace, but not the cgroup.
        join_groups "$host" /daemons
        realistic_limits
        umask 022
        enter env -i -C / --default-signal PATH="$PATH" "${command[@]}"
    ) </dev/null >"$output" 2>&1 || die "$daemon on $host: exit status $?: $(log_tail "$output")$(log_tail "$log" 2)"
    wait_until daemon_pid "$host" "$daemon" || die "$daemon on $host: not started: $(log_tail "$log")"
}

# daemon_stop HOST DAEMON: ends the daemon itself. Its ssh sessions and job steps go on, as under a
# service manager.
daemon_stop() {
    local host=$1 daemon=$2
    daemon_pid "$host" "$daemon" || return 0
    on "$host" kill -TERM "$DAEMON_PID" 2>/dev/null || true
    wait_until daemon_gone "$host" "$daemon" || die "$daemon on $host: still runs after SIGTERM"
}

# join_groups HOST [FOLDER]: moves this process into the cgroups of the host, if the cluster has
# any. On a host with systemd, FOLDER selects a cgroup beside systemd's own.
join_groups() {
    [[ ! -d $FREEZER_CLUSTER ]] || echo "$BASHPID" >"$FREEZER_CLUSTER/$1/cgroup.procs"
    [[ ! -d $UNIFIED_CLUSTER/$1 ]] || echo "$BASHPID" >"$UNIFIED_CLUSTER/$1${2:-}/cgroup.procs"
}

# Sets the limits of an ordinary login. If the machine's own hard limit is lower, it stays.
realistic_limits() {
    ulimit -Hn 524288 2>/dev/null || true
    ulimit -Sn 1024 2>/dev/null || true
}

# write_plugstack TEXT: replaces plugstack.conf. The file is renamed into place, because an srun may
# be reading it. All hosts share its folder.
write_plugstack() {
    local new
    new=$(mktemp "$STATE/slurm/.plugstack.XXXXXX")
    [[ -z $1 ]] || printf '%s\n' "$1" >"$new"
    chmod 0644 "$new"
    mv -f "$new" "$STATE/slurm/plugstack.conf"
}
