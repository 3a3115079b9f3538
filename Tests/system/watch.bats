#!/usr/bin/env bats
# queue --watch on a terminal: the cursor, and what keys do with the job under it.

load helpers
bats_require_minimum_version 1.5.0

teardown() {
    as user1 sh -c 'rm -rf slurm-*.out .local/state/spunnel/queue'
    clean_up
}

submit() { as user1 spunnelctl submit --parsable -o 'slurm-%A_%a.out' "$@"; }

@test "keys: cursor, explain, log, cancel after a question, the tunnel's address, end" {
    local first second
    first=$(submit -J first -w n1 sh -c 'echo written; sleep 600')
    second=$(submit -J second --hold true)
    eventually runs "$first"
    FIRST=$first SECOND=$second terminal <<'PY'
first, second = os.environ["FIRST"], os.environ["SECOND"]
t = Terminal("user1", "env", "TERM=xterm", "spunnelctl", "queue", "--watch")
t.expect_exact("up/down: choose")
assert f"\x1b[7m{first} " in t.seen, t
t.send("j")
t.expect_exact(f"\x1b[7m{second} ")
t.send("e")
t.expect_exact("it is held by its user")
t.expect_exact("any key: back")
t.send(" ")
t.send("\x1b[A")
t.expect_exact(f"\x1b[7m{first} ")
t.send("l")
t.expect_exact("written")
t.send(" ")
t.expect_exact("up/down: choose")
t.send("t")
t.expect_exact(f"no tunnel of job {first}")
t.send(" ")
t.send("c")
t.expect_exact(f"Cancel job {first} (first)?")
t.send("n")
t.expect_exact("up/down: choose")
assert first in login("user1", "squeue", "--noheader", "--states", "R", "--format", "%i")
t.send("c")
t.expect_exact(f"Cancel job {first} (first)?")
t.send("y")
t.expect_exact("is being cancelled")
# It fades out at the bottom; the cursor stays on it.
t.expect_exact("it was cancelled")
t.send("c")
t.expect_exact(f"job {first} is over")
t.send("q")
t.expect(pexpect.EOF)
t.wait()
assert t.exitstatus == 0, t
assert "\x1b[?1049l" in t.seen, t
PY
}

@test "the terminal is as before: after q, after Ctrl-C, and while it is stopped" {
    terminal <<'PY'
t = Terminal("user1", "bash", "--norc").shell()
for end in "q", "\x03":
    t.sendline("TERM=xterm spunnelctl queue --watch")
    t.expect_exact("up/down: choose")
    t.send(end)
    t.expect_exact(PROMPT)
    assert "icanon" in " ".join(t.ask("stty -a")), t
t.sendline("TERM=xterm spunnelctl queue --watch")
t.expect_exact("up/down: choose")
t.send("\x1a")
t.expect_exact(PROMPT)
shown = " ".join(t.ask("stty -a"))
assert " icanon" in shown and " echo " in shown, t
t.sendline("fg")
t.expect_exact("up/down: choose")
t.send("q")
t.expect_exact(PROMPT)
t.sendline("exit")
t.expect(pexpect.EOF)
PY
}
