# Removes a cluster, complete or not; `down` and `up` source this file.
# shellcheck shell=bash

# Works on an incomplete state: each step checks what exists.
take_down() {
    thaw
    stop_processes
    remove_groups "$FREEZER_CLUSTER"
    remove_groups "$UNIFIED_CLUSTER"
    remove_state
}

# Thaws frozen processes (suspended jobs): SIGKILL only takes effect after that.
thaw() {
    local file
    [[ -d $FREEZER_CLUSTER ]] || return 0
    while IFS= read -r file; do
        echo THAWED >"$file" || true
    done < <(find "$FREEZER_CLUSTER" -name freezer.state)
}

# Kills the first process of each pid namespace, which ends all processes in the namespace. Mounts,
# links and addresses disappear with the last process in their namespace.
stop_processes() {
    local name pids=() pid
    for name in "${HOSTS[@]}" "$SWITCH"; do
        ! host_pid "$name" || pids+=("$HOST_PID")
    done
    # The cgroups still list the processes if the state folder is lost or incomplete.
    for name in "$FREEZER_CLUSTER" "$UNIFIED_CLUSTER"; do
        [[ -d $name ]] || continue
        while IFS= read -r pid; do
            pids+=("$pid")
        done < <(group_processes "$name")
    done
    ((${#pids[@]} == 0)) || kill -KILL "${pids[@]}" 2>/dev/null || true
    for pid in "${pids[@]}"; do
        wait_until process_gone "$pid" || die "process $pid: survives SIGKILL"
    done
}

group_processes() {
    find "$1" -name cgroup.procs -exec cat {} +
}

process_gone() {
    ! start_time "$1"
}

# A cgroup is busy until its last process has been reaped.
remove_groups() {
    wait_until groups_removed "$1" || die "$1: cannot be removed, it still holds: $(group_processes "$1" | tr '\n' ' ')"
}

groups_removed() {
    [[ ! -d $1 ]] || find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
}

remove_state() {
    # The file `cluster` marks the folder as ours. One file system only, in case a mount is left in
    # it.
    [[ ! -f $STATE/cluster ]] || rm -rf --one-file-system "$STATE"
}
