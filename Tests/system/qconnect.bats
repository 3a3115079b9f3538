#!/usr/bin/env bats
# qconnect: its letters and exit statuses, and none of its bugs.

load helpers

teardown() {
    as root scontrol update partitionname=debug state=up
    clean_up
}

# begin NAME: a session by that job name that runs; prints its job.
begin() {
    local job
    job=$(as user1 spunnelctl session start --detach -J "$1" 2>/dev/null)
    eventually runs "$job" >&2
    echo "$job"
}

# typed TEXT...: a Python text with `qconnect(WORD...)`, a terminal.
qconnect_terminal() {
    {
        echo 'def qconnect(*words):'
        echo '    return Terminal("user1", "env", "TERM=xterm", "qconnect", *words)'
        cat
    } | terminal
}

@test "qconnect: -c -n -t -m make a job of that name and size, and the job sees QCONNECT" {
    qconnect_terminal <<'PY'
t = qconnect("-c", "-n", "mine", "-t", "2", "-m", "1", "-v")
t.expect("qconnect: sbatch .*-J mine_int_tmux -c 2 --mem=1G")
t.expect(r"user1@n\d")
t.sendline("echo [$QCONNECT,$SLURM_CPUS_PER_TASK,$SLURM_MEM_PER_NODE]")
t.expect(r"\[tmux,2,1024\]")
t.send("\x02d")
t.expect("left session (\\d+)")
job = t.match.group(1)
t.expect(pexpect.EOF)
shown = login("user1", "qconnect", "-l")
assert shown.splitlines()[0].split() == ["Job_ID", "Job_Name", "Job_Type", "Queue", "Node", "State"], shown
assert shown.splitlines()[1].split()[:4] == [job, "mine_int_tmux", "tmux", "debug"], shown
assert shown.splitlines()[1].split()[5] == "R", shown
for words in [], [job], ["-j", job]:
    t = qconnect(*words)
    t.expect(r"user1@n\d")
    t.send("\x02d")
    t.expect("left session " + job)
    t.expect(pexpect.EOF)
    t.wait()
    assert t.exitstatus == 0, t.seen
PY
}

@test "qconnect: leaving a session that was queued when it was joined submits no second job" {
    as root scontrol update partitionname=debug state=down
    as user1 spunnelctl session start --detach
    qconnect_terminal <<'PY'
t = qconnect()
t.expect("is queued")
login("root", "scontrol", "update", "partitionname=debug", "state=up")
t.expect(r"user1@n\d")
t.send("\x02d")
t.expect("left session")
t.expect(pexpect.EOF)
assert len(login("user1", "squeue", "--noheader", "--me").splitlines()) == 1
PY
}

@test "qconnect: exits 1 for an unknown job and bad memory, 2 usage, 3 ended while waiting, 10 held, 255 no viewer" {
    local job
    run as user1 qconnect 999999
    same 1 "$status"
    run as user1 qconnect -c -m lots
    same 1 "$status"
    holds "-m 'lots'"
    run as user1 qconnect --no-such
    same 2 "$status"
    job=$(as user1 spunnelctl session start --detach --hold 2>/dev/null)
    run as user1 qconnect "$job"
    same 10 "$status"
    as root scancel "$job"
    as root scontrol update partitionname=debug state=down
    as user1 spunnelctl session start --detach
    qconnect_terminal <<'PY'
t = qconnect()
t.expect("session (\\d+) is queued")
login("root", "scancel", t.match.group(1))
t.expect(pexpect.EOF)
t.wait()
assert t.exitstatus == 3, t.seen
PY
}

@test "qconnect: jobs are in the order of their numbers, and two on one node do not meet" {
    local one two
    one=$(begin one)
    two=$(begin two)
    same "$one $two" "$(as user1 qconnect -l | awk 'NR > 1 { print $1 }' | xargs)"
    ONE=$one TWO=$two qconnect_terminal <<'PY'
for job in os.environ["ONE"], os.environ["TWO"]:
    t = qconnect(job)
    t.expect(r"user1@n\d")
    t.sendline("echo [$SLURM_JOB_ID]")
    t.expect("\\[" + job + "\\]")
    t.send("\x02d")
    t.expect("left session " + job)
PY
}
