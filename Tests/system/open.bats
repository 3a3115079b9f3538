#!/usr/bin/env bats
# spunnelctl open and close: tunnels into jobs that are there already.

load helpers

# batch SBATCH-ARGUMENT...: a job of user1 that serves port 8000 on each of its nodes; prints its
# number.
batch() {
    as user1 sbatch --parsable --output /dev/null "$@" \
        --wrap 'srun --overlap /home/tools/service.py 8000'
}

# open NAME JOB SPEC...: in the background.
open() { start "$1" user1 spunnelctl open "${@:2}"; }

ctl() { as user1 spunnelctl "$@"; }

# fails TEXT JOB [OPTION]...: open ends with this one line, and leaves nothing.
fails() {
    run ctl open "${@:2}" 8001:8000
    same 1 "$status"
    same 1 "${#lines[@]}"
    [[ $output == spunnelctl:\ * ]]
    holds "$1"
    nothing_left
}

# By itself a tunnel ends some seconds after its job.
teardown() {
    as user1 spunnelctl close --all
    clean_up
}

# sshs: how many there are, not counting what one of them has started to jump over a host.
sshs() { pgrep -c -x ssh -P "$(processes spunnel-keeper | awk '{ print $2 }' | paste -sd,)"; }

@test "in the foreground until Ctrl-C: told as by srun, owner alone, nothing left" {
    local job
    job=$(batch -w n1)
    eventually runs "$job"
    open o "$job" 8001:8000 :8000
    eventually says o "on your own computer: ssh -L $(laptop user1 8001)"
    says o "localhost:8001 -> n1:8000"
    eventually answers n1:8000 user1 8001 name
    answers same user1 8001 source 1000000
    answers same user1 8001 sum 1000000
    answers "closed before a byte" user2 8001 name
    same n1:8000 "$(client user1 "$(sed -n 's/^localhost:\([0-9]*\) -> .*/\1/p' <(output o) | tail -n 1)" name)"
    kill -INT "$(pid o)"
    finish o
    soon nothing_left
    runs "$job"
}

# Accepts one connection, answers it, and ends once the answer was read: with the job a login may end at once
# (pam_slurm_adopt).
ONCE='import os, socket
listener = socket.create_server(("127.0.0.1", 8000))
print("serving", "{SLURM_JOB_ID}.{SLURM_STEP_ID}".format(**os.environ), "on n1", flush=True)
connection, _ = listener.accept()
listener.close()
print("heard", connection.recv(100).decode(), flush=True)
connection.sendall(b"once\n")
connection.shutdown(socket.SHUT_WR)
connection.recv(1)'

@test "a service that accepts one connection waits for the user's" {
    start s user1 srun -w n1 /usr/bin/python3 -c "$ONCE"
    eventually says s serving
    ctl open "$(job s)" 8001:8000,8002:8000 --background
    goes_on s
    same "unknown unknown" "$(ctl status --json | jq -r '[.tunnels[0].forwards[].far] | join(" ")')"
    answers once user1 8002 name
    finish s
    same 0 "$status"
    says s "heard name"
}

@test "in the background until it is closed, one forward after the other" {
    local job
    job=$(batch -N2)
    eventually runs "$job"
    run ctl open "$job" 8001:8000 8002:+1:8000 --background
    same 0 "$status"
    holds "localhost:8002 -> n2:8000"
    eventually answers n2:8000 user1 8002 name
    eventually answers n1:8000 user1 8001 name
    run ctl close "$job" 8001:8000
    same 0 "$status"
    frees 8001
    answers n2:8000 user1 8002 name
    run ctl close "$job" 8001:8000
    same 1 "$status"
    holds "no forward listens at '8001'"
    ctl close "$job" 8002:n2:8000
    soon nothing_left
    runs "$job"
}

# ssh_to NODE JOB: the process id of the ssh of a job's tunnel to one of its nodes.
ssh_to() { pgrep -P "$(keeper "$(whole "$2")")" -f -- " $1\$"; }

gone() { [[ ! -e /proc/$1 ]]; }

@test "a parent that had SIGCHLD ignored: a tunnel all the same" {
    local job
    job=$(batch -w n1)
    eventually runs "$job"
    run childless user1 spunnelctl open --background "$job" 8001:8000
    same 0 "$status"
    eventually answers n1:8000 user1 8001 name
}

@test "an ssh that does not end when it is asked to holds up no connection to another node" {
    local job ssh before beside=no
    job=$(batch -N2)
    eventually runs "$job"
    ctl open "$job" 8001:n1:8000 --background
    eventually answers n1:8000 user1 8001 name
    start p user1 /home/tools/client.py 8001 pulse
    eventually says p back
    # Nobody waits for the half second that it has. On a slow machine it may be over by the next line; if it
    # were waited for it would be over each time.
    for _ in {1..5}; do
        ctl open "$job" 8002:n2:8000 --background
        eventually answers n2:8000 user1 8002 name
        ssh=$(ssh_to n2 "$job")
        kill -STOP "$ssh"
        ctl close "$job" 8002:n2:8000
        gone "$ssh" || beside=yes
        before=$(output p | wc -l)
        eventually gone "$ssh"
        eventually more_than "$before" p
        [[ $beside == no ]] || break
    done
    same yes "$beside"
    goes_on p
    answers n1:8000 user1 8001 name
    # The same node again, and the tunnel's end before that of the ssh.
    ctl open "$job" 8002:n2:8000 --background
    eventually answers n2:8000 user1 8002 name
    ssh=$(ssh_to n2 "$job")
    kill -STOP "$ssh"
    ctl close "$job" 8002:n2:8000
    ctl close "$job"
    soon nothing_left
    gone "$ssh"
}

# more_than COUNT NAME: has it said more lines?
more_than() { (($(output "$2" | wc -l) > $1)); }

@test "it ends with the job, within 5 seconds, and the opener says so" {
    local job
    job=$(batch -w n1)
    eventually runs "$job"
    open o "$job" 8001:8000
    eventually says o "localhost:8001 -> n1:8000"
    cancel_job "$job"
    soon ended o
    finish o
    same 0 "$status"
    says o "the tunnel ended: job $job is over: CANCELLED"
    nothing_left
}

@test "--wait: a pending job is waited for, and served when it runs" {
    local job
    job=$(batch --hold -w n1)
    fails "open job $job: it has not started (PENDING" "$job"
    holds "add --wait"
    open o "$job" 8001:8000 --wait
    eventually says o "job $job has not started: waiting"
    ctl open "$job" 8002:8000 --wait --background
    as root scontrol release "$job"
    eventually says o "localhost:8001 -> n1:8000"
    eventually answers n1:8000 user1 8001 name
    answers n1:8000 user1 8002 name
    same 1 "$(sshs)"
}

@test "in the background a job that has waited: a node that is not reached at its start is tried on" {
    local job
    no_ssh && skip "the node is reached through Slurm alone"
    configure optional transport=ssh timeout=1
    job=$(batch --hold -w n1)
    ctl open "$job" 8001:8000 --wait --background
    service n1 sshd stop
    as root scontrol release "$job"
    eventually runs "$job"
    eventually ctl_tells_of "$job" "Connection refused"
    # Longer than somebody who waits would be kept waiting.
    eventually tried_for "$job" 3
    service n1 sshd start
    eventually answers n1:8000 user1 8001 name
}

# tried_for JOB SECONDS: have the attempts to reach its node gone on for so long?
tried_for() {
    local times
    mapfile -t times < <(sed -n 's/ ssh to .* ended: .*//p' "$(record "$(whole "$1")" log)")
    (($(date -d "${times[-1]}" +%s) - $(date -d "${times[0]}" +%s) > $2))
}

# ctl_tells_of JOB TEXT: does the status of a job have this?
ctl_tells_of() { [[ $(ctl status "$1") == *"$2"* ]]; }

@test "a job that is over, unknown, an array or another user's is refused in one line" {
    local job
    job=$(hold user1)
    as root scancel "$job"
    eventually no_jobs
    fails "open job $job: it is over (CANCELLED" "$job"
    fails "no such job" 999999
    job=$(as user1 sbatch --parsable --array 1-2 -o /dev/null --wrap 'sleep 600')
    fails "open job $job: it is a job array: name one task, as in ${job}_1" "$job"
    as root scancel "$job"
    job=$(hold user2)
    fails "open job $job: it is not yours" "$job"
    fails "it does not run" "$job.7"
    run ctl open twelve 8001:8000
    same 1 "$status"
    holds "'twelve'"
    run ctl open "$job" 8001:http
    same 2 "$status"
    holds "'http' in '8001:http' is no port"
}

@test "one task of an array" {
    local job
    # shellcheck disable=SC2016 # expanded in the job
    job=$(as user1 sbatch --parsable --array 1-2 -w n1 -o /dev/null --wrap \
        'exec /home/tools/service.py $((8000 + SLURM_ARRAY_TASK_ID))')
    eventually ctl open "${job}_1" 8001:8001 --background
    eventually ctl open "${job}_2" 8002:8002 --background
    eventually answers n1:8001 user1 8001 name
    eventually answers n1:8002 user1 8002 name
    same 2 "$(sshs)"
    # The last task has the array's own number.
    cancel_job "${job}_2"
    soon frees 8002
    answers n1:8001 user1 8001 name
    cancel_job "${job}_1"
    soon nothing_left
    job=$(as user1 sbatch --parsable --hold --array 1-2 -o /dev/null --wrap 'sleep 600')
    fails "open job ${job}_1: it has not started (PENDING" "${job}_1" --wait
    holds "open it once it runs"
}

@test "more forwards of an srun's tunnel, over the same ssh, until their opener ends" {
    local before
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000 8888
    before=$(ssh_of "$(step s)")
    open o "$(job s)" 8889:8888
    eventually says o "localhost:8889 -> n1:8888"
    answers n1:8888 user1 8889 name
    same "$before" "$(ssh_of "$(step s)")"
    same 1 "$(sshs)"
    kill -TERM "$(pid o)"
    finish o
    soon frees 8889
    answers n1:8000 user1 8001 name
    ctl open "$(step s)" 8890:8888 --background
    answers n1:8888 user1 8890 name
    # srun's own goes, the other stays.
    ctl close "$(job s)" 8001:8000
    frees 8001
    answers n1:8888 user1 8890 name
    same "$before" "$(ssh_of "$(step s)")"
    cancel s
    nothing_left
}

@test "more forwards of an sbatch's tunnel, over the same ssh" {
    local job before
    job=$(batch -w n1 --tunnel 8001:8000)
    eventually answers n1:8000 user1 8001 name
    before=$(ssh_of "$(whole "$job")")
    ctl open "$job" 8002:8000 --background
    answers n1:8000 user1 8002 name
    same "$before" "$(ssh_of "$(whole "$job")")"
    run ctl open "$job" 8001:8000
    same 1 "$status"
    same 1 "${#lines[@]}"
    holds "8001"
    ctl close "$job"
    nothing_left
}

@test "two openers at once share one ssh, and the last one to leave ends it" {
    local job
    job=$(batch -w n1)
    eventually runs "$job"
    open one "$job" 8001:8000
    open two "$job" 8002:8000
    eventually says one "localhost:8001 -> n1:8000"
    eventually says two "localhost:8002 -> n1:8000"
    eventually answers n1:8000 user1 8001 name
    answers n1:8000 user1 8002 name
    same 1 "$(sshs)"
    kill -INT "$(pid one)"
    finish one
    soon frees 8001
    answers n1:8000 user1 8002 name
    kill -INT "$(pid two)"
    finish two
    soon nothing_left
}

@test "a step's own nodes, and its end" {
    local job
    job=$(hold user1 -N2)
    start s user1 srun --jobid "$job" --overlap -N1 -w n2 /home/tools/service.py 8000
    eventually says s serving
    ctl open "$(step s)" 8001:8000 --background
    answers n2:8000 user1 8001 name
    as root scancel "$(step s)"
    eventually step_is_over
    soon nothing_left
    runs "$job"
}

step_is_over() { ! as root squeue --steps --noheader --format %i | grep -x "$(step s)"; }

@test "the opener killed with -9 takes its forwards with it" {
    local job
    job=$(batch -w n1)
    eventually runs "$job"
    open o "$job" 8001:8000
    eventually says o "localhost:8001 -> n1:8000"
    kill -KILL "$(pid o)"
    finish o
    soon nothing_left
}

@test "why ssh does not get there is said, and nothing is left" {
    local job
    configure optional transport=ssh timeout=60
    job=$(batch -w n1)
    eventually runs "$job"
    service n1 sshd stop
    run ctl open "$job" 8001:8000 --background
    service n1 sshd start
    same 1 "$status"
    holds "no sshd answers on n1"
    soon nothing_left
}

@test "a plugstack.conf that srun refuses is refused here as well" {
    configure optional timeout=soon
    run ctl status
    same 1 "$status"
    holds "spunnelctl: plugstack.conf: malformed argument 'timeout=soon'"
}

# --- Closing -----------------------------------------------------------------------------------

# held NAME STEP: a process of user1's that holds a record as a keeper of this step would.
held() {
    # shellcheck disable=SC2016 # expanded there
    start "$1" user1 bash -c '
        mkdir -p -m 700 /tmp/spunnel-$UID/'"$2"'
        exec 9</tmp/spunnel-$UID/'"$2"'
        flock 9
        echo held
        exec sleep 60'
    eventually says "$1" held
}

@test "close: a port or a path alone is a forward; what may be a job as well is asked back" {
    local job
    job=$(hold user1 -w n1)
    ctl open "$job" 8888 8001:8000 8002:8000 /tmp/near-%j.sock:8000 --background
    run ctl close "$job" 8001
    same 0 "$status"
    same "closed 8001:8000 of job $job, step extern" "$output"
    run ctl close "$job" "/tmp/near-$job.sock"
    same 0 "$status"
    run ctl close "$job" 7777
    same 1 "$status"
    same "spunnelctl: close: '7777' is no port of job $job, and no job with a tunnel: see spunnelctl status" "$output"
    held h 8888.0
    run ctl close "$job" 8888
    same 1 "$status"
    same 1 "${#lines[@]}"
    holds "write 8888:8888 for the port, or close job 8888 alone"
    run ctl close "$job" 8888:8888
    same "closed 8888:8888 of job $job, step extern" "$output"
    # Of all this the tunnel itself has seen nothing.
    same 8002:8000 "$(ctl status --json | jq -r '.tunnels[] | select(.job == '"$job"').forwards[] | "\(.submit):\(.exec)"')"
    kill -TERM "$(pid h)"
    finish h
    ctl clean
    ctl close "$job"
}

@test "close tells what it has closed, wherever it was said to lead" {
    local job
    not_under noforwarding "R:"
    job=$(hold user1 -w n1)
    ctl open "$job" R:9000:5432 8001:8000 8002:8000 --background
    run ctl close "$job" R:9000
    same "closed R:9000:5432 of job $job, step extern" "$output"
    ctl close "$job" 8001:9999 --json | jq -e '.closed[0].forwards == ["8001:8000"]'
    # One after the other, and the first is told although the second is not there.
    run ctl close "$job" 8002:8000 8003:8000
    same 1 "$status"
    same "closed 8002:8000 of job $job, step extern" "${lines[0]}"
    holds "no forward listens at '8003"
    within 2 nothing_left
}

@test "open at once after an open that failed, and after the last forward was closed: 40 of each" {
    local job
    job=$(hold user1 -w n1)
    start taken user2 /home/tools/service.py 8001
    eventually says taken serving
    # In one shell: nothing gives the keeper time to end.
    # shellcheck disable=SC2016 # expanded there
    start rounds user1 bash -c '
        for round in {1..40}; do
            said=$(spunnelctl open "$0" 8001:8000 2>&1)
            [[ $said == *"8001"* ]] || echo "round $round, busy: $said"
            said=$(spunnelctl open --background "$0" 8002:8000 2>&1) || echo "round $round: $said"
            spunnelctl close "$0" 8002:8000 >/dev/null || echo "round $round: not closed"
            said=$(spunnelctl open --background "$0" 8002:8000 2>&1) || echo "round $round, again: $said"
            spunnelctl close "$0" 8002:8000 >/dev/null || echo "round $round: not closed again"
        done
        echo all rounds' "$job"
    within 240 ended rounds
    finish rounds
    same "all rounds" "$(output rounds)"
    kill -TERM "$(pid taken)"
    finish taken
    within 5 nothing_left
}

@test "a guardian that comes late leaves the job's next tunnel its record, also while that is empty" {
    local job other guardian
    # Beside another tunnel: the last one takes the directory of all records with it.
    other=$(hold user1 -w n1)
    ctl open "$other" 8001:8000 --background
    job=$(hold user1 -w n1)
    ctl open "$job" 8002:8000 --background
    guardian=$(guardian "$(whole "$job")")
    kill -STOP "$guardian"
    ctl close "$job"
    # As a keeper has it for an instant.
    held h "$(whole "$job")"
    kill -CONT "$guardian"
    eventually gone "$guardian"
    record "$(whole "$job")"
    kill -TERM "$(pid h)"
    finish h
    # The same with a real one.
    ctl open "$job" 8002:8000 --background
    guardian=$(guardian "$(whole "$job")")
    kill -STOP "$guardian"
    ctl close "$job"
    ctl open "$job" 8002:8000 --background
    kill -CONT "$guardian"
    eventually gone "$guardian"
    ctl status "$job"
    ctl close "$job"
    ctl close "$other"
    nothing_left
}

# --- A step's tunnel ---------------------------------------------------------------------------

@test "the job's forwards outlive a short step's tunnel, which carried them meanwhile" {
    local job before
    job=$(hold user1 -N2)
    start s user1 srun --jobid "$job" --overlap -N1 -w n2 --tunnel 8001:8000 /home/tools/service.py 8000
    eventually says s serving
    before=$(ssh_of "$(step s)")
    open o "$job" 8002:8000
    eventually says o "localhost:8002 -> n2:8000"
    answers n2:8000 user1 8002 name
    same "$before" "$(ssh_of "$(step s)")"
    same 1 "$(sshs)"
    as root scancel "$(step s)"
    finish s
    eventually says o "step 0 has ended: opening a tunnel of job $job's own"
    start_on n2 late user1 /home/tools/service.py 8000
    eventually says late serving
    eventually answers n2:8000 user1 8002 name
    goes_on o
    kill -TERM "$(pid late)"
    finish late
    as root scancel "$job"
    within 10 ended o
    finish o
    same 0 "$status"
    says o "the tunnel ended: job $job is over"
    nothing_left
}

@test "in the background a job's forwards do not join a step's tunnel" {
    local job
    job=$(hold user1 -w n1)
    start s user1 srun --jobid "$job" --overlap --tunnel 8001:8000 /home/tools/service.py 8000
    eventually says s serving
    ctl open "$job" 8002:8000 --background
    ctl status "$(whole "$job")"
    as root scancel "$(step s)"
    finish s
    runs "$job"
    ctl status "$(whole "$job")"
    run frees 8002
    [[ $status != 0 ]]
}

# --- What befalls forwards ---------------------------------------------------------------------

# told_times COUNT NAME TEXT
told_times() { same "$1" "$(output "$2" | grep -cF -- "$3")"; }

@test "in the foreground a refusal, a loss and a return are a line each" {
    local job
    configure optional transport=ssh timeout=3
    job=$(hold user1 -w n1)
    open o "$job" 8010:8010
    eventually says o "n1:8010"
    open j "$job" 8011:8011 --json
    eventually says j '"state":"up"'
    for _ in {1..5}; do client user1 8010 name; done
    eventually says o "nothing listens at n1:8010 yet"
    client user1 8011 name
    eventually says j '"state":"refused"'
    service n1 sshd stop
    kill -KILL "$(ssh_of "$(whole "$job")")"
    eventually says o "the connection to n1 is lost: "
    # Known by now, and not found out anew.
    start late user1 spunnelctl open "$job" 8012:8012 --background
    soon says late "trying on"
    finish late
    same 1 "$status"
    service n1 sshd start
    eventually says o "the connection to n1 is back"
    kill -INT "$(pid j)"
    finish j
    same "up refused lost back" "$(output j | jq -r .state | paste -sd' ')"
    output j | jq -es 'any(.state == "refused" and .reason == "nothing listens at n1:8011 yet")'
    for text in "nothing listens" "is lost" "is back"; do told_times 1 o "$text"; done
    ctl close "$job"
    finish o
    same 0 "$status"
    says o "the tunnel ended"
}

@test "the exit status tells an end that was meant from a failure" {
    local job
    job=$(hold user1 -w n1)
    open o "$job" 8001:8000
    eventually says o "localhost:8001"
    ctl close "$job" 8001:8000
    finish o
    same 0 "$status"
    open o "$job" 8001:8000
    eventually says o "localhost:8001"
    kill -TERM "$(keeper "$(whole "$job")")"
    finish o
    same 1 "$status"
    says o "its keeper was ended by signal 15"
    open o "$job" 8001:8000
    eventually says o "localhost:8001"
    kill -KILL "$(keeper "$(whole "$job")")"
    finish o
    same 1 "$status"
    says o "the tunnel ended without a word"
}

# --- Words -------------------------------------------------------------------------------------

@test "a task's name is known to every command, and a word that is no job by none" {
    local job command
    job=$(as user1 sbatch --parsable --array 1-2 -w n1 -o /dev/null --wrap 'sleep 600')
    eventually ctl open "${job}_1" 8001:8000 --background
    eventually ctl open "${job}_2" 8002:8000 --background
    run ctl url "${job}_1"
    same localhost:8001 "${lines[0]}"
    run ctl status "${job}_2"
    holds "localhost:8002 -> n1:8000"
    run ctl close "${job}_2"
    same 0 "$status"
    frees 8002
    run ctl close "${job}_1" 8001
    same 0 "$status"
    nothing_left
    for command in "open foo 8001:8000" "status foo" "url foo" "close foo"; do
        # shellcheck disable=SC2086 # words
        run ctl $command
        same 1 "$status"
        same "spunnelctl: ${command%% *}: no job of yours is named 'foo': squeue --me lists your jobs" "$output"
    done
    run ctl url 99999999999
    same 2 "$status"
    holds "'99999999999' is no job: write its number or its name, or JOB.STEP, as in 12, train or 12.0"
    run ctl open 8001:8000 12
    same 2 "$status"
    holds "'8001:8000' is no job: name the job first"
}

@test "what is to be done next is said" {
    local job
    job=$(hold user2 -w n1)
    run ctl open "$job" 8001:8000
    holds "it is not yours, but user2's"
    run ctl url 4711
    holds "no tunnel of job 4711 on login: there has never been such a job, as the next one is "
    run ctl url "$job"
    holds "no tunnel of job $job on login: the job is user2's, not yours"
    job=$(hold user1 -w n1)
    run ctl url "$job"
    holds "open one here with spunnelctl open $job 8001:8000"
    cancel_job "$job"
    run ctl url "$job"
    holds "no tunnel of job $job on login: the job is over (CANCELLED), and its tunnel with it"
    run ctl open 12 80:80
    same 2 "$status"
    holds "see spunnelctl open --help"
    run ctl cluster exec --help
    same 0 "$status"
    holds "usage: spunnelctl cluster exec"
    run ctl cluster status --name nobodys
    same 1 "$status"
    holds "spunnelctl cluster up --name nobodys makes one"
}
