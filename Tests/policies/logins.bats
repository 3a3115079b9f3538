#!/usr/bin/env bats
# Two login hosts: a tunnel is on the host where the user asked for it.

load ../system/helpers

setup() {
    only_under logins
    configure optional
}

teardown() {
    under logins || return 0
    # A tunnel ends by itself only some seconds after its job.
    as user1 spunnelctl close --all
    host login2 user1 spunnelctl close --all
    clean_up
}

# on_second COMMAND...: user1 types a command on the second login host.
on_second() { host login2 user1 "$@"; }

# answers_on HOST ANSWER PORT: succeeds if the client on this host prints the answer.
answers_on() { same "$2" "$(host "$1" user1 /home/tools/client.py "$3" name)"; }

frees_on() { ! host "$1" user1 bash -c ": </dev/tcp/localhost/$2"; }

# submit_on HOST NODE: submits a job with a tunnel; prints its id. `output said` prints the rest of
# sbatch's output.
submit_on() {
    host "$1" user1 sbatch --parsable --output /dev/null -w "$2" --tunnel 8001:8000 \
        --wrap 'exec /home/tools/service.py 8000' 2>"$BATS_TEST_TMPDIR/said"
}

# is_elsewhere COMMAND JOB...: succeeds if the second host says that it has no such tunnel, and what
# to do.
is_elsewhere() {
    run on_second spunnelctl "$@"
    same 1 "$status"
    same "spunnelctl: no tunnel of job $2 on login2: log in to the host that has it, by its own name, or open one here with spunnelctl open $2 8001:8000" "$output"
}

@test "logins: sbatch says on which host the port is; the other one says that it has none" {
    local job
    job=$(submit_on login n1)
    same "spunnel: localhost:8001 -> port 8000 of job $job, while it runs" "$(output said | head -n 1)"
    eventually answers_on login n1:8000 8001
    frees_on login2 8001
    is_elsewhere status "$job"
    is_elsewhere url "$job"
    is_elsewhere close "$job"
    is_elsewhere close "$job" 8001:8000
    same "no tunnels of user1 on login2" "$(on_second spunnelctl status)"
    answers_on login n1:8000 8001
}

@test "logins: a second tunnel into the same job from the other host: each ends on its own, both with the job" {
    local job
    job=$(submit_on login n1)
    eventually answers_on login n1:8000 8001
    run on_second spunnelctl open "$job" 8001:8000 --background
    same 0 "$status"
    holds "on your own computer: ssh -L 8001:/home/user1/.spunnel/login2/8001 user1@login2"
    answers_on login2 n1:8000 8001
    answers_on login n1:8000 8001
    on_second spunnelctl close "$job"
    frees_on login2 8001
    answers_on login n1:8000 8001
    on_second spunnelctl open "$job" 8001:8000 --background
    as user1 spunnelctl close "$job"
    frees_on login 8001
    answers_on login2 n1:8000 8001
    as user1 spunnelctl open "$job" 8001:8000 --background
    answers_on login n1:8000 8001
    as root scancel "$job"
    within 12 nothing_left
}

@test "logins: the same port on both hosts, for two jobs" {
    local one two
    one=$(submit_on login n1)
    two=$(submit_on login2 n2)
    same "spunnel: localhost:8001 -> port 8000 of job $two, while it runs" "$(output said | head -n 1)"
    eventually answers_on login n1:8000 8001
    eventually answers_on login2 n2:8000 8001
    as root scancel "$one"
    within 12 frees_on login 8001
    answers_on login2 n2:8000 8001
    runs "$two"
}

@test "logins: srun on the second host has its tunnel there" {
    start_on login2 s user1 srun -w n1 --tunnel 8001:8000 /home/tools/service.py 8000
    eventually says s serving
    says s "on your own computer: ssh -L 8001:/home/user1/.spunnel/login2/8001 user1@login2"
    answers_on login2 n1:8000 8001
    frees_on login 8001
    # nothing_left must look at the second host too.
    run nothing_left
    holds "listener login2"
    holds "directory login2"
    as root scancel "$(job s)"
    finish s
    soon nothing_left
}

@test "logins: a session that was left on one host is rejoined from the other, which sends the first away" {
    # shellcheck disable=SC2016
    terminal <<'PY'
class Second(Terminal):
    """The same on the second login host."""
    def __init__(self, host, *command):
        self.seen = ""
        pexpect.spawn.__init__(
            self, CLUSTER_IN, [host, "user1", "--", "env", "TERM=xterm", *command], timeout=PATIENCE,
            encoding="utf-8", codec_errors="replace", dimensions=(30, 100))
        self.logfile_read = self
t = Second("login", "spunnelctl", "session")
t.expect(r"user1@n\d")
t.sendline("MINE=kept-$((40 + 2)); echo $MINE")
t.expect("kept-42")
# The first host is still attached, and is sent away.
other = Second("login2", "spunnelctl", "session")
other.expect(r"user1@n\d")
t.expect("left session")
other.sendline("echo again-$MINE")
other.expect("again-kept-42")
other.sendline("exit")
other.expect("has ended")
PY
}
