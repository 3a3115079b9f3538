#!/usr/bin/env bats
# The queue where its surroundings fail: slurmctld is away, the disk is full, the user interrupts; and input that
# is large or odd.
# What stands in single quotes is for the jobs.
# shellcheck disable=SC2016

load helpers
bats_require_minimum_version 1.5.0

teardown() {
    service login slurmctld start
    as root umount "/home/user1/full" 2>/dev/null || true
    as user1 sh -c 'rm -rf slurm-*.out many full work .local/state/spunnel/queue'
    clean_up
}

ctl() { as user1 spunnelctl "$@"; }
submit() { ctl submit --parsable -o 'slurm-%A_%a.out' "$@"; }

# ends STATUS TEXT WORD…: the command exits so, and says so.
ends() {
    run ctl "${@:3}"
    same "$1" "$status"
    holds "$2"
}

@test "slurmctld is away: one line and exit 1; Ctrl-C ends a submit, and no sbatch is left" {
    service login slurmctld stop
    # shellcheck disable=SC2034 # helpers.bash
    PATIENCE=90
    ends 1 "spunnelctl: queue: " queue
    same 1 "${#lines[@]}"
    ends 1 "spunnelctl: nodes: " nodes
    start s user1 spunnelctl submit true
    eventually pgrep -u 70001 -x sbatch
    kill -INT "$(pid s)"
    finish s
    same 130 "$status"
    run pgrep -u 70001 -x sbatch
    same 1 "$status"
    service login slurmctld start
    eventually answers_squeue
    same "" "$(as root squeue --noheader)"
}

answers_squeue() { as root squeue --noheader; }

@test "Ctrl-C at twenty points of a submit: each job that was made is told" {
    local name told made
    for name in {1..20}; do
        start "s$name" user1 spunnelctl submit --hold sleep 600
        sleep "0.0$((RANDOM % 10))"
        kill -INT "$(pid "s$name")" 2>/dev/null || true
        finish "s$name"
        [[ $status == 0 || $status == 130 ]]
    done
    told=$(cat "$BATS_TEST_TMPDIR"/s* | sed -nE 's/^Submitted batch job ([0-9]+)$/\1/p; s/.* job ([0-9]+) was submitted: .*/\1/p' | sort -n)
    made=$(as root squeue --noheader --format %i | sort -n)
    same "$made" "$told"
}

@test "twenty submits at once: each has its number and its record" {
    local name numbers
    for name in {1..20}; do start "s$name" user1 spunnelctl submit --parsable --hold true; done
    for name in {1..20}; do
        finish "s$name"
        same 0 "$status"
    done
    numbers=$(for name in {1..20}; do output "s$name"; done | sort -n)
    same 20 "$(uniq <<<"$numbers" | wc -l)"
    for name in $numbers; do as user1 grep -qx "job $name" ".local/state/spunnel/queue/site/$name.submit"; done
}

@test "a megabyte of words, and a job file with a megabyte of command" {
    local word count
    word=$(head -c 100000 /dev/zero | tr '\0' y)
    ends 0 "" submit --wait -o slurm-m.out sh -c 'echo $# ${#1} ${#10}' x "$word" "$word" "$word" "$word" "$word" \
        "$word" "$word" "$word" "$word" "$word"
    same "10 100000 100000" "$(as user1 cat slurm-m.out)"
    {
        echo 'command: |'
        for ((count = 0; count < 10000; count++)); do
            echo "  : 'It is not yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy \$(x)'"
        done
        echo '  : END_OF_COMMAND'
        echo '  echo "$((6 * 7)) lines of it ran"; cat'
    } | as user1 sh -c 'cat >work'
    (($(as user1 stat -c %s work) > 1000000))
    ends 0 "" submit --wait -f work -o slurm-m.out
    same "42 lines of it ran" "$(as user1 cat slurm-m.out)"
    # Four megabytes are Slurm's own bound for a script.
    as user1 sh -c '{ echo "command: |"; yes "  : yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy" | head -n 100000; } >work'
    ends 1 "larger than 4 MiB" submit -f work
}

@test "a newline, quotes and \"\$(x)\" in a job file's command go through one shell; a NUL is refused" {
    as user1 sh -c 'cat >work' <<'YAML'
command: |
  printf %s 'a
  "$(x)"'
YAML
    ends 0 "" submit --wait -f work -o slurm-n.out
    same 'a
"$(x)"' "$(as user1 cat slurm-n.out)"
    as user1 sh -c 'printf "command: \"a\\\\0b\"\n" >work'
    ends 2 "NUL" submit -f work
    for number in 0 -1 1e9 1000000000 '"3"' '' 99999999999999999999; do
        as user1 sh -c 'cat >work' <<<"{command: true, N: $number}"
        ends 2 "N: " submit -f work
    done
}

@test "wq sub -b with 300 files: each is a job; the one that is wrong is told, and keeps no other" {
    as user1 sh -c 'mkdir many; for i in $(seq 300); do printf "command: true\nhold: true\n" >many/$i; done
        printf "comand: true\n" >many/77'
    PATIENCE=120 run as user1 bash -c 'wq sub -b many/*'
    same 1 "$status"
    holds "many/77'"
    holds "did you mean 'command'?"
    same 299 "$(as root squeue --noheader | wc -l)"
    same 299 "$(grep -cxE '[0-9]+' <<<"$output")"
}

@test "a full disk: the record costs the record and not the job; logs on it fail" {
    local job
    as user1 mkdir full
    as root mount -t tmpfs -o size=4k,uid=70001,mode=700 tmpfs /home/user1/full
    as user1 sh -c 'head -c 4096 /dev/zero >full/x' || true
    run as user1 env XDG_STATE_HOME=/home/user1/full spunnelctl submit --wait -o slurm-f.out echo here
    same 0 "$status"
    holds "retry and efficiency will not know it"
    same here "$(as user1 cat slurm-f.out)"
    job=$(submit sh -c 'yes | head -n 100000')
    ends 0 "" wait "$job"
    run as user1 sh -c "spunnelctl logs $job >full/log"
    same 1 "$status"
    holds "No space left on device"
    run as user1 sh -c "spunnelctl logs -f $job >full/log"
    same 1 "$status"
    run as user1 sh -c "spunnelctl logs $job | head -n 1"
    same "0 y" "$status $output"
}

@test "the answer comes within half a second of the end, while Slurm hears of it late" {
    local times=() took
    for _ in 1 2 3; do
        ends 0 "" submit --wait -o /dev/null bash -c 'sleep 2.2; echo ${EPOCHREALTIME/./} >work'
        took=$(((${EPOCHREALTIME/./} - $(as user1 cat work)) / 1000))
        times+=("$took")
    done
    echo "milliseconds: ${times[*]}"
    # The median; the machine of the tests has more to do.
    (($(printf '%s\n' "${times[@]}" | sort -n | sed -n 2p) < 1000))
}
