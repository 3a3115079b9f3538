#!/usr/bin/env bats
# spunnelctl cluster with the real daemons, as an ordinary user and as root, and what goes wrong.
# shellcheck disable=SC2016,SC2030,SC2031 # jobs expand; each test is a subshell with its own user

load cluster_helpers

setup_file() {
    machine_start
    export MACHINE MACHINE_PID MACHINE_OUTER
}

teardown_file() { machine_stop; }

setup() { USER_NAME=user1; }

teardown() {
    local user
    VARIABLES=()
    uncover
    for user in user1 user2 root; do
        for cluster in $(as "$user" spunnelctl cluster list --json | jq -r '.clusters[].name'); do
            as "$user" spunnelctl cluster down --now --name "$cluster" || true
        done
        as "$user" sh -c 'chmod -R u+rwX . && rm -rf .local slurm-*.out site'
    done
    as root find /tmp -mindepth 1 -delete
    no_daemons || {
        daemons
        return 1
    }
}

ctl() { as "$USER_NAME" spunnelctl cluster "$@"; }
slurm() { as "$USER_NAME" spunnelctl cluster exec "$@"; }
queue_is_empty() { [[ -z $(slurm squeue --noheader) ]]; }
running() { [[ $(slurm squeue --noheader --states=RUNNING | wc -l) == "$1" ]]; }
folder() { echo "$MACHINE/home/$USER_NAME/.local/state/spunnel/clusters/${1:-default}"; }

@test "up, exec, down: a first job, and nothing is left" {
    run ctl up
    [[ $status == 0 && $output == "cluster 'default' is up: 1 node with "* ]]
    run slurm srun hostname
    [[ $status == 0 && $output == machine ]]
    run ctl up
    [[ $status == 0 && $output == "cluster 'default' is up already"* ]]
    run ctl down
    [[ $status == 0 && $output == "cluster 'default' is down" ]]
    no_daemons
    run ctl down
    [[ $status == 0 && $output == "cluster 'default' is not up" ]]
    [[ ! -e $MACHINE/home/user1/.ssh ]]
}

@test "a parent that had SIGCHLD ignored: up and down all the same" {
    as user1 env --ignore-signal=CHLD spunnelctl cluster up
    [[ $(as user1 env --ignore-signal=CHLD spunnelctl cluster exec srun hostname) == machine ]]
    slurm sbatch --output /dev/null --wrap 'sleep 60'
    wait_until 30 running 1
    run as user1 env --ignore-signal=CHLD spunnelctl cluster down
    [[ $status == 1 && $output == *"a job is running"* ]]
    as user1 env --ignore-signal=CHLD spunnelctl cluster down --now
    no_daemons
}

@test "as root" {
    USER_NAME=root
    ctl up
    [[ $(slurm srun id -un) == root ]]
    serve_and_fetch
    ctl down
    no_daemons
}

@test "everything listens on loopback only, and the folder is the user's alone" {
    ctl up
    # The daemons listen on 127.0.0.1 however the machine's own name resolves, or does not.
    run on_machine ss -Hlnt
    [[ ${#lines[@]} == 3 && $output != *'*:'*'*:*'*'*:*'* && $output != *0.0.0.0:[0-9]* ]]
    while read -r _ _ _ address _; do
        [[ $address == 127.0.0.1:* || $address == '[::ffff:127.0.0.1]:'* ]]
    done <<<"$output"
    [[ $(stat -c %a "$(folder)") == 700 && $(stat -c %a "$(folder)/munge.key") == 600 ]]
    # Another user with the configuration in hand gets nowhere.
    cp -r "$(folder)"/slurm.conf "$MACHINE/tmp/slurm.conf"
    chmod 0644 "$MACHINE/tmp/slurm.conf"
    run as user2 env SLURM_CONF=/tmp/slurm.conf timeout 5 squeue
    [[ $status != 0 ]]
    run as user2 env SLURM_CONF=/tmp/slurm.conf timeout 5 sbatch --wrap id
    [[ $status != 0 ]]
    rm "$MACHINE/tmp/slurm.conf"
}

serve_and_fetch() {
    slurm srun --tunnel 8001:8000 python3 -m http.server 8000 >"$BATS_TEST_TMPDIR/srun" 2>&1 3>&- &
    wait_until 30 as "$USER_NAME" curl -sf localhost:8001
    slurm scancel --user="$USER_NAME"
    wait_until 30 queue_is_empty
    wait
}

@test "the tunnel goes through the cluster's own sshd, whatever ~/.ssh/config says" {
    as user1 sh -c 'mkdir -m 700 .ssh; printf "Host *\n  Port 1\n  ProxyCommand false\n" >.ssh/config'
    ctl up
    serve_and_fetch
    as user1 rm -r .ssh
}

@test "every form of a tunnel, here as on a real cluster" {
    local url page=http://n1:8000/page forwards
    ctl up --nodes 2 --cpus 4
    as user1 sh -c 'echo hello >page'
    slurm srun -N 2 --tunnel ':auto,8002:+1:8000,:all:8000,/tmp/%j.sock:8000,D:1080,R:9000:8000' sh -c '
        [ "$SLURM_PROCID" = 0 ] || exec sleep 30
        echo "told $SPUNNEL_FORWARDS"
        python3 -m http.server 8000 & exec python3 -m http.server "$SPUNNEL_PORT"
        ' >"$BATS_TEST_TMPDIR/srun" 2>&1 3>&- &
    wait_until 30 as user1 curl -sf localhost:8002/page
    IFS=, read -ra forwards < <(sed -n 's/^told //p' "$BATS_TEST_TMPDIR/srun")
    [[ ${#forwards[@]} == 7 ]]
    for url in "localhost:${forwards[0]%%:*}" "localhost:${forwards[2]%%:*}" \
        "localhost:${forwards[3]%%:*}" localhost:9000; do
        wait_until 30 as user1 curl -sf "$url/page"
    done
    [[ $(as user1 curl -sf --unix-socket "${forwards[4]%%:*}" "$page") == hello ]]
    [[ $(as user1 curl -sf --socks5-hostname localhost:1080 "$page") == hello ]]
    slurm scancel --user=user1
    wait_until 30 queue_is_empty
    wait

    slurm sbatch --parsable --tunnel 8001:8000 --wrap 'exec python3 -m http.server 8000'
    wait_until 30 as user1 curl -sf localhost:8001/page
    slurm spunnelctl open --background "$(slurm squeue --noheader --format %i)" 8003:8000
    [[ $(as user1 curl -sf localhost:8003/page) == hello ]]
    slurm scancel --user=user1
    wait_until 30 queue_is_empty
    wait_until 5 no_keepers
    as user1 rm page
}
no_keepers() { ! daemons | grep -q spunnel-; }

# served PORT: does the page come through it?
served() { [[ $(as user1 curl -sf "localhost:$1/page") == hello ]]; }
job_of() { slurm squeue --noheader --name "$1" --format %i; }
tunnel_of() { slurm spunnelctl status --json | jq -r ".tunnels[] | select(.job == $(job_of "$1")) | $2"; }

@test "sbatch --tunnel :auto, where both ends are on one machine" {
    ctl up
    as user1 sh -c 'echo hello >page'
    slurm sbatch --output auto.out --tunnel :auto --wrap '
        echo "$SPUNNEL_LOCAL_PORT"; exec python3 -m http.server "$SPUNNEL_PORT"' >"$BATS_TEST_TMPDIR/auto" 2>&1
    wait_until 30 as user1 test -s auto.out
    wait_until 30 served "$(as user1 cat auto.out)"
    slurm scancel --user=user1
    wait_until 15 queue_is_empty
    as user1 rm page auto.out
}

@test "a unix socket of the node, as 8888:/tmp/user1/jup.sock" {
    ctl up
    as user1 sh -c 'mkdir -m 700 /tmp/user1; echo hello >page; cat >web.py' <<'WEB'
import http.server, socketserver
class Server(socketserver.ThreadingUnixStreamServer):
    def get_request(self):
        return super().get_request()[0], ("here", 0)
Server("/tmp/user1/jup.sock", http.server.SimpleHTTPRequestHandler).serve_forever()
WEB
    slurm srun -J one --tunnel 8888:/tmp/user1/jup.sock python3 web.py >"$BATS_TEST_TMPDIR/one" 2>&1 3>&- &
    wait_until 15 served 8888
    slurm scancel --user=user1
    wait_until 15 queue_is_empty
    wait
    as user1 rm -r page web.py /tmp/user1
}

@test "every way to have one, and what becomes of it, here as on a real cluster" {
    local job
    ctl up --nodes 2 --cpus 4
    as user1 sh -c 'echo hello >page; cat >web.py' <<'WEB'
import http.server, socketserver
class Server(socketserver.ThreadingUnixStreamServer):
    def get_request(self):
        return super().get_request()[0], ("here", 0)
Server("/tmp/web.sock", http.server.SimpleHTTPRequestHandler).serve_forever()
WEB
    # A node by its name; it heals, and can be closed.
    slurm srun -N 2 -J one --tunnel 8001:n2:8000 sh -c '
        [ "$SLURM_PROCID" = 0 ] || exec sleep 60
        python3 web.py & exec python3 -m http.server 8000' >"$BATS_TEST_TMPDIR/one" 2>&1 3>&- &
    wait_until 15 served 8001
    on_machine pkill -KILL -x ssh
    wait_until 15 served 8001
    [[ $(tunnel_of one .state) == up && $(slurm spunnelctl url "$(job_of one)") == *http://localhost:8001* ]]
    slurm spunnelctl close "$(job_of one)"
    run as user1 curl -s localhost:8001/page
    [[ $status == 7 ]]
    running 1

    # The service goes on; the others lead to it.
    VARIABLES=(SPUNNEL_TUNNEL=8003:8000 SPUNNEL_WAIT=0)
    slurm srun --overlap -J two sleep 60 >"$BATS_TEST_TMPDIR/two" 2>&1 3>&- &
    wait_until 15 served 8003
    VARIABLES=()
    slurm salloc --quiet -J three --tunnel 8004:8000 srun sleep 60 >"$BATS_TEST_TMPDIR/three" 2>&1 3>&- &
    wait_until 15 served 8004
    [[ $(slurm spunnelctl status --json | jq '.tunnels | length') == 2 ]]

    # Waited for, held while it is requeued, gone with it.
    slurm sbatch --parsable -J four --hold --requeue --tunnel 8005:8000 --wrap 'sleep 1000'
    job=$(job_of four)
    slurm spunnelctl open --wait --background "$job" 8006:8000
    [[ $(tunnel_of four .state) == waiting ]]
    slurm scontrol release "$job"
    wait_until 20 served 8005
    wait_until 15 served 8006
    slurm scontrol requeue "$job"
    wait_until 15 is_waiting
    slurm scontrol update job "$job" starttime=now
    wait_until 20 served 8005
    served 8006

    # Through srun, where somebody wants it; that way leads to a socket at the job's end as well.
    sed -i 's/$/ transport=srun/' "$(folder)/plugstack.conf"
    slurm srun --overlap -J five --tunnel 8007:8000,8008:/tmp/web.sock sleep 60 >"$BATS_TEST_TMPDIR/five" 2>&1 3>&- &
    wait_until 15 served 8007
    served 8008
    [[ $(tunnel_of five .transport) == srun ]]
    slurm scancel --user=user1
    wait_until 15 queue_is_empty
    wait_until 10 no_keepers
    wait
    as user1 sh -c 'rm page web.py; rm -f /tmp/web.sock'
}
is_waiting() { [[ $(tunnel_of four .state) == waiting ]]; }

@test "the sshd runs no command, and opens no account but the owner's" {
    ctl up
    local ssh=(ssh -F .local/state/spunnel/clusters/default/ssh_config)
    run as user1 timeout 30 "${ssh[@]}" n1 id
    [[ $status == 1 && $output != *uid=* ]]
    # The key opens no other account.
    run as user1 timeout 30 "${ssh[@]}" -l user2 n1
    [[ $status == 255 && $output == *"Permission denied"* ]]
}

@test "exec hands on each byte of the command line and of the environment, whatever it stands for" {
    local odd=$'caf\xe9 \xff\xc3'
    as user1 sh -c 'mkdir "$1" && printf "%s\n" "#!/bin/sh" "echo it ran" >"$1/$1" && chmod 700 "$1/$1"' sh "$odd"
    ctl up
    # shellcheck disable=SC2034 # for the helpers
    VARIABLES=(ODD="$odd")
    [[ $(slurm printf %s "$odd") == "$odd" ]]
    [[ $(slurm printenv ODD) == "$odd" ]]
    [[ $(slurm srun sh -c 'printf %s "$1$ODD"' sh "$odd") == "$odd$odd" ]]
    [[ $(slurm "./$odd/$odd") == "it ran" ]]
    VARIABLES=(PATH="/home/user1/$odd:$PREFIX/bin:$SLURM_PATH/usr/bin:/bin")
    [[ $(slurm -- "$odd") == "it ran" ]]
    as user1 rm -r "$odd"
}

@test "jobs: sbatch with its output, an array, a dependency, scancel, salloc" {
    ctl up --cpus 4
    first=$(slurm sbatch --parsable --wrap 'hostname; sleep 0.2')
    slurm sbatch --quiet --dependency="afterok:$first" --wrap 'echo second'
    slurm sbatch --quiet --array=1-3 --wrap 'echo task $SLURM_ARRAY_TASK_ID'
    [[ $(slurm salloc --quiet srun hostname) == machine ]]
    wait_until 30 queue_is_empty
    [[ $(<"$MACHINE/home/user1/slurm-$first.out") == machine ]]
    [[ $(cat "$MACHINE"/home/user1/slurm-*.out | grep -c 'task [123]') == 3 ]]
    grep -q second "$MACHINE"/home/user1/slurm-*.out
    job=$(slurm sbatch --parsable --wrap 'sleep 1000')
    wait_until 30 running 1
    slurm scancel "$job"
    wait_until 30 queue_is_empty
    [[ $(slurm sinfo --noheader --format=%T) == idle ]]
}

@test "cores are shared out: more than the machine has, and bound where they are its own" {
    ctl up --cpus 1
    slurm sbatch --quiet --wrap 'sleep 1000'
    wait_until 30 running 1
    run slurm srun --immediate=1 true
    [[ $status != 0 ]]
    ctl down --now
    ctl up --cpus 16
    [[ $(slurm srun --ntasks=16 hostname | wc -l) == 16 ]]
}

@test "memory: a job that takes more than it asked for is killed, and told so" {
    ctl up
    run slurm srun --mem=50M python3 -c 'x = bytearray(200 << 20); import time; time.sleep(60)'
    [[ $status != 0 && $output == *"exceeded memory limit"*"being killed"* ]]
}

@test "several nodes, GPUs, several clusters side by side, list and JSON" {
    ctl up --nodes 3 --gpus 1
    ctl up --name other --memory 1G
    [[ $(slurm srun --nodes=3 printenv SLURMD_NODENAME | sort | tr '\n' ' ') == 'n1 n2 n3 ' ]]
    [[ $(slurm srun --gpus=1 printenv SLURM_GPUS_ON_NODE) == 1 ]]
    slurm --name other srun true
    run ctl list
    [[ ${#lines[@]} == 3 && ${lines[1]} == default*up*3* && ${lines[2]} == other*up*1G* ]]
    [[ $(ctl status --json | jq -r '.state, .nodes, (.daemons | length)' | tr '\n' ' ') == 'up 3 6 ' ]]
    # shellcheck disable=SC2016 # expanded there
    run as user1 sh -c 'eval "$(spunnelctl cluster env --name other)"; squeue --noheader && echo "$SLURM_CONF"'
    [[ $output == /home/user1/.local/state/spunnel/clusters/other/slurm.conf ]]
    [[ $(ctl env --name other --json | jq -r .set.SLURM_CONF) == "$output" ]]
    [[ $(ctl down --name other --json | jq -r '.result, .waiting' | xargs) == 'stopped 0' ]]
    [[ $(ctl down --name other --json | jq -r '.name, .result' | xargs) == 'other wasDown' ]]
}

@test "largest-first: of the waiting jobs the one with most cores is next, and it is remembered" {
    ctl up --cpus 4 --policy largest-first
    slurm sbatch --quiet --cpus-per-task=4 --wrap 'sleep 1000'
    wait_until 30 running 1
    for cores in 1 3 2; do
        slurm sbatch --quiet --job-name="cores$cores" --cpus-per-task=$cores --wrap true
    done
    wait_until 30 priorities_known
    [[ $(slurm squeue --noheader --states=PENDING --sort=-p --format=%j | tr '\n' ' ') == 'cores3 cores2 cores1 ' ]]
    ctl down --now
    [[ $(ctl status) == *largest-first* ]]
}
priorities_known() { [[ $(slurm squeue --noheader --states=PENDING --format=%Q | sort -u | wc -l) == 3 ]]; }

@test "sacct: what does not work is said where one stumbles on it" {
    ctl up
    slurm srun --job-name=known true
    run slurm sacct
    [[ $output == *"asks slurmdbd"*"scontrol show job"* ]]
    wait_until 30 completed known
}
# A Slurm that was built otherwise, as far as its command tells.
@test "sbatch --export=NONE runs, or is refused with what to type where Slurm would hold it for ever" {
    ctl up --nodes 1
    run slurm sbatch --parsable --export=NONE --output /dev/null --wrap true
    if [[ $(slurm sbatch --version) > "slurm 25.05" && $(slurm sbatch --version) != slurm-wlm* ]]; then
        [[ $status != 0 && $output == *"--export=NONE: "*"type --export=NIL"* ]]
        slurm sbatch --quiet --export=NIL --output /dev/null --wrap true
    else
        ((status == 0))
    fi
    wait_until 30 queue_is_empty
}

@test "several nodes of a Slurm that has one on each host: said, and nothing is left" {
    mkdir -p "$MACHINE/home/one/bin"
    printf '#!/bin/sh\n%s "$@" | grep -v MULTIPLE_SLURMD || true\n' "$(PATH=$SLURM_PATH$PATH type -P scontrol)" \
        >"$MACHINE/home/one/bin/scontrol"
    chmod 0755 "$MACHINE/home/one/bin/scontrol"
    run ctl up --nodes 2 --slurm-prefix /home/one
    [[ $status == 1 && $output == *"start several nodes: "*"--enable-multiple-slurmd"*"take --nodes 1"* ]]
    no_daemons
    ctl up --nodes 1
    [[ $(slurm srun hostname) == machine ]]
    ctl down
    rm -r "$MACHINE/home/one"
}

@test "down --now where scancel fails, as of a job that has just ended" {
    mkdir -p "$MACHINE/home/late/bin"
    printf '#!/bin/sh\n%s "$@"\nexit 1\n' "$(PATH=$SLURM_PATH$PATH type -P scancel)" \
        >"$MACHINE/home/late/bin/scancel"
    chmod 0755 "$MACHINE/home/late/bin/scancel"
    ctl up --slurm-prefix /home/late
    slurm sbatch --quiet --wrap 'sleep 1000'
    wait_until 30 running 1
    ctl down --now
    no_daemons
    rm -r "$MACHINE/home/late"
}

completed() { [[ $(slurm sacct --completion --noheader --format=jobname) == *$1* ]]; }

# --- Faults ----------------------------------------------------------------------------------

@test "down with jobs running refuses and names them; --now cancels them; waiting ones stay" {
    ctl up --cpus 1
    slurm sbatch --quiet --job-name=busy --wrap 'sleep 1000'
    wait_until 30 running 1
    slurm sbatch --quiet --job-name=later --wrap 'echo later ran'
    run ctl down
    [[ $status == 1 && $output == *"a job is running: "*"(busy); down --wait waits for it, --now cancels it" ]]
    running 1
    run ctl down --now
    [[ $status == 0 && $output == *"is down; 1 waiting job stays in its queue for the next up" ]]
    no_daemons
    ctl up
    wait_until 30 grep -q 'later ran' "$MACHINE/home/user1/slurm-2.out"
}

@test "down --wait waits for the running job and starts no other" {
    ctl up --cpus 1
    slurm sbatch --quiet --job-name=busy --wrap 'until [ -e go ]; do sleep 0.1; done; echo busy ended'
    wait_until 30 running 1
    slurm sbatch --quiet --job-name=later --wrap true
    ctl down --wait >"$BATS_TEST_TMPDIR/down" 3>&- &
    wait_until 30 partition_is down
    as user1 touch go
    wait
    grep -q '1 waiting job stays' "$BATS_TEST_TMPDIR/down"
    grep -q 'busy ended' "$MACHINE"/home/user1/slurm-*.out
    as user1 rm go
    no_daemons
}
partition_is() { [[ $(slurm sinfo --noheader --format=%a) == "$1" ]]; }

@test "daemons killed with -9: status says so, up starts them again, jobs go on" {
    ctl up --cpus 2
    slurm sbatch --quiet --wrap 'until [ -e go ]; do sleep 0.1; done; echo survived'
    wait_until 30 running 1
    # The controller writes its state some seconds behind; what is killed before is Slurm's to lose.
    wait_until 30 state_is_saved
    on_machine pkill -KILL -x 'munged|slurmctld|slurmd|sshd'
    wait_until 15 status_is down
    run ctl down
    [[ $status == 1 && $output == *"job step"*"up first"* ]]
    run ctl up
    [[ $status == 0 ]]
    wait_until 30 running 1
    as user1 touch go
    wait_until 30 grep -q survived "$MACHINE/home/user1/slurm-1.out"
    as user1 rm go
    wait_until 30 queue_is_empty
    for daemon in munged slurmctld sshd slurmd; do
        on_machine pkill -KILL -x "$daemon"
        wait_until 15 status_is partial
        run ctl up
        [[ $status == 0 && $output == *"up again: started $daemon"* ]]
    done
    [[ $(slurm srun hostname) == machine ]]
}
status_is() { [[ $(ctl status --json | jq -r .state) == "$1" ]]; }
state_is_saved() {
    [[ -n $(find "$(folder)/state/job_state" -newer "$(folder)/spool/n1/job00001") ]]
}

@test "all daemons and jobs killed, as at a power cut: the queue is there again" {
    ctl up --cpus 1
    slurm sbatch --quiet --hold --wrap 'echo released'
    wait_until 30 test -s "$(folder)/state/job_state"
    on_machine pkill -KILL -u user1
    wait_until 15 no_daemons
    ctl up
    [[ $(slurm squeue --noheader | wc -l) == 1 ]]
    slurm scontrol release 1
    wait_until 30 grep -q released "$MACHINE/home/user1/slurm-1.out"
}

@test "a reboot: nothing runs, /tmp and /run are empty; up goes on with the queue" {
    local state
    # The second path is so long that configuration files name it by a link in /tmp.
    for state in /home/user1/.local/state "/home/user1/$(printf 'long%.0s' {1..55})"; do
        # shellcheck disable=SC2034 # machine_as adds them
        VARIABLES=(XDG_STATE_HOME="$state")
        ctl up --cpus 1
        slurm sbatch --quiet --job-name=busy --wrap 'echo busy runs; sleep 1000'
        wait_until 30 running 1
        local started
        started=$(date +%s)
        slurm sbatch --quiet --job-name=waits --wrap 'echo waits ran'
        slurm sbatch --quiet --job-name=follows --dependency=afterok:2 --array=1-2 --wrap 'echo follows ran'
        slurm sbatch --quiet --job-name=held --hold --wrap 'echo held ran'
        [[ $(slurm squeue --noheader --array --states=PENDING | wc -l) == 4 ]]
        wait_until 30 state_is_newer "$MACHINE$state/spunnel/clusters/default"
        # The next up tells by the second what ran before it.
        wait_until 15 second_is_over "$started"
        on_machine pkill -KILL -u user1
        on_machine find /tmp /run -mindepth 1 -delete
        wait_until 15 no_daemons
        run ctl up
        [[ $status == 0 && $output == "cluster 'default' is up: 1 node"* ]]
        # What ran waits again, and is in nobody's way.
        [[ $(slurm squeue --noheader --jobs=1 --format='%j %T') == 'busy PENDING' ]]
        wait_until 30 grep -q 'waits ran' "$MACHINE/home/user1/slurm-2.out"
        slurm scancel --name=busy
        slurm scontrol release jobname=held
        wait_until 30 queue_is_empty
        [[ $(cat "$MACHINE"/home/user1/slurm-*.out | grep -c ' ran$') == 4 ]]
        ctl down
        as user1 sh -c 'rm -rf slurm-*.out long*'
    done
}
second_is_over() { (($(date +%s) > $1)); }
# The controller wrote its state since its latest job was submitted.
state_is_newer() {
    [[ -n $(find "$1/state/job_state" -newer "$(find "$1"/state/hash.*/job.* -maxdepth 0 -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)") ]]
}

@test "daemons killed with -9 while salloc holds an allocation without a step: it is kept" {
    ctl up --cpus 1
    slurm salloc --quiet sh -c 'until [ -e go ]; do sleep 0.1; done; srun echo kept' >"$BATS_TEST_TMPDIR/salloc" 3>&- &
    wait_until 30 running 1
    slurm sbatch --quiet --hold --wrap true
    wait_until 30 state_is_newer "$(folder)"
    on_machine pkill -KILL -x 'munged|slurmctld|slurmd|sshd'
    wait_until 15 status_is down
    ctl up
    running 1
    as user1 touch go
    wait
    grep -q kept "$BATS_TEST_TMPDIR/salloc"
    as user1 rm go
}

@test "up twice at once: one starts it, the other finds it up" {
    ctl up >"$BATS_TEST_TMPDIR/one" 3>&- &
    ctl up >"$BATS_TEST_TMPDIR/two" 3>&- &
    wait
    [[ $(cat "$BATS_TEST_TMPDIR"/{one,two} | grep -c "is up: ") == 1 ]]
    [[ $(cat "$BATS_TEST_TMPDIR"/{one,two} | grep -c "is up already") == 1 ]]
    [[ $(daemons user1 | grep -c 'slurmctld -D') == 1 ]]
}

@test "a full disk: up says so and leaves no daemon; with room again it works" {
    as user1 mkdir -p .local/state
    on_machine mount -t tmpfs -o size=64k,mode=0700,uid=71001 tmpfs /home/user1/.local/state
    as user1 sh -c 'cat /dev/zero >.local/state/filler 2>/dev/null || true'
    run ctl up
    [[ $status == 1 && $output == *"No space left on device"* ]]
    no_daemons
    on_machine mount -o remount,size=64m /home/user1/.local/state
    ctl up
    [[ $(slurm srun hostname) == machine ]]
    ctl down
    on_machine umount /home/user1/.local/state
}

@test "a folder that others can enter, or change on the way, is refused" {
    ctl up
    ctl down
    chmod 0755 "$(folder)"
    run ctl up
    [[ $status == 1 && $output == *"its mode is 755 and not 700"* ]]
    chmod 0700 "$(folder)"
    chmod 0777 "$MACHINE/home/user1"
    run ctl up
    [[ $status == 1 && $output == *"'/home/user1': others may write to it"* ]]
    chmod 0700 "$MACHINE/home/user1"
    ln -s /home/user2 "$(folder linked)"
    run ctl up --name linked
    [[ $status == 1 && $output == *"it is not a directory"* ]]
    rm "$(folder linked)"
    no_daemons
}

@test "a link on the way is followed only where nobody else can put another" {
    as user1 mkdir -m 700 own
    mkdir "$MACHINE/home/team"
    ln -s /home/user1/own "$MACHINE/home/team/me"
    chgrp 71002 "$MACHINE/home/team"
    chmod 2775 "$MACHINE/home/team"
    # shellcheck disable=SC2034 # for the helpers
    VARIABLES=(XDG_STATE_HOME=/home/team/me)
    run ctl up
    [[ $status == 1 && $output == *"'/home/team': others may write to it and it is not sticky"* ]]
    chmod 3775 "$MACHINE/home/team"
    chown -h 71002 "$MACHINE/home/team/me"
    run ctl up
    [[ $status == 1 && $output == *"'/home/team/me': it is a link of uid 71002"* ]]
    no_daemons
    chown -h 71001 "$MACHINE/home/team/me"
    ctl up
    [[ $(slurm srun hostname) == machine ]]
    chmod 2775 "$MACHINE/home/team"
    run slurm srun hostname
    [[ $status == 1 && $output == *"'/home/team': others may write to it"* ]]
    chmod 3775 "$MACHINE/home/team"
    ctl down
    rm -r "$MACHINE/home/team" "$MACHINE/home/user1/own"
}

@test "a port taken between choosing and binding: others are chosen" {
    # A controller that finds its port taken, once: a stranger is quicker.
    mkdir -p "$MACHINE/home/slow/sbin"
    cat >"$MACHINE/home/slow/sbin/slurmctld" <<'SLOW'
#!/bin/bash
if mkdir /tmp/taken 2>/dev/null; then
    port=$(sed -n 's/^SlurmctldPort=//p' "${@: -1}")
    echo "$port" >/tmp/taken/port
    setsid python3 -c '
import socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
open("/tmp/taken/ready", "w")
time.sleep(30)' "$port" >/dev/null 2>&1 &
    until [[ -e /tmp/taken/ready ]]; do sleep 0.01; done
fi
exec SLURMCTLD "$@"
SLOW
    sed -i "s|SLURMCTLD|$(PATH=$SLURM_PATH/usr/sbin:$PATH type -P slurmctld)|" "$MACHINE/home/slow/sbin/slurmctld"
    chmod 0755 "$MACHINE/home/slow/sbin/slurmctld"
    run ctl up --slurm-prefix /home/slow
    [[ $status == 0 && -e $MACHINE/tmp/taken/ready ]]
    [[ $(slurm srun hostname) == machine ]]
    [[ $(ctl status --json | jq -r '.daemons[] | select(.name == "slurmctld") | .port') != "$(<"$MACHINE/tmp/taken/port")" ]]
    on_machine pkill -KILL python3 || true
    rm -r "$MACHINE/home/slow"
}

@test "a home with spaces and signs, and a very long one" {
    local state
    for state in '/home/user1/with space/and #%u' "/home/user1/$(printf 'long%.0s' {1..55})/$(printf 'path%.0s' {1..55})"; do
        as user1 env XDG_STATE_HOME="$state" spunnelctl cluster up
        [[ $(as user1 env XDG_STATE_HOME="$state" spunnelctl cluster exec srun hostname) == machine ]]
        as user1 env XDG_STATE_HOME="$state" spunnelctl cluster exec srun --tunnel 8001:8000 \
            sh -c 'python3 -m http.server 8000 & until curl -sf localhost:8001 >page; do :; done; kill $!; wait' || true
        [[ -s $MACHINE/home/user1/page ]]
        as user1 env XDG_STATE_HOME="$state" spunnelctl cluster exec scancel --user=user1
        wait_until 30 no_steps
        as user1 env XDG_STATE_HOME="$state" spunnelctl cluster down --now
        as user1 rm -rf page "/home/user1/with space" /home/user1/long*
    done
    no_daemons
}
no_steps() { ! daemons | grep -q slurmstepd:; }

@test "a user without a name is told so; a name of an unusual form works" {
    mkdir -m 0700 "$MACHINE/home/nobody1"
    chown 71009:71009 "$MACHINE/home/nobody1"
    run machine_as 71009 /home/nobody1 spunnelctl cluster up
    [[ $status == 1 && $output == *"user id 71009 has no name here"* ]]
    printf 'EXAMPLE\\user.9@example.org:x:71009:71009::/home/nobody1:/bin/bash\n' >>"$MACHINE/passwd"
    machine_as 71009 /home/nobody1 spunnelctl cluster up
    [[ $(machine_as 71009 /home/nobody1 spunnelctl cluster exec srun hostname) == machine ]]
    run machine_as 71009 /home/nobody1 spunnelctl cluster exec srun --tunnel '/tmp/%u.sock:8000' \
        sh -c 'ls -l /tmp'
    [[ $status == 0 && $output == *'EXAMPLE\user.9@example.org.sock'* ]]
    machine_as 71009 /home/nobody1 spunnelctl cluster down
    sed -i '/^EXAMPLE/d' "$MACHINE/passwd"
}

@test "control groups of a kind that Slurm does not know keep no cluster from starting" {
    on_machine mount -t tmpfs tmpfs /sys/fs/cgroup
    run ctl up
    on_machine umount /sys/fs/cgroup
    [[ $status == 0 ]]
    [[ $(slurm srun hostname) == machine ]]
}

@test "a host name that is too long for Slurm is told as such" {
    local long
    long=$(printf 'a%.0s' {1..64})
    on_machine hostname "$long"
    run ctl up
    on_machine hostname machine
    [[ $status != 0 && $output == *"this host is called '$long', and Slurm takes names of 63 letters at the most"* ]]
}

@test "missing programs are named at once, with their packages" {
    [[ -z $SLURM_PATH ]] || skip "the machine's own packages, and the plugin is for another Slurm"
    mkdir -p "$MACHINE/hidden"
    for program in slurmctld munged sshd; do
        on_machine mount --bind "$MACHINE/hidden" "/usr/sbin/$program" 2>/dev/null ||
            on_machine mount --bind /dev/null "/usr/sbin/$program"
    done
    run ctl up
    for program in slurmctld munged sshd; do on_machine umount "/usr/sbin/$program"; done
    [[ $status == 1 ]]
    [[ $output == *"munged (Debian: munge; Fedora: munge)"* ]]
    [[ $output == *"slurmctld (Debian: slurmctld; Fedora: slurm-slurmctld)"* ]]
    [[ $output == *"sshd (Debian: openssh-server; Fedora: openssh-server)"* ]]
}

@test "what the owner has written into slurm.conf and plugstack.conf survives down and up" {
    ctl up
    ctl down
    as user1 sh -c "echo Licenses=widget:2 >>$(folder | sed "s|^$MACHINE||")/slurm.conf"
    as user1 sh -c "echo '# mine' >>$(folder | sed "s|^$MACHINE||")/plugstack.conf"
    ctl up --transport srun
    [[ $(slurm scontrol show licenses) == *LicenseName=widget* ]]
    grep -x '# mine' "$(folder)/plugstack.conf"
    grep ' transport=srun$' "$(folder)/plugstack.conf"
    run slurm srun --tunnel 8001:8000 true
    [[ $status == 0 && $output == *"localhost:8001 -> n1:8000"* ]]
    ctl down
    # Remembered, and once each.
    ctl up --cpus 2
    [[ $(grep -c widget "$(folder)/slurm.conf") == 1 && $(grep -c '# mine' "$(folder)/plugstack.conf") == 1 ]]
    grep ' transport=srun$' "$(folder)/plugstack.conf"
    run ctl up --transport mail
    [[ $status == 2 && $output == *"auto, ssh or srun"* ]]
    ctl down
}

@test "down of a cluster that is not there fails, as status and exec do" {
    for command in down status env; do
        run ctl "$command" --name nosuch
        [[ $status == 1 && $output == *"there is no cluster 'nosuch': spunnelctl cluster up --name nosuch makes one"* ]]
    done
}

# As far as its command tells.
@test "a Slurm that the plugin was not built for is refused, with the command that builds it" {
    mkdir -p "$MACHINE/home/newer/sbin"
    printf '#!/bin/sh\n[ "$1" = -V ] && { echo slurm 99.05.1; exit; }\nexec %s "$@"\n' \
        "$(PATH=$SLURM_PATH/usr/sbin:$PATH type -P slurmd)" >"$MACHINE/home/newer/sbin/slurmd"
    chmod 0755 "$MACHINE/home/newer/sbin/slurmd"
    run ctl up --slurm-prefix /home/newer
    [[ $status == 1 && $output == *"the Slurm in '/home/newer' is 99.05, and the plugin was built for "*": build it again in Spunnel's source, with make slurm SLURM='/home/newer' && make install-slurm" ]]
    no_daemons
    rm -r "$MACHINE/home/newer"
}

@test "--slurm-prefix: packages unpacked in one's own folder, on a machine without Slurm and munge" {
    [[ -z $SLURM_PATH ]] || skip "the machine's own packages, and the plugin is for another Slurm"
    command -v dpkg >/dev/null || skip "it takes Debian's packages"
    local packages files path libraries
    packages=$(dpkg-query -Wf '${db:Status-Abbrev} ${Package}\n' slurmctld slurmd slurm-client \
        slurm-wlm-basic-plugins 'libslurm[0-9]*' munge 'libmunge[0-9]*' | sed -n 's/^ii *//p')
    # What dpkg -x would make of them.
    # shellcheck disable=SC2086 # words
    files=$(dpkg -L $packages | grep -E '^/usr/(s?bin|lib)/' | sort -u)
    as user1 mkdir site
    tar --create --directory=/ --no-recursion --files-from=- <<<"$files" |
        tar --extract --directory="$MACHINE/home/user1/site" --owner=user1
    chown -R 71001:71001 "$MACHINE/home/user1/site"
    [[ -x $MACHINE/home/user1/site/usr/sbin/slurmctld-wlm && ! -e $MACHINE/home/user1/site/usr/sbin/slurmctld ]]
    while read -r path; do
        [[ ! -f $path || -L $path || $path == */slurm-wlm/* ]] || cover "$path"
    done <<<"$files"
    for path in /usr/lib/*/slurm-wlm; do cover "$path"; done

    run ctl up
    [[ $status == 1 && $output == *slurmctld*"--slurm-prefix"* ]]
    ctl up --slurm-prefix /home/user1/site
    for daemon in munged slurmctld slurmd-n1; do
        [[ $(on_machine readlink "/proc/$(pid_of $daemon)/exe") == /home/user1/site/usr/sbin/* ]]
    done
    libraries=$(ctl env --shell sh | sed -n "s/^export LD_LIBRARY_PATH='\([^']*\)'.*/\1/p" | tr : '\n')
    [[ $libraries == /home/user1/site/* && -z $(sort <<<"$libraries" | uniq -d) ]]
    [[ $(slurm srun hostname) == machine ]]
    slurm sbatch --quiet --array=1-2 --wrap 'srun echo from the prefix'
    wait_until 30 queue_is_empty
    [[ $(cat "$MACHINE"/home/user1/slurm-*.out | grep -c 'from the prefix') == 2 ]]
    serve_and_fetch
    ctl down
    # It is remembered.
    ctl up
    [[ $(slurm srun hostname) == machine ]]
    ctl down
    no_daemons
}
# cover PATH: puts nothing in its place, until the test's end.
cover() {
    local nothing=/dev/null
    [[ ! -d $1 ]] || nothing=/home/empty
    mkdir -p "$MACHINE/home/empty"
    on_machine mount --bind "$nothing" "$1"
    echo "$1" >>"$MACHINE/covered"
}
uncover() {
    [[ -e $MACHINE/covered ]] || return 0
    # shellcheck disable=SC2046 # a path a word
    on_machine umount $(<"$MACHINE/covered")
    rm "$MACHINE/covered"
}

@test "words that make no sense are usage errors" {
    local words
    for words in 'up --cpus 0' 'up --cpus 2x' 'up --memory 0' 'up --memory 5X' 'up --policy mcf' \
        'up --name ../x' 'up --nodes' 'down --wait --now' 'exec' 'frob' 'status --frob'; do
        # shellcheck disable=SC2086 # words
        run ctl $words
        [[ $status == 2 ]] || {
            echo "$words: $status: $output"
            return 1
        }
    done
}
