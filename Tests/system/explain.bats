#!/usr/bin/env bats
# explain: why a job waits, which one change helps and by how much, and how a job ended.

load helpers
bats_require_minimum_version 1.5.0

teardown() {
    as root scontrol delete reservation=works 2>/dev/null || true
    as root scancel --user user1
    eventually no_jobs
    for partition in short first closed; do
        as root scontrol delete partition=$partition 2>/dev/null || true
    done
    as user1 sh -c 'rm -rf slurm-*.out .local/state/spunnel/queue'
    clean_up
}

submit() { as user1 spunnelctl submit --parsable -o 'slurm-%A_%a.out' "$@"; }

waits_for() { [[ $(as root squeue --noheader --jobs "$1" --format %r) == "$2"* ]]; }

# explains JOB: into output; change N KEY: of the N-th change that would help.
explains() {
    run as user1 spunnelctl explain --json "$1"
    same 0 "$status"
}
change() { jq -r ".changes[$1].$2" <<<"$output"; }
line() { jq -r '.lines[]' <<<"$output" | grep -F -- "$1"; }

@test "a reservation is ahead: with half the time the job could start now, as it then does" {
    local job
    as root scontrol create reservation=works starttime=now+90minutes duration=120 nodes=ALL \
        users=root flags=maint
    job=$(submit -t 2:00:00 sleep 600)
    eventually waits_for "$job" ReqNodeNotAvail
    explains "$job"
    same "--time=1:00:00" "$(change 0 option)"
    line "reserved for maintenance before it would end"
    # From the end of the reservation to now, or a little later: Slurm promises less than it does.
    (($(change 0 gain_s) > 120 * 60 && $(change 0 gain_s) <= 211 * 60))
    line "With --time=1:00:00 it could start at 20"
    line " instead of 20"
    as user1 spunnelctl set "$job" --time 1:00:00
    eventually runs "$job"
}

@test "a node is in use: fewer nodes, the gain is the rest of that job's time" {
    local job
    hold user1 -w n1 --exclusive -t 60 >/dev/null
    job=$(submit -N 2 -t 30 sleep 600)
    eventually waits_for "$job" Resources
    explains "$job"
    same "--nodes=1" "$(change 0 option)"
    (($(change 0 gain_s) > 50 * 60 && $(change 0 gain_s) <= 61 * 60))
    line "It could start no earlier than 20"
}

@test "another partition: one that the user may use, and none that he may not" {
    local job
    as root scontrol create partition=first nodes=n1
    as root scontrol create partition=closed nodes=n2 allowgroups=root
    hold user1 -w n1 --exclusive -t 60 >/dev/null
    job=$(submit -p first -t 30 sleep 600)
    eventually waits_for "$job" Resources
    explains "$job"
    same "--partition=debug" "$(jq -r '[.changes[].option] | join(" ")' <<<"$output")"
    as user1 spunnelctl set "$job" --partition debug
    eventually runs "$job"
}

@test "a job that can never run: why, and what would be possible" {
    local job
    as root scontrol create partition=short nodes=n1 maxtime=40
    job=$(submit -p short -t 60 sleep 600)
    eventually waits_for "$job" PartitionTimeLimit
    explains "$job"
    line "It can never run: its time limit is longer than the partition allows"
    same true "$(jq '[.changes[].option] | contains(["--time=0:40:00"])' <<<"$output")"
    line "With --time=0:40:00 it could start at 20"
    as user1 spunnelctl set "$job" --time 0:40:00
    eventually runs "$job"
}

@test "jobs ahead are counted by user" {
    local job
    hold user1 -N2 --exclusive -t 60 >/dev/null
    as user2 sbatch --quiet -o /dev/null -N2 --exclusive -t 60 --wrap 'sleep 600'
    as user2 sbatch --quiet -o /dev/null -N2 --exclusive -t 60 --wrap 'sleep 600'
    job=$(submit -n 4 -t 60 sleep 600)
    eventually waits_for "$job" Priority
    explains "$job"
    line "Ahead of it: 2 jobs, of user2 (2)."
}
