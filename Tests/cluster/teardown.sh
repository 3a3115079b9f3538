# How a cluster, whole or half-broken, is taken away; `down` and `up` source it.
# shellcheck shell=bash

# Needs no complete state: every step asks what is there.
take_down() {
    thaw
    stop_processes
    remove_groups "$FREEZER_CLUSTER"
    remove_groups "$UNIFIED_CLUSTER"
    remove_state
}

# A frozen process (a suspended job) does not die of SIGKILL before it is thawed.
thaw() {
    local file
    [[ -d $FREEZER_CLUSTER ]] || return 0
    while IFS= read -r file; do
        echo THAWED >"$file" || true
    done < <(find "$FREEZER_CLUSTER" -name freezer.state)
}

# The end of a process-id namespace's first process is the end of all in it. Mounts, links and addresses
# then go with the last process that holds their namespace.
stop_processes() {
    local name pids=() pid
    for name in "${HOSTS[@]}" "$SWITCH"; do
        ! host_pid "$name" || pids+=("$HOST_PID")
    done
    # Found even when the state folder was lost, or was never finished.
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

# A folder is busy until its last process has been reaped.
remove_groups() {
    wait_until groups_removed "$1" || die "$1: cannot be removed, it still holds: $(group_processes "$1" | tr '\n' ' ')"
}

groups_removed() {
    [[ ! -d $1 ]] || find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
}

remove_state() {
    # The marker says that the folder is ours to remove; one file system, in case something is still mounted.
    [[ ! -f $STATE/cluster ]] || rm -rf --one-file-system "$STATE"
}
