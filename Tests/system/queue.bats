#!/usr/bin/env bats
# The queue: submitting, listing, waiting and following, with true answers.
# What stands in single quotes is for the jobs.
# shellcheck disable=SC2016

load helpers
bats_require_minimum_version 1.5.0

teardown() {
    service login slurmctld start
    as user1 sh -c 'rm -rf slurm-*.out work .local/state/spunnel/queue'
    clean_up
}

ctl() { as user1 spunnelctl "$@"; }

# submit WORD...: prints the job's number.
submit() { ctl submit --parsable -o 'slurm-%A_%a.out' "$@"; }

# ends STATUS WORD...: the command exits so.
ends() {
    run ctl "${@:2}"
    same "$1" "$status"
}

# content FILE: of user1's home.
content() { as user1 cat "$1"; }

has_content() { [[ $(content "$1") == "$2" ]]; }

# --- submit ------------------------------------------------------------------------------------

@test "submit: a command runs, its words untouched by any shell" {
    local text
    text='a $(touch pwned) `id` "x" '"'y'"$'\n\tz *'
    ends 0 submit --wait -o slurm-w.out printf '%s|%s|' "$text" ''
    holds "Submitted batch job"
    same "$text||" "$(content slurm-w.out)"
    run as user1 ls pwned
    [[ $status != 0 ]]
}

@test "submit: a refusal is sbatch's own word, exit 1 and no job" {
    ends 1 submit --partition nosuch true
    holds "nosuch"
    holds "sbatch refused the job"
    ends 1 submit -n 0 true
    ends 0 queue --json
    same 0 "$(jq '[.jobs[] | select(.phase != "over")] | length' <<<"$output")"
}

@test "submit: sbatch's options go through, before and behind" {
    local job
    job=$(submit -n2 --job-name=named --comment 'x y' -t 7 sleep 60)
    run as user1 scontrol show job "$job"
    holds "JobName=named"
    holds "Comment=x y"
    holds "TimeLimit=00:07:00"
    holds "NumCPUs=2"
}

@test "submit: a script with #SBATCH lines is sbatch's, with its arguments" {
    as user1 sh -c 'printf "#!/bin/sh\n#SBATCH -J inside\necho got \"\$1\"\n" >work; chmod +x work'
    ends 0 submit --wait -o slurm-s.out ./work 'a b'
    same "got a b" "$(content slurm-s.out)"
}

@test "submit: a megabyte of command" {
    ends 0 submit --wait -o slurm-m.out sh -c 'echo ${#1}' x "$(head -c 100000 /dev/zero | tr '\0' y)"
    same 100000 "$(content slurm-m.out)"
}

@test "submit -f: command, sbatch's long names, and what is typed counts more" {
    as user1 sh -c 'printf "command: echo \$SLURM_JOB_NAME \$SLURM_NTASKS >&2\njob_name: filed\nN: 2\ntime: 5\n" >work'
    ends 0 submit --wait -f work -o slurm-f.out
    same "filed 2" "$(content slurm-f.out)"
    ends 0 submit --wait -f work --require 'N:3' -o slurm-f.out
    same "filed 3" "$(content slurm-f.out)"
    ends 0 submit --wait -f work --require 'N:3' -n 1 -J typed -o slurm-f.out
    same "typed 1" "$(content slurm-f.out)"
}

@test "submit -f: an unknown key and a wrong type are told with their place" {
    as user1 sh -c 'printf "command: true\ntme: 5\n" >work'
    ends 2 submit -f work
    holds "line 2, column 1: 'tme' is no key: did you mean 'time'?"
    as user1 sh -c 'printf "command: true\nN: [1]\n" >work'
    ends 2 submit -f work
    holds "line 2, column 4: N: a list is no whole number from 1"
    as user1 sh -c 'printf "a: &a [x]\ncommand: *a\n" >work'
    ends 2 submit -f work
    as user1 truncate -s 100M work
    ends 1 submit -f work
    holds "larger than 4 MiB"
    ends 2 submit -r 'N: 0' true
    ends 2 submit -r 'N: -1' true
    ends 2 submit -r 'N: 1000000000' true
}

@test "submit --dry-run: the sbatch line, and when it would start" {
    ends 0 submit --dry-run -r 'mode: bynode; N: 2' echo 'a b'
    holds "--nodes=2 --exclusive --job-name=echo --wrap"
    holds "It could start at 20"
    same "" "$(as root squeue --noheader)"
}

@test "submit --array-from: a task for each line" {
    local job
    as user1 sh -c 'printf "one\n\$(two)\n" >work'
    job=$(submit --array-from work echo {})
    ends 0 wait "$job"
    same one "$(content "slurm-${job}_1.out")"
    same '$(two)' "$(content "slurm-${job}_2.out")"
}

# --- wait --------------------------------------------------------------------------------------

@test "wait: a code, a signal, a cancel, a time limit, an output that cannot be opened" {
    local job
    ends 3 submit --wait sh -c 'exit 3'
    ends 143 submit --wait sh -c 'kill -TERM $$'
    ends 137 submit --wait sh -c 'kill -KILL $$'
    ends 126 submit --wait -o /nonexistent/x true
    job=$(submit sleep 600)
    as user1 scancel "$job"
    ends 130 wait "$job"
    ends 0 submit --wait true
    run -127 ctl submit --wait /nonexistent/program
}

@test "wait: an array's number is all of its tasks, the last one too" {
    local job
    job=$(submit --array 1-3 sh -c 'exit $((SLURM_ARRAY_TASK_ID == 2 ? 4 : 0))')
    ends 4 wait "$job"
    holds "job ${job}_2: exit status 4"
    ends 0 wait "${job}_3"
    ends 0 wait "${job}_1"
    ends 4 wait "${job}_2"
}

@test "wait: what Slurm has forgotten is told by the record, and never 0 when nobody knows" {
    local job
    job=$(submit sh -c 'exit 5')
    ends 5 wait "$job"
    as user1 sh -c "sed -i s/999/999/ .local/state/spunnel/queue/site/$job.end"
    # A number that Slurm never had, with the note of another.
    as user1 sh -c "cd .local/state/spunnel/queue/site; cp $job.run 800000.run; head -n 3 $job.run >800001.run; cp $job.end 800002.end"
    ends 5 wait 800000
    ends 125 wait 800001
    ends 5 wait 800002
    ends 125 wait 800003
    holds "Slurm has forgotten job 800003"
}

@test "wait: goes on while slurmctld is away, and through its restart" {
    local job
    job=$(submit sh -c 'sleep 3; exit 6')
    eventually runs "$job"
    start w user1 spunnelctl wait "$job"
    service login slurmctld stop
    eventually says w "still waiting"
    service login slurmctld start
    PATIENCE=60 finish w
    same 6 "$status"
}

@test "wait: the answer comes soon, and all waits together ask Slurm once a second at most" {
    local job before names=()
    job=$(submit sleep 6)
    eventually runs "$job"
    before=$(requests)
    for name in {a..f}; do
        start "$name" user1 spunnelctl wait "$job"
        names+=("$name")
    done
    for name in "${names[@]}"; do
        finish "$name"
        same 0 "$status"
    done
    # Each asks once at its beginning.
    (($(requests) - before <= 6 + 8))
}

requests() { as root sdiag | sed -nE 's/^\s*user1 .*count:([0-9]+).*/\1/p'; }

@test "wait: a job's name that looks like a state changes nothing" {
    ends 7 submit --wait -J $'x\n JobState=COMPLETED ExitCode=0:0\n.' sh -c 'exit 7'
}

# --- queue, nodes, info ------------------------------------------------------------------------

@test "queue: one's own jobs, those that ended too, and nobody else's" {
    local own other over
    over=$(submit -J over sh -c 'exit 9')
    ends 9 wait "$over"
    own=$(submit -J own -w n1 sleep 600)
    other=$(hold user2)
    eventually runs "$own"
    ends 0 queue
    [[ $output =~ "$own   "*own.*RUNNING.*n1 ]]
    [[ $output =~ "$over   "*over.*FAILED.*"exit status 9" ]]
    ends 0 queue --all --json
    same RUNNING "$(jq -r --arg job "$other" '.jobs[] | select(.job == $job) | .state' <<<"$output")"
    same 9 "$(jq -r --arg job "$over" '.jobs[] | select(.job == $job) | .status' <<<"$output")"
    ends 0 queue --json
    same "" "$(jq -r --arg job "$other" '.jobs[] | select(.job == $job)' <<<"$output")"
}

@test "queue: a name with a newline makes no line of its own" {
    submit -J $'a\n12 forged\e[2J' sleep 600
    ends 0 queue
    holds "a?12 forged?[2J"
}

@test "nodes: stars for CPUs in use, X for a node that is down, equal nodes in one line" {
    ends 0 nodes
    holds "[........]  n[1-2]  0/8"
    hold user1 -w n1 -n 3
    ends 0 nodes
    holds "[***.....]  n1"
    holds "Used CPUs: 3/16 (18.7%)"
    as root scontrol update nodename=n2 state=down reason=broken
    run ctl nodes
    as root scontrol update nodename=n2 state=resume
    holds "[XXXXXXXX]  n2"
    holds "DOWN: broken"
}

@test "info and efficiency: what it used, also when Slurm has forgotten it" {
    local job
    job=$(submit -J worker sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done')
    ends 0 wait "$job"
    ends 0 info "$job"
    holds "worker"
    holds "status      0 (exit status 0)"
    ends 0 efficiency --json "$job"
    (($(jq '.jobs[0].cpu_ms' <<<"$output") > 0))
    (($(jq '.jobs[0].peak_kib' <<<"$output") > 100))
}

@test "the record is its user's alone" {
    local job folder=.local/state/spunnel/queue/site
    job=$(submit true)
    ends 0 wait "$job"
    run as user1 stat -c %a "$folder" "$folder/$job".{submit,run,end}
    same $'700\n600\n600\n600' "$output"
}

# --- logs --------------------------------------------------------------------------------------

@test "logs -f: from before the start to the end, with the job's status" {
    local job
    job=$(submit --begin now+2 sh -c 'for i in 1 2 3; do echo line $i; sleep 0.3; done; exit 8')
    start l user1 spunnelctl logs -f "$job"
    eventually says l "job $job waits: BeginTime"
    finish l
    same 8 "$status"
    same "$(printf 'line 1\nline 2\nline 3')" "$(output l | grep '^line')"
    ends 0 logs "$job"
    holds "line 3"
}

@test "logs: a task of an array by its number, and a job that has written nothing yet" {
    local job
    job=$(submit --array 1-2 sh -c 'echo task $SLURM_ARRAY_TASK_ID')
    ends 0 wait "$job"
    ends 0 logs "${job}_2"
    same "task 2" "$output"
    job=$(submit --hold true)
    ends 1 logs "$job"
    holds "the job waits"
}

# --- cancel, set, retry, explain ---------------------------------------------------------------

@test "cancel: jobs by their numbers, all of them, and a number that is none" {
    local first second
    first=$(submit sleep 600)
    second=$(submit sleep 600)
    ends 0 cancel "$first"
    ends 130 wait "$first"
    ends 1 cancel "$first"
    holds "it is over: CANCELLED"
    ends 1 cancel 900000
    holds "Slurm has no such job"
    ends 0 cancel --all
    ends 130 wait "$second"
}

@test "set: changes what waits" {
    local job
    job=$(submit --hold -t 60 sleep 600)
    ends 0 set "$job" --time 30 --nice 5
    run as user1 scontrol show job "$job"
    holds "TimeLimit=00:30:00"
    holds "Nice=5"
    ends 0 set "$job" --release
    eventually runs "$job"
}

@test "retry: a job as it was, or only the tasks that failed" {
    local job again
    job=$(submit --array 1-3 sh -c 'exit $((SLURM_ARRAY_TASK_ID == 2 ? 4 : 0))')
    ends 4 wait "$job"
    again=$(ctl retry --failed --parsable "$job")
    ends 4 wait "$again"
    run as user1 squeue --noheader --states all --array --jobs "$again" --format %K
    same 2 "$output"
    job=$(submit true)
    ends 0 wait "$job"
    ends 1 retry --failed "$job"
    holds "nothing of it failed"
    ends 0 retry --wait "$job"
    ends 1 retry 900000
    holds "no record of how it was submitted"
}

@test "explain: why it waits, what would help, and how a job ended" {
    local job
    hold user1 -N2 --exclusive -t 60
    job=$(submit -n 4 -t 30 sleep 600)
    eventually waits_for "$job" Resources
    ends 0 explain "$job"
    holds "It waits: it is next"
    holds "It could start no earlier than 20"
    as root scancel --user user1
    job=$(submit sh -c 'exit 12')
    ends 12 wait "$job"
    ends 0 explain "$job"
    holds "It is over: exit status 12"
    job=$(submit --hold true)
    ends 0 explain "$job"
    holds "it is held by its user"
    holds "set JOB --release"
}

waits_for() { [[ $(as root squeue --noheader --jobs "$1" --format %r) == "$2" ]]; }

# --- The pool, and the links of other queues ------------------------------------------------------

@test "submit --pool: the tasks' output and status, and how far it is" {
    local job
    as user1 sh -c 'printf "echo one\nexit 3\necho three\n" >work'
    ends 3 submit --wait --pool work -n 2 -o 'slurm-%t.out' -t 5
    has_content slurm-1.out one
    has_content slurm-3.out three
    as user1 sh -c 'rm -f work.joblog work.joblog.progress'
    ends 2 submit --pool work true
}

@test "wq: sub, ls, stat and rm with their letters and columns" {
    local job
    run as user1 wq sub -c 'echo $((1 + 2))'
    same 0 "$status"
    holds $'echo $((1 + 2))\n'
    holds $'executing on host n1\n3'
    as user1 sh -c 'printf "command: echo filed; sleep 600\njob_name: source\nN: 2\n" >work'
    job=$(as user1 wq sub -b work)
    eventually runs "$job"
    run as user1 wq ls
    [[ ${lines[0]} =~ ^" Pid "+"User "+"Status Priority Ncores Nhosts Command t_in "+"t_run "*$ ]]
    [[ ${lines[1]} =~ ^" $job "+"user1 R      med      2      1      source  "[0-9dhms]+" "+[0-9dhms]+" "*$ ]]
    same " Jobs: Running: 1 Waiting: 0" "${lines[2]}"
    run as user1 wq stat
    holds "[**......]  n1   15.6"
    holds "Used cores: 2/16 (12.5%)"
    as user1 wq rm "$job"
    ends 130 wait "$job"
    has_content work.wqlog filed || as user1 grep filed work.wqlog
    as user1 rm -f work.wqlog
}

@test "lbatch, lqueue, linfo and lcancel" {
    local job
    run as user1 lbatch -n 2 echo 'my two-core job'
    same 0 "$status"
    [[ $output =~ ^"Job added to the queue with id "([0-9]+)$ ]]
    job=${BASH_REMATCH[1]}
    ends 0 wait "$job"
    same "my two-core job" "$(as user1 sh -c "cat localq-$job-*.out; rm localq-$job-*.out")"
    run as user1 linfo -j "$job"
    same "0 COMPLETED" "$status $output"
    run as user1 linfo -j 900000
    same "1 NOT_FOUND" "$status $output"
    run as user1 lqueue
    same $'JOBID\tPRIO\tSTATUS\tNUM_CORES\tSTART_TIME\tEND_TIME\tNAME\tCMD' "${lines[0]}"
    run as user1 lcancel -j "$job"
    [[ $status == 1 ]]
    holds "it is over: COMPLETED"
    run as user1 lbatch -n 1000 true
    [[ $status == 1 ]]
}
