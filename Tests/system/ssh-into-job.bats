#!/usr/bin/env bats
# ssh into a running job where nobody can log in to the nodes: shells, commands, files, forwards.
# shellcheck disable=SC2016 # commands for the job's shell

load helpers

setup_file() {
    service n1 sshd stop
    service n2 sshd stop
}

teardown_file() {
    service n1 sshd start
    service n2 sshd start
}

setup() {
    not_under nohome "keys in the user's home"
    job=$(hold user1 -w n1 -c 2 --export=ALL,MINE=here)
    # Slurm makes the environment in a login shell first, and the job counts as running meanwhile.
    eventually script_runs
}

script_runs() { processes sleep | grep -q 'sleep 600'; }

teardown() {
    rm -rf "$STATE/home/user1/.ssh/spunnel" "$STATE"/home/user1/{down,up,tree,copy,plain}
    own_config_gone
    clean_up
}

# into COMMAND...: by spunnelctl ssh.
into() { as user1 spunnelctl ssh "$job" "$@"; }

# config_is_there: ssh's own configuration knows *.job.
config_is_there() { as user1 sh -c 'spunnelctl ssh --config >>.ssh/config'; }

no_steps() { ! as root squeue --steps --noheader --format %j | grep -qx spunnel; }

@test "ssh into a job: a command, its output, its errors and its status; nothing else is said" {
    run into 'echo "on $(hostname) in $SLURM_JOB_ID with $SLURM_CPUS_PER_TASK and $MINE"; exit 5'
    same 5 "$status"
    same "on n1 in $job with 2 and here" "$output"
    run into echo "two   words" '$HOME'
    same "two words /home/user1" "$output"
    as user1 sh -c "printf 'one\ntwo\n' | spunnelctl ssh $job sort -r" >"$BATS_TEST_TMPDIR/sorted"
    same $'two\none' "$(output sorted)"
    eventually no_steps
    same "0:0" "$(as root scontrol --details --oneliner show job "$job" | sed -n 's/.* DerivedExitCode=\([^ ]*\).*/\1/p')"
}

@test "ssh into a job: the sshd is in the job, and nothing of it is left" {
    start s user1 spunnelctl ssh "$job" 'echo begun; exec sleep 1000'
    eventually says s begun
    run into 'cat /proc/self/cgroup; echo $$; ps -o ppid= $$'
    as root scancel "$job"
    finish s
    same 255 "$status"
    eventually no_jobs
    [[ -z $(processes spunnel-sshd sshd | awk '$3 != 0') ]]
    [[ -z $(processes sleep | awk '$3 != 0') ]]
}

@test "ssh into a job: a terminal with its size, and a login shell with the job's environment" {
    JOB=$job terminal <<'PY'
t = Terminal("user1", "env", "TERM=xterm", "spunnelctl", "ssh", os.environ["JOB"])
t.expect(r"user1@n1")
t.shell()
assert "30 100" in t.ask("stty size"), t.seen
t.setwinsize(41, 121)
eventually(lambda: "41 121" in t.ask("stty size"), True)
assert os.environ["JOB"] + " here" in t.ask("echo $SLURM_JOB_ID $MINE"), t.seen
t.sendline("exit 3")
t.expect(pexpect.EOF)
t.wait()
assert t.exitstatus == 3, t.seen
PY
}

@test "ssh JOB.job by the lines that --config prints: ssh, scp, sftp, rsync-like pipes, and nobody is asked" {
    config_is_there
    run as user1 ssh -o BatchMode=yes "$job.job" hostname
    same n1 "$output"
    as user1 dd if=/dev/urandom of=up bs=1M count=8 status=none
    as user1 scp -q up "$job.job:copy"
    as user1 cmp up copy
    as user1 sh -c "echo 'get copy down' | sftp -q -b - $job.job"
    as user1 cmp up down
    as user1 sh -c "mkdir -p tree/a && echo x >tree/a/b && tar c tree | ssh $job.job 'tar x -C /tmp && cat /tmp/tree/a/b && rm -r /tmp/tree'"
}

@test "ssh into a job: forwards in both directions, and many channels and connections at once" {
    local number
    config_is_there
    start server user1 srun --jobid="$job" --overlap -w n1 /home/tools/service.py 8000
    eventually says server serving
    start s user1 ssh -N -L 8123:localhost:8000 "$job.job"
    eventually answers n1:8000 user1 8123 name
    for number in 1 2 3 4 5 6; do start "p$number" user1 spunnelctl ssh "$job" "echo this is $number"; done
    for number in 1 2 3 4 5 6; do
        finish "p$number"
        same "this is $number" "$(output "p$number")"
    done
    as user1 ssh -o ControlMaster=yes -o ControlPath=/tmp/cm -o ControlPersist=60 -N -f "$job.job"
    run as user1 bash -c 'for n in $(seq 20); do ssh -o ControlPath=/tmp/cm '"$job.job"' echo $n & done; wait'
    same 20 "$(grep -cx '[0-9]*' <<<"$output")"
    as user1 ssh -o ControlPath=/tmp/cm -O exit "$job.job"
}

@test "ssh into a job: by the key of the user's own computer, which is on no other way in" {
    no_key=$(as user1 test -e .ssh/authorized_keys || echo yes)
    [[ -z $no_key ]] || skip "users log in without keys here"
    config_is_there
    # What a laptop has: the printed lines that are for it, and the user's own key.
    as user1 sh -c "sed -n 's/^#\(Host\|    \)/\1/p' .ssh/config >plain"
    run as user1 ssh -F plain -o BatchMode=yes -o IdentityFile="/home/user1/.ssh/id_ed25519" "$job.job" hostname
    same 0 "$status"
    same n1 "$output"
}

@test "ssh into a job: no other user gets in, and wrong words are told" {
    run as user2 spunnelctl ssh "$job" true
    same 255 "$status"
    run into -o BatchMode=yes
    run as user1 spunnelctl ssh
    same 2 "$status"
    run as user1 spunnelctl ssh 999999 true
    same 255 "$status"
    holds "Invalid job id"
    run as user1 spunnelctl ssh no-such-session true
    same 1 "$status"
    holds "find session 'no-such-session'"
    # The keys are the user's alone; a folder that others can change is not used.
    into true
    same "700 600 600" "$(as user1 stat -c %a .ssh/spunnel .ssh/spunnel/id .ssh/spunnel/host | xargs)"
    as user1 chmod 777 .ssh/spunnel
    run into true
    same 1 "$status"
    holds "others may read or change it"
}
