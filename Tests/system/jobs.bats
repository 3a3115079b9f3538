#!/usr/bin/env bats
# spunnel-jobs tells what Slurm knows of a job, in lines for a program.

load helpers

setup() {
    configure optional
    JOBS=$PREFIX/libexec/spunnel/spunnel-jobs
}

teardown() {
    service login slurmctld start
    as user1 rm -rf poke batch.sh tunnels
    clean_up
}

# shows USER JOB LINE...: exactly these lines, and success.
shows() {
    run as "$1" "$JOBS" show "$2"
    same 0 "$status"
    same "$(printf '%s\n' "${@:3}")" "$output"
}

# fails STATUS JOB TEXT: that exit status, and one line with the text.
fails() {
    run as user1 "$JOBS" show "$2"
    same "$1" "$status"
    same 1 "${#lines[@]}"
    [[ $output == spunnel-jobs:\ * ]]
    holds "$3"
}

queue() { as user1 sbatch --parsable --output /dev/null "$@"; }

# watch NAME JOB: in the background, its standard input a pipe that poke writes to.
watch() {
    as user1 mkfifo poke
    start "$1" user1 sh -c "exec $JOBS watch $2 <>poke"
}

# Opened for both, nobody waits for the other.
poke() { as user1 sh -c 'echo 1<>poke'; }

# says_then NAME LINE...: what was printed so far is these lines; asks for a look meanwhile.
says_then() {
    poke
    same "$(printf '%s\n' "${@:2}")" "$(output "$1")"
}

user_id() { as "$1" id -u; }

# --- show --------------------------------------------------------------------------------------

@test "a job that runs: its user, its nodes expanded, its batch host" {
    local job
    job=$(hold user1 -N2)
    eventually shows user1 "$job" "job $job" "state running" "detail RUNNING" "user $(user_id user1)" \
        "nodes n1,n2" "batchhost n1"
}

@test "another user's job is told, with its user" {
    local job
    job=$(hold user2 -w n2)
    eventually shows user1 "$job" "job $job" "state running" "detail RUNNING" "user $(user_id user2)" \
        "nodes n2" "batchhost n2"
}

@test "a step has its own nodes, and the special ones their numbers" {
    local job id
    id=$(user_id user1)
    job=$(hold user1 -N2)
    start s user1 srun --jobid "$job" --overlap -N1 -w n2 sleep 600
    eventually as user1 "$JOBS" show "$job.0"
    shows user1 "$job.0" "job $job" "step 0" "state running" "detail RUNNING" "user $id" "nodes n2" \
        "batchhost n1"
    shows user1 "$job.batch" "job $job" "step 4294967291" "state running" "detail RUNNING" \
        "user $id" "nodes n1" "batchhost n1"
    shows user1 "$job.extern" "job $job" "step 4294967292" "state running" "detail RUNNING" \
        "user $id" "nodes n1,n2" "batchhost n1"
    fails 3 "$job.interactive" "find step '$job.interactive': it does not run"
    fails 3 "$job.7" "find step '$job.7': it does not run, and its job is RUNNING"
}

@test "a job that waits has a reason and no nodes, and no step of it runs" {
    local job
    job=$(queue --hold --wrap 'sleep 600')
    shows user1 "$job" "job $job" "state pending" "detail PENDING JobHeldUser" \
        "user $(user_id user1)"
    fails 3 "$job.0" "its job is PENDING JobHeldUser"
}

@test "a job that is over has its end, and no step of it runs" {
    local job
    job=$(queue --wait --wrap true)
    shows user1 "$job" "job $job" "state over" "detail COMPLETED" "user $(user_id user1)"
    fails 3 "$job.batch" "its job is COMPLETED"
    # sbatch ends with the job's own status.
    job=$(queue --wait --wrap false) || true
    shows user1 "$job" "job $job" "state over" "detail FAILED NonZeroExitCode" \
        "user $(user_id user1)"
}

@test "a suspended job keeps its nodes: it is resumed where it was" {
    local job
    job=$(hold user1 -w n1)
    as root scontrol suspend "$job"
    # While the node's prolog runs, the reason is "Prolog".
    eventually shows user1 "$job" "job $job" "state running" "detail SUSPENDED" "user $(user_id user1)" \
        "nodes n1" "batchhost n1"
    as root scontrol resume "$job"
}

@test "an array must be told by its task, one that runs or one that waits" {
    local array task id
    id=$(user_id user1)
    # So many that Slurm cuts the list of them, unless it is asked not to.
    array=$(queue --array='0-99,101-300:7%1' -w n1 --wrap 'sleep 600')
    eventually as user1 "$JOBS" show "${array}_0.batch"
    shows user1 "$array" "job $array" "array yes" "user $id"
    task=$(as user1 squeue --noheader --jobs "${array}_0" --format %A)
    [[ $task != "$array" ]]
    eventually shows user1 "${array}_0" "job $task" "state running" "detail RUNNING" "user $id" "nodes n1" \
        "batchhost n1"
    shows user1 "$task" "job $task" "state running" "detail RUNNING" "user $id" "nodes n1" \
        "batchhost n1"
    shows user1 "${array}_0.batch" "job $task" "step 4294967291" "state running" "detail RUNNING" \
        "user $id" "nodes n1" "batchhost n1"
    for task in 1 99 101 297; do
        run as user1 "$JOBS" show "${array}_$task"
        holds "job $array"
        holds "state pending"
        holds "detail PENDING JobArrayTaskLimit"
    done
    for task in 100 102 298 301; do
        fails 3 "${array}_$task" "no such job"
    done
    run as user1 "$JOBS" watch "$array"
    same 1 "$status"
    same "spunnel-jobs: watch job '$array': it is an array: name a task of it, as in ${array}_1" "$output"
}

@test "a component of a heterogeneous job, and its steps" {
    local job id
    id=$(user_id user1)
    as user1 tee batch.sh <<'SCRIPT'
#!/bin/sh
#SBATCH --nodelist=n2
#SBATCH hetjob
#SBATCH --nodelist=n1
srun --het-group=1 sleep 600
SCRIPT
    job=$(queue batch.sh)
    eventually as user1 "$JOBS" show "$job+1.0"
    eventually shows user1 "$job" "job $job" "state running" "detail RUNNING" "user $id" "nodes n2" "batchhost n2"
    shows user1 "$job+0" "job $job" "state running" "detail RUNNING" "user $id" "nodes n2" \
        "batchhost n2"
    run as user1 "$JOBS" show "$job+1"
    holds "job $((job + 1))"
    holds "nodes n1"
    run as user1 "$JOBS" show "$job+1.0"
    holds "job $((job + 1))"
    holds "step 0"
    holds "nodes n1"
    fails 3 "$job+2" "no such job"
    fails 3 "$job+0.0" "does not run"
}

@test "a job that is not there, and words that name none" {
    local word
    fails 3 999999 "find job '999999': Slurm has no such job now"
    for word in '' 0 x 1x 1. 1.x 1.0x 1_ 1_x 1+ 1+1_1 1_[1-2] -1 ' 1' 4294967295 1.4294967280 \
        99999999999999999999 1.batch.0; do
        fails 2 "$word" "read job '$word': it names none"
    done
    run as user1 "$JOBS"
    same 2 "$status"
    holds "spunnel-jobs: usage: spunnel-jobs show JOB, watch JOB [RECORDS [SECONDS]], list"
}

@test "with an empty configuration of Slurm's there is one line" {
    run as user1 env SLURM_CONF=/dev/null "$JOBS" show 1
    same 1 "$status"
    same 1 "${#lines[@]}"
    # Slurm 20.11 finds out when it is asked.
    if slurm_is 20.11; then
        holds "spunnel-jobs: ask Slurm about job '1': "
    else
        holds "spunnel-jobs: start Slurm's library: "
    fi
}

# --- watch -------------------------------------------------------------------------------------

@test "watch says each change once, and ends with the job" {
    local job
    job=$(queue --hold -N2 --wrap 'sleep 600')
    watch w "$job"
    eventually says_then w "pending"
    as user1 scontrol release "$job"
    eventually says_then w "pending" "running n1,n2"
    as root scontrol suspend "$job"
    poke
    as root scontrol resume "$job"
    as user1 scancel "$job"
    eventually says_then w "pending" "running n1,n2" "over CANCELLED"
    finish w
    same 0 "$status"
}

@test "watch says the same without being asked" {
    local job
    job=$(queue -w n1 --wrap 'sleep 600')
    watch w "$job"
    eventually says w "running n1"
    as user1 scancel "$job"
    eventually says w "over CANCELLED"
    finish w
    same 0 "$status"
}

@test "a job that is put back into the queue waits, and runs again" {
    local job
    job=$(hold user1 -w n1)
    watch w "$job"
    eventually says_then w "running n1"
    as user1 scontrol requeue "$job"
    eventually says_then w "running n1" "pending"
    # Slurm lets it wait two minutes; a node that has just killed a job refuses it for a moment.
    eventually waits_for_its_time "$job"
    as root scontrol update "JobId=$job" StartTime=now+3
    eventually says_then w "running n1" "pending" "running n1"
}

waits_for_its_time() {
    as root squeue --noheader --jobs "$1" --format '%t %r' | grep -x 'PD BeginTime'
}

@test "a step that ends is over, though its job goes on" {
    local job
    job=$(hold user1 -w n1)
    watch w "$job.0"
    eventually says_then w "pending"
    start s user1 srun --jobid "$job" --overlap sleep 600
    eventually says_then w "pending" "running n1"
    as user1 scancel "$job.0"
    eventually says_then w "pending" "running n1" "over STEP_ENDED"
}

@test "a slurmctld that goes is said once, and the state again when it is back" {
    local job
    job=$(hold user1 -w n1)
    watch w "$job"
    eventually says_then w "running n1"
    service login slurmctld stop
    run as user1 "$JOBS" show "$job"
    same 1 "$status"
    same 1 "${#lines[@]}"
    holds "ask Slurm about job '$job': Unable to contact slurm controller"
    eventually says w "lost Unable to contact slurm controller"
    service login slurmctld start
    eventually says_then w "running n1" \
        "lost Unable to contact slurm controller (connect failure)" "running n1"
}

@test "watch of a job that Slurm has forgotten is over at once" {
    run as user1 "$JOBS" watch 999999
    same 0 "$status"
    same "over FORGOTTEN" "$output"
}

@test "watch ends when either side of it is closed" {
    local job
    job=$(hold user1 -w n1)
    run as user1 sh -c "true | $JOBS watch $job"
    same 0 "$status"
    same "running n1" "$output"
    # Its reader goes, its writer does not.
    run as user1 sh -c "mkfifo poke; $JOBS watch $job <>poke | head -n 1"
    same 0 "$status"
    same "running n1" "$output"
}

# Of user1, about one job.
requests() { as root sdiag | sed -nE 's/^\s*user1 .*count:([0-9]+).*/\1/p'; }

@test "of many tunnels each one asks less often" {
    local job before
    as user1 mkdir tunnels
    as user1 sh -c 'seq -f "tunnels/%.0f.4294967292" 500 | xargs mkdir'
    job=$(queue --hold -w n1 --wrap "sleep 600")
    before=$(requests)
    start w user1 sh -c "mkfifo poke; exec $JOBS watch $job tunnels <>poke"
    eventually says w pending
    # It has looked twice, and will not look again for a minute.
    eventually asked $((before + 2))
    as root scontrol release "$job"
    eventually runs "$job"
    same pending "$(output w)"
    poke
    eventually says_then w pending "running n1"
}

asked() { (($(requests) >= $1)); }

# shellcheck disable=SC2030 # what `run` sets is read where it was set
@test "an idle watch has one thread and uses no time" {
    local job pid before
    job=$(hold user1 -w n1)
    watch w "$job"
    eventually says_then w "running n1"
    pid=$(processes spunnel-jobs | awk '{ print $2 }')
    same 1 "$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l)"
    # Asked ten times at once, it looks four times a second at most.
    before=$(switches "$pid")
    for _ in {1..10}; do poke; done
    ((($(switches "$pid") - before) < 100))
    # In hundredths of a second.
    (($(awk '{ print $14 + $15 }' "/proc/$pid/stat") < 20))
}

switches() { awk '/^voluntary_ctxt/ { print $2 }' "/proc/$1/status"; }

# --- list, nodes, partitions, config -----------------------------------------------------------

# asks USER WORD...: the answer's records, in `output`; its other lines are as record.h says.
# shellcheck disable=SC2030,SC2031 # what `run` sets is read where it was set
asks() {
    run as "$1" "$JOBS" "${@:2}"
    same 0 "$status"
    [[ ${lines[0]} == F$'\t'spunnel-jobs$'\t'1$'\t'* && ${lines[1]} == C$'\t'* ]]
    same "E$(printf '\t')$((${#lines[@]} - 3))" "${lines[-1]}"
    output=$(printf '%s\n' "${lines[@]:2:${#lines[@]}-3}")
}

# lists COLUMNS USER RECORD...: the user's jobs that are not over are exactly these.
lists() {
    asks user1 list --user "$(user_id "$2")" --columns "$1,phase"
    output=$(grep -v $'\tover$' <<<"$output" | sed 's/\t[a-z]*$//')
    same "$(printf '%s\n' "${@:3}")" "$output"
}

@test "list: one record for each job, a waiting array in one, of one user" {
    local job array other
    job=$(hold user1 -N2 --comment 'as told')
    array=$(queue --array 1-70:2%3 --begin now+1hour --wrap true)
    other=$(hold user2)
    lists id,array,tasks,throttle,phase,state,nodes,comment user1 \
        "R	$job				running	RUNNING	n[1-2]	as told" \
        "R	$array	$array	1-69:2%3	3	pending	PENDING		"
    lists id,cpus user2 "R	$other	1"
    asks user1 list --job "$array" --job "$other" --columns id
    same "R	$array"$'\n'"R	$other" "$output"
}

@test "list: a name and a comment end no field and no line" {
    local job
    job=$(hold user1 --job-name $'a\tJobState=X\nR\t1\t\\x09' --comment $'\e[2J\x7f')
    lists id,name,comment user1 "R	$job	a\\x09JobState=X\\x0aR\\x091\\x09\\x5cx09	\\x1b[2J\\x7f"
}

@test "list: a job that Slurm does not know is no record" {
    asks user1 list --job 999999 --columns id
    same "" "$output"
}

@test "list: an unknown column, or no number, is refused" {
    run as user1 "$JOBS" list --columns id,foo
    same 1 "$status"
    same "spunnel-jobs: read the columns: 'foo' is no column" "$output"
    run as user1 "$JOBS" list --user user1
    same 2 "$status"
    holds "usage: spunnel-jobs"
}

@test "nodes: what is in use, and whether a job can begin there" {
    hold user1 -w n1 -n3 --ntasks-per-core 1
    asks user1 nodes name,state,usable,cpus
    same "R	n1	MIXED	1	8"$'\n'"R	n2	IDLE	1	8" "$output"
    asks user1 nodes name,cpus_used
    holds "R	n1	3"
    as root scontrol update nodename=n2 state=drain reason="a	b"
    asks user1 nodes name,flags,usable,reason
    as root scontrol update nodename=n2 state=resume
    holds "R	n2	DRAIN	0	a"
}

@test "partitions, and the configuration where Slurm's library found it" {
    local file
    asks user1 partitions name,state,default,nodes,time_limit
    same "R	debug	UP	1	n[1-2]	unlimited" "$output"
    # Where a Slurm has it that was built with another sysconfdir.
    file=$(as user1 scontrol show config | sed -n 's/^SLURM_CONF *= //p')
    asks user1 config path,cluster
    same "R	$file	spunnel" "$output"
    as user1 tee own.conf <<<"include $file" >/dev/null
    run as user1 env SLURM_CONF=/home/user1/own.conf "$JOBS" config path
    holds "R	/home/user1/own.conf"
    as user1 rm own.conf
    service login slurmctld stop
    asks user1 config path
    same "R	$file" "$output"
}
