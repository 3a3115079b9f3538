# The pool: a list of command lines inside one allocation, on real nodes, through a real srun.
# shellcheck shell=bash
# shellcheck disable=SC2016 # what is expanded, is expanded on the nodes

load helpers

POOL=$PREFIX/libexec/spunnel/spunnel-pool

setup() {
    configure optional
    as user1 sh -c 'rm -rf pool && mkdir pool'
    FOLDER=$STATE/home/user1/pool
    LOG=$FOLDER/tasks.joblog
}

# tasks: writes the list of command lines from standard input.
tasks() { as user1 sh -c 'cat >pool/tasks'; }

# batch POOL-OPTION... [-- SBATCH-OPTION...]: submits the pool; prints the job's number.
batch() {
    local words=()
    while (($#)) && [[ $1 != -- ]]; do
        words+=("$1")
        shift
    done
    printf '#!/bin/sh\nexec %s %s tasks\n' "$POOL" "${words[*]@Q}" |
        as user1 sbatch --parsable --no-kill --open-mode=append -D "/home/user1/pool" -o slurm.out "${@:2}"
}

# pool POOL-OPTION... [-- SBATCH-OPTION...]: runs the pool as a job to its end; sets `status` and `output`.
pool() {
    local job
    job=$(batch "$@")
    eventually is_over "$job"
    status=$(as root scontrol --oneliner show job "$job" | sed -n 's/.* ExitCode=\([0-9]*\):.*/\1/p')
    output=$(cat "$FOLDER/slurm.out")
}

# column N: of each task in the log, in the order of the tasks.
column() { tail -n +2 "$LOG" | sort -n | cut -f "$1"; }

# ended N: has the log so many tasks?
ended() { (($(tail -n +2 "$LOG" | wc -l) >= $1)); }

# is_back NODE: does Slurm use the node again?
is_back() { as root sinfo --noheader --nodes "$1" --states idle --format %n | grep -x "$1"; }

@test "each line runs once, on all nodes, and the exit status is the largest" {
    { yes 'sleep 0.3' | head -n 12; echo 'exit 3'; echo false; echo 'kill -9 $$'; } | tasks
    pool -- -N 2 -n 8 --ntasks-per-node 4
    same 137 "$status"
    same "$(seq 15)" "$(column 1)"
    same $'n1\nn2' "$(column 2 | sort -u)"
    same $'3\t0\n1\t0\n0\t9' "$(column 7-8 | tail -n 3)"
    head -n 1 "$LOG" | grep -P '^Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand(\t|$)'
    holds "15 of 15 tasks have run, 3 failed (13, 14, 15)"
    # GNU parallel goes by this log: it runs the three that failed, and no other.
    same $'sleep 0.3\nexit 3\nfalse\nkill -9 $$' "$(column 9 | uniq)"
    run as user1 sh -c 'cd pool && parallel --resume-failed --joblog tasks.joblog --jobs 1 --dry-run "{}" <tasks'
    same $'exit 3\nfalse\nkill -9 $$' "$output"
}

@test "a command is one word for one shell, whatever is in it" {
    printf '%s\n' 'printf "%s|" "$(echo a  b)" '\''$(touch bad)'\'' "\$HOME" `echo x` \\ ; echo' \
        'set -- a "b c"; echo $#' '# a comment' '' '   ' 'echo ü$'\''x'\''' $'echo\ttab' >"$BATS_TEST_TMPDIR/list"
    tasks <"$BATS_TEST_TMPDIR/list"
    pool -o '%t.out' -- -n 2
    same 0 "$status"
    same 'a b|$(touch bad)|$HOME|x|\|' "$(cat "$FOLDER/1.out")"
    same 2 "$(cat "$FOLDER/2.out")"
    same 'ü$x' "$(cat "$FOLDER/6.out")"
    same tab "$(cat "$FOLDER/7.out")"
    same "$(printf '%s\n' 1 2 6 7)" "$(column 1)"
    [[ ! -e $FOLDER/bad ]]
    same "\$'echo\\ttab'" "$(column 9 | tail -n 1)"

    printf 'echo one\necho two\0exit 4\0' | tasks
    as user1 rm -f pool/tasks.joblog pool/slurm.out
    pool -0 -- -n 2
    same 4 "$status"
    holds $'one\ntwo'
    same "\$'echo one\\necho two'" "$(column 9 | head -n 1)"
}

@test "what no command line can hold is refused before anything runs" {
    printf 'touch ran\necho a\0b\n' | tasks
    pool
    same 125 "$status"
    holds "line 2 has a NUL byte"
    { echo 'touch ran'; head -c 1000000 /dev/zero | tr '\0' x; } | tasks
    pool
    same 125 "$status"
    holds "line 2 has 1000000 bytes"
    : | tasks
    pool
    holds "the file has no task"
    echo true | tasks
    pool -o 'a%q'
    holds "'%q' has no meaning"
    pool --retires 3
    holds "'--retires': there is no such option"
    [[ ! -e $FOLDER/ran && ! -e $LOG ]]
}

@test "output of each task: whole, in a file of its own, or in one file" {
    for task in 1 2 3 4 5 6; do
        echo "for i in 1 2 3 4 5 6 7 8; do echo $task; sleep 0.01; done; echo error $task >&2"
    done | tasks
    pool -- -N 2 -n 6
    # Tasks print in any order, each as a whole.
    same 12 "$(grep -E '^(error )?[1-6]$' <<<"$output" | uniq | wc -l)"
    as user1 rm pool/tasks.joblog
    pool -o 'out/deep/%t-%j-%N.txt' -e 'errors' -- -N 2 -n 6
    same 48 "$(cat "$FOLDER"/out/deep/*-n[12].txt | wc -l)"
    same 6 "$(sort -u "$FOLDER/errors" | wc -l)"
    # A file that cannot be opened: the task does not run, and says why.
    as user1 rm pool/tasks.joblog
    pool -o '/proc/nothing/%t' -- -n 2
    same 126 "$status"
    holds "task 6: "
}

@test "resume goes by line and text; a torn record counts for nothing" {
    printf '%s\n' 'echo 1 >>ran' 'echo 2 >>ran; exit 2' 'echo 3 >>ran' 'echo 4 >>ran' | tasks
    pool -- -n 2
    same 2 "$status"
    pool -- -n 2
    same 125 "$status"
    holds "add --resume"
    # Line 3 has another text now, and the record of line 4 is torn.
    sed -i 's/echo 3/echo three/' "$FOLDER/tasks"
    sort -n -o "$LOG" "$LOG"
    truncate -s -9 "$LOG"
    as user1 rm pool/ran
    pool --resume -- -n 2
    # The failure of the earlier run is still one.
    same 2 "$status"
    same $'4\nthree' "$(sort "$FOLDER/ran")"
    holds "resume: 2 of 4 tasks have run already; damaged lines in the log, ignored: 1; lines in the log of other"
    as user1 rm pool/ran
    pool --resume-failed -- -n 2
    same 2 "$(cat "$FOLDER/ran")"
}

@test "retries: a task that fails runs again, and its last status counts" {
    printf '%s\n' 'echo x >>one; [ $(wc -l <one) = 3 ]' 'echo x >>two; exit 9' true | tasks
    pool --retries 2 -- -n 2
    same 9 "$status"
    same $'3\n3' "$(wc -l <"$FOLDER/one"; wc -l <"$FOLDER/two")"
    same $'0\n9\n0' "$(column 7)"
    same $'3\n3\n1' "$(column 10)"
}

@test "an agent that is killed hands its tasks on; a task under which five died is given up" {
    { yes 'sleep 0.2' | head -n 30; echo 'kill -9 $PPID; sleep 60'; } | tasks
    local job
    job=$(batch -- -N 2 -n 8 --ntasks-per-node 4)
    eventually is_over "$job"
    output=$(cat "$FOLDER/slurm.out")
    as root scontrol show job "$job" | grep 'ExitCode=125:0'
    same "$(seq 31)" "$(column 1)"
    same 125 "$(column 7 | tail -n 1)"
    same 0 "$(column 7 | head -n 30 | sort -u)"
    holds "tasks are handed on"
    holds "task 31: 5 nodes died under it"
}

@test "a node that goes down hands its tasks on" {
    yes 'sleep 1' | head -n 24 | tasks
    local job
    job=$(batch -- -N 2 -n 8 --ntasks-per-node 4)
    eventually grep n2 "$LOG"
    "$CLUSTER/service" n2 slurmd stop
    as root scontrol update nodename=n2 state=down reason=test
    eventually is_over "$job"
    "$CLUSTER/service" n2 slurmd start
    eventually is_back n2
    same "$(seq 24)" "$(column 1)"
    same 0 "$(column 7 | sort -u)"
    grep 'node n2: .*handed on' "$FOLDER/slurm.out"
}

@test "the kernel's memory killer takes the task, not the agent" {
    printf '%s\n' 'cat /proc/self/oom_score_adj' 'cat /proc/$PPID/oom_score_adj' 'kill -9 $$' true | tasks
    pool -- -n 1
    same 137 "$status"
    same $'1000\n0' "$(grep -x '[0-9]*' <<<"$output")"
    same 4 "$(column 1 | wc -l)"
}

@test "where Slurm watches memory, the agent kills the largest task before Slurm kills the job" {
    { echo 'python3 -c "import time; x = bytearray(200 << 20); time.sleep(60)"'; yes 'sleep 1' | head -n 3; } | tasks
    # The job has 150 MB on each node, as Slurm says it.
    printf '#!/bin/sh\nSLURM_MEM_PER_NODE=150 exec %s tasks\n' "$POOL" >"$BATS_TEST_TMPDIR/script"
    local job
    job=$(as user1 sbatch --parsable -D /home/user1/pool -o slurm.out -n 4 <"$BATS_TEST_TMPDIR/script")
    eventually is_over "$job"
    output=$(cat "$FOLDER/slurm.out")
    holds "task 1: killed: the tasks of this node use"
    same $'9\n0\n0\n0' "$(column 8)"
}

@test "nothing begins when less time is left than a task takes" {
    yes 'sleep 0.1' | head -n 4 | tasks
    pool --task-time 10 -- -n 2 --time 5
    same 124 "$status"
    holds "less time is left to the job than --task-time"
    [[ $(wc -l <"$LOG") == 1 ]]
    pool --resume --task-time 1 -- -n 2 --time 5
    same 0 "$status"
    same 4 "$(column 1 | wc -l)"
}

@test "SIGTERM lets tasks finish; what it cut short is not logged; a requeue goes on by itself" {
    { echo 'echo x >>first'; yes 'echo x >>cut; [ -e go ] || sleep 600' | head -n 3; echo 'echo x >>last'; } | tasks
    local job
    job=$(batch -- -n 3 --requeue)
    eventually test -e "$FOLDER/cut"
    eventually ended 1
    as user1 touch pool/go
    as root scontrol requeue "$job"
    eventually starts_anew "$job" n2
    eventually is_over "$job"
    output=$(cat "$FOLDER/slurm.out")
    holds "resume: 1 of 5 tasks have run already"
    same "$(seq 5)" "$(column 1)"
    same 0 "$(column 7 | sort -u)"
    same $'1\n1' "$(wc -l <"$FOLDER/first"; wc -l <"$FOLDER/last")"

    # To the coordinator alone: what runs may end, nothing begins.
    as user1 rm pool/tasks.joblog pool/slurm.out
    { echo 'touch begun; until [ -e go2 ]; do sleep 0.1; done; echo x >>finished'; yes 'touch late' | head -n 3; } | tasks
    job=$(batch -- -n 1)
    eventually test -e "$FOLDER/begun"
    as root scancel --batch --signal=TERM "$job"
    eventually grep 'nothing new begins' "$FOLDER/slurm.out"
    as user1 touch pool/go2
    eventually is_over "$job"
    [[ -e $FOLDER/finished && ! -e $FOLDER/late ]]
    as root scontrol show job "$job" | grep 'ExitCode=143:0'
}

@test "a disk that is full stops the handing out, and no result is lost" {
    yes 'sleep 0.01' | head -n 2000 | tasks
    host n1 root sh -c 'mkdir -p /tmp/full && mount -t tmpfs -o size=64k,mode=1777 none /tmp/full'
    local job
    job=$(batch --log /tmp/full/log -- -n 4 -w n1)
    eventually grep 'No space left on device: nothing new begins' "$FOLDER/slurm.out"
    host n1 root mount -o remount,size=4m /tmp/full
    eventually is_over "$job"
    host n1 root cat /tmp/full/log >"$BATS_TEST_TMPDIR/log"
    host n1 root umount /tmp/full
    grep 'there is room again' "$FOLDER/slurm.out"
    same 2001 "$(grep -c . "$BATS_TEST_TMPDIR/log")"
    same "$(seq 2000)" "$(tail -n +2 "$BATS_TEST_TMPDIR/log" | cut -f 1 | sort -n)"
    as root scontrol show job "$job" | grep 'ExitCode=0:0'
}

@test "two pools do not write one log" {
    echo 'sleep 2' | tasks
    local job
    job=$(batch -- -n 1)
    eventually test -e "$LOG"
    pool --resume -- -n 1
    same 125 "$status"
    holds "another pool is writing this log"
    eventually is_over "$job"
    same 1 "$(column 1)"
}

@test "64 nodes, and one agent is killed" {
    # A stand-in for srun: each node is an agent on this host.
    as user1 sh -c 'mkdir pool/bin && cat >pool/bin/srun && chmod 700 pool/bin/srun' <<'SRUN'
#!/bin/bash
until [[ $1 == */spunnel-pool ]]; do
    [[ $1 != --nodelist=* ]] || node=${1#*=}
    shift
done
echo "a word of the prolog"
exec unshare --user --uts sh -c 'hostname "$0" 2>/dev/null; exec "$@"' "$node" "$@"
SRUN
    { yes 'sleep 0.2' | head -n 256
        echo '[ -e died ] || { touch died; kill -9 $PPID; sleep 60; }'; } | tasks
    run as user1 sh -c "cd pool && PATH=\$PWD/bin:\$PATH SLURM_JOB_ID=1 SLURM_JOB_NODELIST='m[1-64]' \
        SLURM_TASKS_PER_NODE='2(x64)' $POOL tasks"
    same 0 "$status"
    holds "257 of 257 tasks have run"
    holds "tasks are handed on"
    same "$(seq 257)" "$(column 1)"
}

@test "progress: in a file for other commands, and on a terminal" {
    yes 'sleep 0.2' | head -n 20 | tasks
    local job
    job=$(batch -- -n 2)
    eventually grep -x 'done [1-9][0-9]*' "$LOG.progress"
    same $'job total done failed running rate left time state' \
        "$(cut -d ' ' -f 1 "$LOG.progress" | paste -sd ' ' | sed 's/job state/job/; s/$/ state/')"
    eventually is_over "$job"
    grep -x 'state ended' "$LOG.progress"
    as user1 rm pool/tasks.joblog
    terminal <<PYTHON
import pexpect
child = pexpect.spawn("$CLUSTER/in", ["login", "user1", "--", "sh", "-c",
    "cd pool && exec salloc -Q -n 2 $POOL tasks"], encoding="utf-8", timeout=30)
child.expect(r"[0-9]+/20 done, 2 running, [0-9.]+/s, 0:[0-9]+ left")
child.sendintr()
child.expect("press Ctrl-C again")
child.expect("of 20 tasks have run")
child.expect(pexpect.EOF)
PYTHON
}
