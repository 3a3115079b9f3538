#!/usr/bin/env bats
# Sessions: a shell in a job that one can leave and come back to, at real terminals with real tmux.

load helpers

teardown() {
    host n1 root umount /usr/bin/tmux 2>/dev/null || true
    "$CLUSTER/link" login up 2>/dev/null || true
    service login slurmctld start >/dev/null 2>&1 || true
    as root scontrol update partitionname=debug state=up
    rm -f "$STATE/home/user1/.tmux.conf" "$STATE/home/user1/words"
    clean_up || return
    eventually nodes_are_clean
}

# node_parts: what a session has on the nodes: processes, and directories of the users'.
node_parts() {
    local host init
    processes spunnel-session tmux 'tmux: server' | sed 's/^/process /'
    for host in n1 n2; do
        init=$(host_init "$host")
        find "/proc/$init/root/tmp" "/proc/$init/root/dev/shm" -maxdepth 1 -name 'spunnel-*' 2>/dev/null |
            sed "s/^/directory $host /"
    done
}

nodes_are_clean() {
    local found
    found=$(node_parts)
    [[ -z $found ]] || {
        echo "left behind: $found"
        return 1
    }
}

# begin [WORD...]: a session that runs and is not attached; prints its job.
begin() {
    local job
    job=$(as user1 spunnelctl session start --detach "$@" 2>/dev/null)
    eventually is_ready "$job" >&2
    echo "$job"
}

# is_ready JOB: can it be attached to?
is_ready() {
    runs "$1" && [[ -n $(as user1 srun --jobid="$1" --overlap -N1 -n1 --relative=0 --mem=0 sh -c 'ls /tmp/spunnel-session-*/session') ]]
}

# In Python: session(WORD...) is a terminal with `spunnelctl session WORD...` at its shell.
SESSION='
def session(*words, user="user1", term="xterm", env=()):
    t = Terminal(user, "env", "TERM=" + term, *env, "spunnelctl", "session", *words)
    t.expect(r"user1@n\d")
    return t
def typed(t, line, answer):
    t.sendline(line)
    t.expect(answer)
def leave(t):
    t.send("\x02d")
    t.expect("left session")
    t.expect(pexpect.EOF)
    t.wait()
    assert t.exitstatus == 0, t.seen
'

session_terminal() { { echo "$SESSION"; cat; } | terminal; }

@test "session: a shell on a node; left, it goes on; typed again, it is the same; its end is the job's" {
    session_terminal <<'PY'
t = session()
typed(t, "MINE=still-$((40 + 2)); sleep 1000 &", r"\[1\] \d+")
leave(t)
t = session()
typed(t, "echo $MINE; jobs", r"still-42(?s:.*)Running.*sleep 1000")
t.sendline("kill %1; exit")
t.expect("session \\d+ has ended")
t.expect(pexpect.EOF)
t.wait()
assert t.exitstatus == 0, t.seen
PY
    eventually no_jobs
    nodes_are_clean
}

@test "session: variables are those of its own job, and none of the login's" {
    local one two
    one=$(DISPLAY=x begin -w n1 --export=ALL,DISPLAY=login:0,SSH_AUTH_SOCK=/tmp/a,TMUX=/tmp/b,XDG_RUNTIME_DIR=/run/user/1,DBUS_SESSION_BUS_ADDRESS=c,MINE=here -c 2)
    two=$(begin -w n1 -J other)
    ONE=$one TWO=$two session_terminal <<'PY'
one, two = os.environ["ONE"], os.environ["TWO"]
t = session(one, env=("DISPLAY=attach:1", "SSH_AUTH_SOCK=/tmp/attach"))
typed(t, "echo [$SLURM_JOB_ID$DISPLAY$SSH_AUTH_SOCK$DBUS_SESSION_BUS_ADDRESS,$MINE,$SRUN_CPUS_PER_TASK,$QCONNECT,$SPUNNEL_SESSION]",
      r"\[" + one + r",here,2,tmux,shell\]")
typed(t, "stat -c '<%a %U>' $XDG_RUNTIME_DIR", "<700 user1>")
typed(t, "tmux new-window; sleep 1; echo", "1:bash")
typed(t, "echo [$SLURM_JOB_ID$DISPLAY$SSH_AUTH_SOCK]", r"\[" + one + r"\]")
typed(t, "srun -n1 sh -c 'echo step of $SLURM_JOB_ID'", "step of " + one)
leave(t)
t = session("other")
typed(t, "echo [$SLURM_JOB_ID]", r"\[" + two + r"\]")
leave(t)
PY
}

@test "session: the terminal's size and its changes, UTF-8, and a TERM that the node does not know" {
    begin -w n1
    session_terminal <<'PY'
t = session(term="xterm-of-tomorrow", env=("LANG=C.UTF-8",))
typed(t, "stty size", "29 100")
t.setwinsize(41, 121)
eventually(lambda: "40 121" in (t.sendline("stty size"), t.expect(["40 121", "29 100"]), t.after)[2], True)
typed(t, "printf '\\303\\244\\342\\202\\254|'", "ä€\\|")
leave(t)
PY
}

@test "session: the user's own .tmux.conf holds" {
    as user1 sh -c "echo 'set -g prefix C-a' >.tmux.conf"
    begin -w n1
    session_terminal <<'PY'
t = session()
t.send("\x01d")
t.expect("left session")
PY
}

@test "session: a client that is killed or hung up leaves no ghost, and the session goes on" {
    local job
    job=$(begin -w n1)
    JOB=$job session_terminal <<'PY'
def attached():
    return login("root", "squeue", "--steps", "--noheader", "--format=%j").split().count("spunnel")
t = session()
login("root", "pkill", "-KILL", "-x", "srun")
t.expect(pexpect.EOF)
eventually(attached, 0)
t = session()
login("root", "pkill", "-KILL", "-x", "spunnelctl")
t.expect(pexpect.EOF)
eventually(attached, 0)
# The user's own ssh to the login host is lost: sshd there hangs the terminal up.
t = Terminal("user1", "ssh", "-tt", "login", "TERM=xterm spunnelctl session")
t.expect(r"user1@n\d")
login("root", "kill", "-KILL", login("root", "pgrep", "-f", "^ssh -tt login").strip())
t.expect(pexpect.EOF)
eventually(attached, 0)
t = session()
typed(t, "tmux list-clients | wc -l | sed 's/^/clients: /'", "clients: 1")
leave(t)
PY
    runs "$job"
}

@test "session: a network that is cut, and a slurmctld that is away, end no session and leave no ghost" {
    local job
    job=$(begin -w n1)
    JOB=$job CLUSTER=$CLUSTER session_terminal <<'PY'
t = session()
subprocess.run([os.environ["CLUSTER"] + "/service", "login", "slurmctld", "stop"], check=True)
typed(t, "echo away-$((1 + 1))", "away-2")
subprocess.run([os.environ["CLUSTER"] + "/service", "login", "slurmctld", "start"], check=True)
typed(t, "echo back-$((1 + 1))", "back-2")
subprocess.run([os.environ["CLUSTER"] + "/link", "login", "down"], check=True)
end = time.monotonic() + 60
while b"attach-session" in subprocess.check_output(["ps", "-eo", "args"]).replace(b"pgrep", b""):
    assert time.monotonic() < end, "the ghost is still there"
    time.sleep(0.2)
subprocess.run([os.environ["CLUSTER"] + "/link", "login", "up"], check=True)
t = session()
typed(t, "echo again-$((1 + 1))", "again-2")
leave(t)
PY
    runs "$job"
}

@test "session: an attach sends the others away; --share and --read-only leave them" {
    begin -w n1
    session_terminal <<'PY'
one = session()
two = session()
one.expect("left session")
three = session("attach", "--share")
typed(three, "echo seen-by-$((1 + 1))", "seen-by-2")
two.expect("seen-by-2")
spectator = Terminal("user1", "env", "TERM=xterm", "spunnelctl", "session", "attach", "--read-only")
spectator.expect("seen-by-2")
spectator.sendline("echo typed-by-$((3 + 0))")
typed(two, "echo END-$((4 + 4))", "END-8")
spectator.expect("END-8")
assert "typed-by-3" not in two.seen + spectator.seen, two.seen
two.sendline("exit")
for t in two, three, spectator:
    t.expect("session \\d+ has ended")
PY
}

@test "session: a node without tmux says so, with the package's name" {
    host n1 root mount --bind /dev/null /usr/bin/tmux
    session_terminal <<'PY'
t = Terminal("user1", "env", "TERM=xterm", "spunnelctl", "session", "-w", "n1")
t.expect("n1 lacks the package tmux")
t.expect(pexpect.EOF)
t.wait()
assert t.exitstatus == 1, t.seen
PY
    eventually no_jobs
}

@test "session: words behind -- are taken as they are, and --wait ends with the command's status" {
    # shellcheck disable=SC2016 # words that nobody expands
    run as user1 spunnelctl session start --wait -o /home/user1/words -- sh -c 'printf "<%s>" "$@" >words.out; exit 7' x 'a b' '$HOME' "it's;"
    same 7 "$status"
    same "<a b><\$HOME><it's;>" "$(as user1 cat words.out)"
    as user1 rm words.out
    status=0
    as user1 spunnelctl session start --wait -- 'no such; command' || status=$?
    same 127 "$status"
}

@test "session: list, stop, names; several without a terminal; options for one that is there" {
    local one two
    one=$(begin -J 'my work' -c 2)
    two=$(begin -J -- 2>/dev/null || begin -J second)
    run as user1 spunnelctl session list
    holds "JOB  NAME"
    holds "my work  shell  running"
    same "my work" "$(as user1 spunnelctl session list --json | jq -r ".sessions[] | select(.job == \"$one\").name")"
    run as user1 spunnelctl session
    same 1 "$status"
    holds "several sessions: name one of them"
    holds "$two"
    run as user1 spunnelctl session "my work" -c 4
    same 1 "$status"
    holds "it exists already, running with 2 cores"
    run as user1 spunnelctl session "my work"
    same 1 "$status"
    holds "this is no terminal"
    run as user1 spunnelctl session 999999
    same 1 "$status"
    run as user1 spunnelctl session start foo
    same 2 "$status"
    run as user2 spunnelctl session list
    same "no sessions of user2" "$output"
    run as user1 spunnelctl session stop "my work"
    same 0 "$status"
    eventually is_over "$one"
    as user1 spunnelctl session stop "$two"
}

@test "session: Ctrl-C while it waits leaves it in the queue, and says how to go on" {
    as root scontrol update partitionname=debug state=down
    session_terminal <<'PY'
t = Terminal("user1", "env", "TERM=xterm", "bash", "-c", "trap : INT; spunnelctl session; echo status $?")
t.expect("session (\\d+) is queued.*place 1 of 1")
job = t.match.group(1)
t.sendintr()
t.expect("session " + job + " stays in the queue: spunnelctl session " + job)
t.expect("status 0")
t = Terminal("user1", "env", "TERM=xterm", "spunnelctl", "session", "--notify")
t.expect("session " + job + " is queued")
login("root", "scontrol", "update", "partitionname=debug", "state=up")
t.expect("\x07spunnelctl: session " + job + " has started")
t.expect("user1@n\\d")
PY
    as root scontrol update partitionname=debug state=up
}

@test "session: extend is refused as the site refuses it, with a successor; a limit that nears is told" {
    local job
    job=$(begin -t 60 -J thesis)
    run as user1 spunnelctl session extend "$job" +30
    same 1 "$status"
    holds "denied"
    holds "session start --detach -J 'thesis' --dependency=afterany:$job"
    run as user1 spunnelctl session extend "$job" 30
    same 2 "$status"
    as root scontrol update job "$job" timelimit=4
    JOB=$job session_terminal <<'PY'
t = session(os.environ["JOB"])
t.expect("this session ends in [34] minutes")
leave(t)
PY
    run as root env HOME=/root spunnelctl session extend "$job" +60
    run as user1 spunnelctl session list
    holds "00:0"
}

@test "session: --idle ends one that nobody uses, and none where something is computed" {
    local idle busy
    idle=$(begin --idle 0:03)
    busy=$(begin --idle 0:03 -- sh -c 'while :; do :; done')
    within 20 is_over "$idle"
    runs "$busy"
}

@test "session: scancel, also of what ignores it, leaves nothing on the node" {
    local job
    job=$(begin -w n1 -- sh -c 'trap "" TERM HUP; setsid sleep 1000 & sleep 1001')
    cancel_job "$job"
    within 15 nodes_are_clean
    [[ -z $(processes sleep | awk '$3 != 0') ]]
    job=$(begin -w n1)
    processes spunnel-session | awk '{ print $2 }' | xargs kill -KILL
    eventually is_over "$job"
    # What a killed holder leaves, the user's next session on the node removes.
    job=$(begin -w n1)
    same 1 "$(node_parts | grep -c '^directory')"
}

@test "session: a node whose /tmp is full, and names of every kind" {
    local job name
    host n1 root mount -t tmpfs -o nr_inodes=1 none /tmp
    name=$'-q "it\'s" $HOME; '$(printf 'x%.0s' {1..150})
    job=$(as user1 spunnelctl session start --detach -w n1 -J "$name" 2>/dev/null)
    eventually runs "$job"
    same "$name" "$(as user1 spunnelctl session list --json | jq -r '.sessions[].name')"
    NAME=$name session_terminal <<'PY'
t = session("attach", "--", os.environ["NAME"])
typed(t, "echo $XDG_RUNTIME_DIR", "/dev/shm/spunnel-session-")
leave(t)
PY
    as user1 spunnelctl session stop -- "$name"
    eventually is_over "$job"
    eventually nodes_are_clean
    host n1 root umount /tmp
}

@test "session: another user sees no secret, joins nothing, and takes no name in advance" {
    local job
    job=$(begin -w n1)
    run as user2 spunnelctl session attach "$job"
    same 1 "$status"
    holds "find session '$job'"
    run as user2 srun --jobid="$job" --overlap true
    [[ $status != 0 ]]
    run host n1 user2 sh -c 'ls /tmp/spunnel-session-*/'
    holds "Permission denied"
    run host n1 user2 sh -c 'tmux -S /tmp/spunnel-session-*/tmux list-sessions'
    [[ $status != 0 ]]
}
