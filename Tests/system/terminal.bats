#!/usr/bin/env bats
# What a user sees who works in a job's shell beside a tunnel.

load helpers

teardown() {
    configure optional
    rm -f "$STATE/home/user1/.ssh/config"
    clean_up
}

@test "srun --pty --tunnel 8001:8000,8889:8888 bash: files go down and up through both ports" {
    local sum
    as user1 mkdir -p web
    as user1 dd if=/dev/urandom of=web/data bs=1M count=6 status=none
    sum=$(as user1 sha256sum web/data | cut -d' ' -f1)
    SUM=$sum terminal <<'PY'
t = Terminal("user1", "srun", "--pty", "--tunnel", "8001:8000,8889:8888", "bash").shell()
t.ask("cd web")
t.ask("python3 /home/tools/web.py 8000 & python3 /home/tools/web.py 8888 &")
for port in "8001", "8889":
    url = f"http://localhost:{port}/data"
    eventually(lambda: login("user1", "curl", "-sI", url)[:15], "HTTP/1.0 200 OK")
    login("user1", "curl", "-s", "-o", f"got.{port}", url)
    got = login("user1", "sha256sum", f"got.{port}").split()[0]
    assert got == os.environ["SUM"], f"download through {port}: {got}"
    got = login("user1", "curl", "-s", "-T", "web/data", url).strip()
    assert got == os.environ["SUM"], f"upload through {port}: {got}"
t.sendline("kill %1 %2; exit")
t.expect(pexpect.EOF)
t.wait()
assert t.exitstatus == 0, t.seen
PY
    soon nothing_left
    as user1 rm -r web got.8001 got.8889
}

@test "a service in the background of a shell that is left ends with it, by Slurm's own rule" {
    terminal <<'PY'
t = Terminal("user1", "srun", "-w", "n1", "--pty", "--tunnel", "8001:8000", "bash").shell()
t.ask("/home/tools/service.py 8000 >/dev/null 2>&1 &")
eventually(lambda: login("user1", "/home/tools/client.py", "8001", "name"), "n1:8000\n")
t.sendline("exit")
t.expect(pexpect.EOF)
assert login("user1", "/home/tools/client.py", "8001", "name") == "[Errno 111] Connection refused\n"
PY
    soon nothing_left
    same "" "$(host n1 root pgrep -f '[s]ervice.py 8000' || true)"
}

@test "the job's terminal works: size, Ctrl-C, and nothing of ours on it after the start" {
    terminal <<'PY'
t = Terminal("user1", "srun", "-w", "n1", "--pty", "--tunnel", "8001:8000", "bash").shell()
start = len(t.seen)
assert "localhost:8001 -> n1:8000" in t.seen, t.seen
assert "30 100" in t.ask("stty size")
t.setwinsize(41, 121)
eventually(lambda: "41 121" in t.ask("stty size"), True)
t.ask("/home/tools/service.py 8000 >/dev/null &")
eventually(lambda: login("user1", "/home/tools/client.py", "8001", "name"), "n1:8000\n")
before = login("root", "pgrep", "-x", "spunnel-keeper|spunnel-guard|ssh")
t.sendline("cat")
t.sendline("here")
t.expect_exact("here\r\nhere\r\n")
t.sendintr()
assert "back" in t.ask("echo back")
assert login("user1", "/home/tools/client.py", "8001", "name") == "n1:8000\n"
assert login("root", "pgrep", "-x", "spunnel-keeper|spunnel-guard|ssh") == before
# ssh is lost and found again: not a word of it here.
login("root", "kill", "-KILL", login("root", "pgrep", "-x", "ssh").strip())
eventually(lambda: login("user1", "/home/tools/client.py", "8001", "name"), "n1:8000\n")
t.sendline("exec true")
t.expect(pexpect.EOF)
later = t.seen[start:]
assert "spunnel" not in later and "ssh" not in later, later
PY
    soon nothing_left
}

@test "one Ctrl-C at srun's own terminal leaves the tunnel alone, two end it" {
    terminal <<'PY'
t = Terminal("user1", "srun", "-w", "n1", "--tunnel", "8001:8000", "/home/tools/service.py", "8000")
t.expect_exact("serving")
t.sendintr()
t.expect_exact("one more within 1 sec to abort")
assert login("user1", "/home/tools/client.py", "8001", "name") == "n1:8000\n"
# Two within a second, however slow this machine is.
while t.isalive():
    t.sendintr()
    t.expect([pexpect.EOF, "srun:"])
PY
    soon nothing_left
}

@test "Ctrl-C while srun waits for its tunnel ends the waiting, and srun gets it" {
    configure optional transport=ssh timeout=300
    echo 'ProxyCommand sleep 300' >"$STATE/home/user1/.ssh/config"
    terminal <<'PY'
# Otherwise each Ctrl-C discards what the terminal has not shown yet (termios(3), NOFLSH).
t = Terminal("user1", "sh", "-c",
             "stty noflsh; exec srun -w n1 --tunnel 8001:8000 sleep 300")
eventually(lambda: login("root", "pgrep", "-c", "-x", "spunnel-keeper"), "1\n")
while t.isalive():
    t.sendintr()
    t.expect([pexpect.EOF, "srun:"])
assert "spunnel: no tunnel: interrupted" in t.seen, t.seen
PY
    soon nothing_left
}

@test "a terminal that hangs up takes the tunnel with it" {
    terminal <<'PY'
# The user's own ssh to the login host is lost: sshd there hangs the terminal up.
t = Terminal("user1", "ssh", "-tt", "login",
             "TERM=dumb srun -w n1 --pty --tunnel 8001:8000 bash").shell()
assert login("root", "pgrep", "-c", "-x", "spunnel-keeper") == "1\n"
login("root", "kill", "-KILL", login("root", "pgrep", "-f", "^ssh -tt login").strip())
t.expect(pexpect.EOF)
PY
    soon nothing_left
}

@test "the end of the job's shell is the end of the tunnel" {
    terminal <<'PY'
t = Terminal("user1", "srun", "--pty", "--tunnel", "8001:8000", "bash").shell()
t.sendline("exit 7")
t.expect(pexpect.EOF)
t.wait()
assert t.exitstatus == 7, t.exitstatus
PY
    soon nothing_left
}

@test "status --watch draws in place, and leaves the terminal as it was after Ctrl-Z and Ctrl-C" {
    terminal <<'PY'
t = Terminal("user1", "bash", "--norc", "-i").shell()
before = t.ask("stty -g")
t.sendline("TERM=xterm spunnelctl status --watch")
t.expect_exact("\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[Hno tunnels of user1 on login\x1b[K\x1b[J")
t.sendcontrol("z")
t.expect_exact("\x1b[?7h\x1b[?25h\x1b[?1049l")
t.expect("Stopped")
t.sendline("fg")
t.expect_exact("\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H")
t.sendcontrol("c")
t.expect_exact("\x1b[?7h\x1b[?25h\x1b[?1049l")
t.expect_exact(PROMPT)
assert "0" in t.ask("echo $?"), t.seen
assert t.ask("stty -g") == before, t.seen
t.sendline("exit")
t.expect(pexpect.EOF)
PY
}
