#!/usr/bin/env bats
# The plugin is installed and not used, or used where a tunnel cannot begin.

load helpers

# maps NAME...: what the processes of that name on a host have mapped of ours, once each.
maps() {
    local pid
    for pid in $(processes "$@" | awk '{ print $2 }'); do
        grep -o "[^ ]*/lib/spunnel/[^ ]*" "/proc/$pid/maps" || true
    done | sort -u
}

@test "srun, sbatch and salloc work without a tunnel" {
    configure required
    same n1 "$(as user1 srun -w n1 hostname)"
    as user1 sbatch --wait --output batch.out -w n2 --wrap 'srun hostname'
    same n2 "$(as user1 cat batch.out)"
    as user1 rm batch.out
    run as user1 salloc -w n1 srun hostname
    same 0 "$status"
    holds n1
}

@test "an srun without a tunnel opens the plugin and nothing else of ours" {
    as user1 strace -f -o trace -e trace=%file srun -w n1 hostname
    # Whole names of files alone: argv and environment have the prefix as well.
    same "\"$PLUGIN\"" "$(as user1 grep -v execve trace | grep -o "\"${PREFIX}[^\"]*\"" | sort -u)"
    as user1 rm trace
}

@test "srun without a tunnel has no Swift mapped, with one it has; slurmstepd and slurmd never" {
    start plain user1 srun -w n1 /home/tools/service.py 8005
    eventually says plain serving
    same "$PLUGIN" "$(maps srun)"
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    same "${PLUGIN%/*}/libSpunnel.so $PLUGIN" "$(maps srun | xargs)"
    same "" "$(maps slurmstepd slurmd | grep -v "$PLUGIN")"
    # The check can fail: both are there, and have the plugin.
    same "$PLUGIN" "$(maps slurmstepd)"
}

@test "srun with a tunnel starts no thread more than without" {
    start plain user1 srun -w n1 /home/tools/service.py 8005
    eventually says plain serving
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    eventually as_many_threads plain s
}

as_many_threads() { same "$(threads "$1")" "$(threads "$2")"; }

threads() { find "/proc/$(pid "$1")/task" -mindepth 1 -maxdepth 1 | wc -l; }

@test "--help lists the option for srun" {
    run as user1 srun --help
    holds "--tunnel=spec"
}
