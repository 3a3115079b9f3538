#!/usr/bin/env bats
# sbatch --tunnel: a port of the login host for as long as the job is queued and runs, whoever has
# logged out meanwhile.

load helpers

JOBS=$PREFIX/libexec/spunnel/spunnel-jobs

teardown() {
    host login root umount "$JOBS" 2>/dev/null || true
    rm -f "$STATE/home/tools/other-jobs"
    service login slurmctld start
    service login sshd start
    # By itself a tunnel ends some seconds after its job.
    as user1 spunnelctl close --all
    ! under logind || host login root loginctl disable-linger user1
    clean_up
}

# submit SBATCH-ARGUMENT...: queues a job of user1 whose first node serves port 8000; prints its
# number. What else sbatch said is the output of `said`.
submit() {
    as user1 sbatch --parsable --output /dev/null "$@" --wrap 'exec /home/tools/service.py 8000' \
        2>"$BATS_TEST_TMPDIR/said"
}

@test "the port waits while the job is pending, serves while it runs, and ends with it" {
    local job
    job=$(submit --hold -w n1 --tunnel 8001:8000)
    same "spunnel: localhost:8001 -> port 8000 of job $job, while it runs" "$(output said | head -n 1)"
    counts "$(whole "$job")" state waiting
    # A client who comes too early is served when the job has started.
    start early user1 /home/tools/client.py 8001 name
    eventually waits 8001
    as root scontrol release "$job"
    finish early
    says early n1:8000
    answers same user1 8001 source 1000000
    answers same user1 8001 sum 1000000
    answers "closed before a byte" user2 8001 name
    cancel_job "$job"
    soon nothing_left
}

# waits PORT: is a client connected there?
waits() { as root grep -i ":$(printf %04X "$1") .* 01 " /proc/net/tcp; }

@test "a script's own line, and the command line's, which wins; free ports are told" {
    local port
    as user1 sh -c 'printf "%s\n" "#!/bin/bash" "#SBATCH --tunnel 8001:8000" "#SBATCH -w n1" \
        "#SBATCH -o /dev/null" "exec /home/tools/service.py 8000" >job.sh'
    as user1 sbatch job.sh
    eventually answers n1:8000 user1 8001 name
    as user1 sbatch --tunnel :8000 job.sh >"$BATS_TEST_TMPDIR/second" 2>&1
    as user1 rm job.sh
    port=$(sed -n 's/^spunnel: localhost:\([0-9]*\) -> port 8000 of job .*/\1/p' <(output second))
    [[ $port -gt 1023 && $port != 8001 ]]
    answers n1:8000 user1 8001 name
}

@test "a socket is held like a port while the job is pending, and gone with a keeper that is killed" {
    local job
    job=$(submit --hold -w n1 --tunnel '/tmp/%u-%j.sock:8000')
    same "600 user1" "$(as user1 stat --format '%a %U' "/tmp/user1-$job.sock")"
    run as user1 spunnelctl open --wait --background "$job" "/tmp/user1-$job.sock:8001"
    [[ $status != 0 ]]
    holds "'/tmp/user1-$job.sock' is open already"
    # A client who comes too early is served when the job has started.
    start early user1 /home/tools/client.py "/tmp/user1-$job.sock" name
    as root scontrol release "$job"
    finish early
    says early n1:8000
    as root scancel "$job"
    soon nothing_left
    as user1 test ! -e "/tmp/user1-$job.sock"
    job=$(submit --hold -w n1 --tunnel '/tmp/%u-%j.sock:8000')
    kill -KILL "$(keeper "$(whole "$job")")"
    soon nothing_left
    as user1 test ! -e "/tmp/user1-$job.sock"
    as root scancel "$job"
}

@test "the user who submitted it logs out: the tunnel stays" {
    local job
    # What it is without is logind.bats' to show.
    ! under logind || host login root loginctl enable-linger user1
    job=$(python3 - "$CLUSTER/in" "${SSH_BY_HAND[@]}" -tt login 3>&- 4>&- <<'PY'
import pexpect, sys
t = pexpect.spawn(sys.argv[1], ["n2", "user1", "--"] + sys.argv[2:], timeout=30, encoding="utf-8")
t.sendline("sbatch -o /dev/null -w n1 --tunnel 8001:8000 --wrap '/home/tools/service.py 8000'; exit")
t.expect(r"Submitted batch job (\d+)")
print(t.match.group(1))
t.expect(pexpect.EOF)
PY
    )
    # Of the login itself nothing is left; the tunnel may be logging in to its node.
    same "" "$(processes sshd | awk '$1 == "login" && $3 != 0')"
    eventually answers n1:8000 user1 8001 name
    runs "$job"
}

@test "nobody can log in to the host where sbatch was typed: the tunnel needs no way back" {
    not_under traps "the submit host is the jump host of its users"
    service login sshd stop
    submit -w n1 --tunnel 8001:8000
    # By no other way either: the node cannot connect to it.
    run host n1 user1 "${SSH_BY_HAND[@]}" login true
    [[ $status != 0 ]]
    eventually answers n1:8000 user1 8001 name
    answers same user1 8001 source 1000000
}

@test "sbatch over a pipe returns at once: the tunnel does not hold the pipe" {
    start s user1 bash -c 'sbatch -w n1 -o /dev/null --tunnel 8001:8000 --wrap "sleep 600" 2>&1 | cat'
    eventually ended s
    says s "-> port 8000 of job"
}

@test "a parent that had SIGCHLD ignored: the tunnel is there, and its keeper ignores nothing" {
    local job
    job=$(childless user1 sbatch --parsable --output /dev/null -w n1 --tunnel 8001:8000 \
        --wrap 'exec /home/tools/service.py 8000' 2>"$BATS_TEST_TMPDIR/said")
    same "spunnel: localhost:8001 -> port 8000 of job $job, while it runs" "$(output said | head -n 1)"
    eventually answers n1:8000 user1 8001 name
    # The two of the C library's own, 32 and 33, are as whoever runs the tests has them.
    same 0 $((0x$(sed -n 's/^SigIgn:\t//p' "/proc/$(guardian "$(whole "$job")")/status") & 0x7fffffff))
    cancel_job "$job"
    soon nothing_left
}

@test "a job that is requeued keeps its ports, those that were free to choose as well, and may move" {
    local job port
    job=$(submit -w n1 --requeue --tunnel 8001:8000,:8000)
    port=$(sed -n 's/^spunnel: localhost:\([0-9]*\) -> port 8000 of job .*/\1/p' <(output said) |
        tail -n 1)
    eventually answers n1:8000 user1 "$port" name
    answers n1:8000 user1 8001 name
    start held user1 /home/tools/client.py 8001 hold
    eventually says held held
    as root scontrol requeue "$job"
    finish held
    eventually counts "$(whole "$job")" state waiting
    eventually starts_anew "$job" n2
    eventually answers n2:8000 user1 8001 name
    answers n2:8000 user1 "$port" name
}

@test "a job array is refused with what to do, and holds no port" {
    local job
    job=$(submit --hold --array 1-2 --tunnel 8001:8000)
    same "sbatch: error: spunnel: no tunnel: job arrays have none: open one for a task, as in spunnelctl open ${job}_1 8001:8000" \
        "$(output said)"
    nothing_left
}

@test "what is wrong is said before anything is queued" {
    local before
    before=$(next_job)
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    run submit --tunnel 8001:8000
    says said "port 8001 is held by your own tunnel of job $(job s), step 0"
    run submit --tunnel 8002:http
    says said "'http' in '8002:http' is no port"
    same "$((before + 1))" "$(next_job)"
    answers n1:8000 user1 8001 name
}

@test "auto: the job knows its port when it starts, and both ends have the same number" {
    not_under nohome "no folder that both hosts have"
    local port
    # What another tunnel told the shell is not this one's.
    # shellcheck disable=SC2016 # expanded there
    as user1 env SPUNNEL_PORT_2=9 sbatch -w n1 --output batch.out --tunnel :auto,8001:8000 --wrap '
        echo "told $SPUNNEL_PORT $SPUNNEL_PORT_1 $SPUNNEL_LOCAL_PORT $SPUNNEL_URL $SPUNNEL_FORWARDS ${SPUNNEL_PORT_2-none}"
        exec /home/tools/service.py "$SPUNNEL_PORT"' >"$BATS_TEST_TMPDIR/said" 2>&1
    port=$(sed -n 's/^spunnel: localhost:\([0-9]*\) -> port \1 of job .*/\1/p' <(output said))
    [[ $port -ge 1024 ]]
    eventually answers "n1:$port" user1 "$port" name
    same "told $port $port $port http://localhost:$port/ $port:$port,8001:8000 none" \
        "$(as user1 grep told batch.out)"
    as user1 rm batch.out
}

@test "auto: a job that starts anew finds the same port" {
    not_under nohome "no folder that both hosts have"
    local job port
    # shellcheck disable=SC2016 # expanded there
    job=$(as user1 sbatch --parsable -w n1 --requeue --open-mode append --output batch.out --tunnel :auto --wrap '
        echo "told $SPUNNEL_PORT"; exec /home/tools/service.py "$SPUNNEL_PORT"' 2>/dev/null)
    eventually as user1 grep told batch.out
    port=$(as user1 sed -n 's/told //p' batch.out)
    eventually answers "n1:$port" user1 "$port" name
    as root scontrol requeue "$job"
    eventually counts "$(whole "$job")" state waiting
    eventually starts_anew "$job" n2
    eventually answers "n2:$port" user1 "$port" name
    as user1 rm batch.out
}

@test "R: on a free port: the script knows it" {
    not_under nohome "no folder that both hosts have"
    start db user1 /home/tools/service.py 9500
    eventually says db serving
    # shellcheck disable=SC2016 # expanded there
    as user1 sbatch -w n1 --output batch.out --tunnel R::9500 --wrap '
        until /home/tools/client.py "$SPUNNEL_PORT" name; do sleep 0.1; done' >&2
    eventually as user1 grep -x login:9500 batch.out
    as user1 rm batch.out
}

@test "auto: where --export keeps the port from the job, a line says so" {
    run as user1 sbatch --hold --output /dev/null --tunnel :auto --export=NONE --wrap true
    holds "spunnel: --export keeps SPUNNEL_PORT from the job: add it, as in --export=SPUNNEL_PORT"
    run as user1 sbatch --hold --output /dev/null --tunnel :auto --export=SPUNNEL_PORT --wrap true
    lacks "--export"
    run as user1 sbatch --hold --output /dev/null --tunnel 8001:8000 --export=NONE --wrap true
    lacks "--export"
}

@test "a host that is no node of the cluster is refused before anything is queued, in srun too" {
    local before
    before=$(next_job)
    run submit --tunnel 8001:n7:8000
    [[ $status != 0 ]]
    says said "'n7' in '8001:n7:8000' is no node of this cluster, and other hosts need targets=any in plugstack.conf: name a node as sinfo does"
    not_queued 8001:n7:8000 "'n7' in '8001:n7:8000' is no node of this cluster"
    same "$before" "$(next_job)"
    configure optional targets=any
    submit --hold --tunnel 8001:n7:8000
    same $((before + 1)) "$(next_job)"
}

@test "a port of one's own job that was just cancelled is free at once" {
    local job
    job=$(submit -w n1 --tunnel 8001:8000)
    eventually answers n1:8000 user1 8001 name
    # A keeper that asks Slurm late.
    stop_watching "$(whole "$job")"
    as user1 scancel "$job"
    as user1 sbatch --hold --output /dev/null --tunnel 8001:8000 --wrap true
    job=$(next_job)
    as user1 scancel --user user1
    as user1 sbatch --hold --output /dev/null --tunnel 8001:8000 --wrap true
    same $((job + 1)) "$(next_job)"
}

# stop_watching STEP: its keeper hears nothing of its job any more.
stop_watching() { pgrep -P "$(keeper "$1")" -x spunnel-jobs | xargs kill -STOP; }

@test "a submission that fails leaves nothing" {
    run submit --partition nowhere --tunnel 8001:8000
    [[ $status != 0 ]]
    nothing_left
    run as user1 sbatch --tunnel 8001:8000 no-such-script
    [[ $status != 0 ]]
    nothing_left
    submit --test-only --tunnel 8001:8000
    nothing_left
}

@test "--wait: the tunnel is there while sbatch waits, and ends with its job" {
    start s user1 sbatch --wait -w n1 --output /dev/null --tunnel 8001:8000 \
        --wrap 'exec /home/tools/service.py 8000'
    eventually answers n1:8000 user1 8001 name
    goes_on s
    as root scancel --user user1
    finish s
    soon nothing_left
}

# submits_in_parallel: twenty of them, four at a time, of ports 8101 to 8120, each job named
# after its port; prints what each said.
submits_in_parallel() {
    seq 8101 8120 | as user1 xargs -P4 -I{} sbatch --hold --output /dev/null --job-name 'p{}' \
        --tunnel '{}:8000' --wrap true 2>&1
}

# named_ports: each of user1's jobs and the port in its name; tunnel_ports: and the port of its tunnel.
named_ports() { as root squeue --noheader --user user1 --format '%i %j' | sed 's/ p/ /' | sort; }
tunnel_ports() {
    as user1 spunnelctl status --json |
        jq -r '.tunnels[] | "\(.job) \(.waiting[0] | split(":")[0])"' | sort
}

@test "submissions in parallel, as of a workflow tool: each job has the tunnel that was asked for it" {
    local said
    said=$(submits_in_parallel)
    same 20 "$(grep -c '^Submitted batch job' <<<"$said")"
    same 20 "$(named_ports | wc -l)"
    same "$(named_ports)" "$(tunnel_ports)"
}

@test "a submission that fails gives its tunnel to no other job of that moment" {
    # shellcheck disable=SC2016 # expanded there
    run as user1 sh -c 'for try in $(seq 12); do
        sbatch --tunnel 8001:8000 -p nopart --wrap true &
        sbatch --hold --output /dev/null --wrap true >/dev/null
        wait
    done'
    lacks "-> port 8000"
    same 12 "$(as root squeue --noheader --user user1 | wc -l)"
    nothing_left
}

@test "two jobs in a row, each with its own tunnel" {
    local one two
    one=$(submit -w n1 --tunnel 8001:8000)
    two=$(submit -w n2 --tunnel 8002:8000)
    eventually answers n1:8000 user1 8001 name
    eventually answers n2:8000 user1 8002 name
    cancel_job "$one"
    soon frees 8001
    answers n2:8000 user1 8002 name
    runs "$two"
}

@test "scancel of a pending job frees its port" {
    local job
    job=$(submit --hold --tunnel 8001:8000)
    cancel_job "$job"
    soon nothing_left
}

@test "a job that ends by itself ends its tunnel" {
    local job
    job=$(as user1 sbatch --parsable -w n1 --output /dev/null --tunnel 8001:8000 --wrap true)
    eventually is_over "$job"
    soon nothing_left
}

@test "the keeper killed with -9 leaves nothing, and the job goes on" {
    local job
    job=$(submit -w n1 --tunnel 8001:8000,/tmp/s.sock:8000)
    eventually answers n1:8000 user1 /tmp/s.sock name
    kill -KILL "$(keeper "$(whole "$job")")"
    soon nothing_left
    as user1 test ! -e /tmp/s.sock
    runs "$job"
}

@test "spunnel-jobs killed: the end of the job is still seen" {
    local job
    job=$(submit -w n1 --tunnel 8001:8000)
    eventually answers n1:8000 user1 8001 name
    processes spunnel-jobs | awk '{ print $2 }' | xargs kill -KILL
    cancel_job "$job"
    soon nothing_left
}

@test "slurmctld away for a while changes nothing" {
    local job
    ! no_ssh || skip "under $POLICY the way back is an srun, which needs slurmctld"
    job=$(submit -w n1 --tunnel 8001:8000)
    eventually answers n1:8000 user1 8001 name
    start held user1 /home/tools/client.py 8001 hold
    eventually says held held
    service login slurmctld stop
    # The link is lost, so Slurm is asked, which does not answer.
    kill -KILL "$(ssh_of "$(whole "$job")")"
    finish held
    eventually grep -F "ask Slurm for the job" "$(record "$(whole "$job")" log)"
    answers n1:8000 user1 8001 name
    service login slurmctld start
    counts "$(whole "$job")" state up
    answers n1:8000 user1 8001 name
    cancel_job "$job"
    soon nothing_left
}

@test "an srun inside the script opens no tunnel, nor does it say anything, whatever is inherited" {
    not_under nohome "no folder that both hosts have"
    as user1 env SPUNNEL_TUNNEL=8002:8000 sbatch --wait -w n1 --output batch.out --tunnel 8001:8000 \
        --wrap 'printenv SPUNNEL_TUNNEL; srun hostname; ls -d /tmp/spunnel-*; true'
    run as user1 cat batch.out
    as user1 rm batch.out
    same 8002:8000 "${lines[0]}"
    same n1 "${lines[1]}"
    holds "cannot access '/tmp/spunnel-*'"
    lacks "spunnel: "
}

@test "a job of two nodes: each node is reached" {
    local job
    job=$(as user1 sbatch --parsable -N2 -o /dev/null --tunnel 8001:8000,8002:n2:8000,8003:+1:8000 \
        --wrap 'srun /home/tools/service.py 8000')
    eventually answers n2:8000 user1 8002 name
    eventually answers n1:8000 user1 8001 name
    answers n2:8000 user1 8003 name
}

# --- What cannot be opened ---------------------------------------------------------------------

# told_of JOB TEXT: does its status say in a line of its own that this failed?
told_of() {
    run as user1 spunnelctl status "$1"
    holds "  failed  "
    holds "   $2"
}

# replaces_jobs PROGRAM: the login host has this in place of spunnel-jobs.
replaces_jobs() { host login root mount --bind "$1" "$JOBS"; }

# other_slurms_jobs NUMBER: the login host has a spunnel-jobs for a Slurm that it lacks, whose library has this number.
other_slurms_jobs() {
    local library=$BATS_TEST_TMPDIR/libslurm.so.$1
    echo 'int slurm;' | cc -shared "-Wl,-soname,libslurm.so.$1" -o "$library" -xc -
    echo 'extern int slurm; int main(void) { return slurm; }' |
        cc -o "$STATE/home/tools/other-jobs" -xc - -xnone "$library"
    replaces_jobs /home/tools/other-jobs
}

@test "a forward that cannot be opened takes no other down, and its reason is told as long as the job is there" {
    local job
    take s n1 9300
    job=$(submit -w n1 --tunnel R:9300:8000,8001:8000,8002:n2:8000)
    eventually answers n1:8000 user1 8001 name
    counts "$(whole "$job")" state up
    eventually told_of "$job" "R:9300:8000: n1 does not listen on '9300'"
    holds "'n2' in '8002:n2:8000' is no node of job $job, which has n1: name one of them"
    frees 8002
    same "8002:n2:8000" "$(as user1 spunnelctl status "$job" --json | jq -r '.tunnels[0].failed[0]')"
    as root scancel "$job"
    within 10 nothing_left
}

@test "a tunnel of which nothing could be opened is failed and says why, until its job ends" {
    local job
    job=$(submit -w n1 --tunnel 8001:n2:8000)
    eventually counts "$(whole "$job")" state failed
    told_of "$job" "'n2' in '8001:n2:8000' is no node of job $job"
    run as user1 spunnelctl status
    [[ ${lines[1]} == "$job "*" extern "*" 8001:n2:8000 "*" failed "* ]]
    run as user1 spunnelctl status --json
    same failed "$(jq -r '.tunnels[0].state' <<<"$output")"
    [[ $(jq -r '.tunnels[0].reason' <<<"$output") == *"is no node of job $job"* ]]
    run as user1 spunnelctl url "$job"
    same 1 "$status"
    holds "the tunnel of job $job failed: see spunnelctl status $job"
    frees 8001
    # What is asked for now is as good as ever.
    as user1 spunnelctl open --background "$job" 8001:8000
    eventually answers n1:8000 user1 8001 name
    as root scancel "$job"
    within 10 nothing_left
}

@test "close and clean end a tunnel that failed, and the job goes on" {
    local job
    job=$(submit -w n1 --tunnel 8001:n2:8000)
    eventually counts "$(whole "$job")" state failed
    as user1 spunnelctl close "$job"
    within 2 nothing_left
    runs "$job"
    job=$(submit -w n2 --tunnel 8001:n1:8000)
    eventually counts "$(whole "$job")" state failed
    run as user1 spunnelctl clean
    same 0 "$status"
    same "removed the record of job $job, step extern" "$output"
    within 2 nothing_left
    runs "$job"
}

@test "a path that was taken meanwhile is told" {
    local job
    # Only the job tells what %n is.
    job=$(submit --hold -w n1 --tunnel /tmp/web-%n.sock:8000)
    as user1 touch /tmp/web-0.sock
    as root scontrol release "$job"
    eventually counts "$(whole "$job")" state failed
    run as user1 spunnelctl status "$job"
    as user1 rm /tmp/web-0.sock
    holds "  failed     /tmp/web-%n.sock:8000: "
    holds "/tmp/web-0.sock"
    as root scancel "$job"
    within 10 nothing_left
}

@test "forwards of a requeued job that its new nodes do not have are told" {
    local job
    job=$(submit -w n1 --requeue --tunnel 8001:n1:8000)
    eventually answers n1:8000 user1 8001 name
    as root scontrol requeue "$job"
    eventually counts "$(whole "$job")" state waiting
    eventually starts_anew "$job" n2
    eventually counts "$(whole "$job")" state failed
    told_of "$job" "'n1' in '8001:n1:8000' is no node of job $job, which has n2"
    as root scancel "$job"
    within 10 nothing_left
}

@test "spunnel-jobs cannot be started: sbatch says so" {
    local job
    replaces_jobs /dev/null
    job=$(submit --hold --tunnel 8001:8000)
    same "sbatch: error: spunnel: job $job has no tunnel: start $JOBS: Permission denied: is the installation complete?" \
        "$(output said)"
    nothing_left
}

@test "spunnel-jobs of another Slurm: sbatch queues no job, and spunnelctl open says what to do" {
    local job
    job=$(as user1 sbatch --parsable --hold --output /dev/null --wrap 'sleep 600')
    other_slurms_jobs 43
    run as user1 sbatch --tunnel 8001:8000 --wrap true
    [[ $status != 0 ]]
    holds "--tunnel: spunnel-jobs is built for Slurm 25.05, and libslurm.so.43 is not on this host: run make slurm && make install-slurm"
    same "$job" "$(as user1 squeue --noheader --format %i)"
    frees 8001
    run as user1 timeout 20 spunnelctl open --background "$job" 8003:8000
    same 1 "$status"
    holds "spunnel-jobs is built for Slurm 25.05"
    as user1 scancel "$job"
    within 2 nothing_left
}

@test "a helper that is stopped is told as late, with what to look at, by every command that asks" {
    local job command
    job=$(hold user1 -w n1)
    # shellcheck disable=SC2016 # expanded there
    printf '#!/bin/sh\nkill -STOP $$\n' >"$STATE/home/tools/other-jobs"
    chmod 755 "$STATE/home/tools/other-jobs"
    replaces_jobs /home/tools/other-jobs
    for command in "open $job 8001:8000" queue nodes "explain $job"; do
        # shellcheck disable=SC2086 # words
        run as user1 env SPUNNEL_SLURM_TIMEOUT=1 spunnelctl $command
        [[ $status != 0 ]]
        holds "spunnel-jobs did not answer within 1 s: see whether slurmctld answers, with scontrol ping"
    done
    same "" "$(processes other-jobs spunnel-jobs)"
}
