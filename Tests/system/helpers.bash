# What the system tests share: commands on the cluster's hosts, jobs in the background, waiting
# with a deadline, and the proof that nothing is left.
# shellcheck shell=bash
# shellcheck disable=SC2034 # some variables are for the tests

TESTS=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
CLUSTER=${TESTS%/*}/cluster
STATE=${SPUNNEL_CLUSTER_DIR:-/run/spunnel-cluster}
PREFIX=${SPUNNEL_TEST_PREFIX:-/opt/spunnel-test}
PLUGIN=$PREFIX/lib/spunnel/spunnel.so

# The policies of `up --policy` that the cluster has, as in adopt,traps.
POLICY=
[[ ! -e $STATE/cluster ]] || POLICY=$(sed 's/.* policy=//' "$STATE/cluster")

# Longest wait for what has no deadline of its own, in seconds: generous for a loaded machine.
PATIENCE=30

# --- Commands ----------------------------------------------------------------------------------

# as USER COMMAND...: runs it on the login host.
as() { host login "$@"; }

# host HOST USER COMMAND...
host() { timeout "$PATIENCE" "$CLUSTER/in" "$1" "$2" -- "${@:3}" 3>&- 4>&-; }

# childless USER COMMAND...: as by a parent that has SIGCHLD ignored, which the command inherits.
childless() { as "$1" env --ignore-signal=CHLD "${@:2}"; }

# client USER [-6] PORT|PATH WHAT...: see client.py.
client() { as "$1" /home/tools/client.py "${@:2}"; }

# slurm_program NAME: the file of one of Slurm's programs, on every host.
slurm_program() {
    local PATH=${SPUNNEL_SLURM:+$SPUNNEL_SLURM/bin:$SPUNNEL_SLURM/sbin:}$PATH
    readlink -f "$(type -P "$1")"
}

# slurm_is VERSION: do the hosts have this one, as in 20.11?
slurm_is() { [[ $("$(slurm_program slurmctld)" -V) == "slurm $1"* ]]; }

# answers ANSWER USER [-6] PORT|PATH WHAT...: does the client print this?
answers() { same "$1" "$(client "${@:2}")"; }

# configure WORD...: makes it the plugin's line in plugstack.conf, `required` or `optional` first.
configure() {
    local words="${*:2}"
    # What such a site is told to do; that ssh alone fails there is errors.bats' to show.
    if no_ssh; then
        [[ $words != *transport=ssh* ]] || skip "no tunnel by ssh under $POLICY"
        [[ $words == *transport=* ]] || words+=" transport=srun"
    fi
    "$CLUSTER/plugstack" "$1 $PLUGIN $words"
}

# answers_twice ANSWER USER PORT WHAT...: on 127.0.0.1, and on ::1 where the hosts have it.
answers_twice() {
    answers "$1" "$2" "${@:3}"
    if under ipv4; then
        answers "[Errno 99] Cannot assign requested address" "$2" -6 "${@:3}"
    else
        answers "$1" "$2" -6 "${@:3}"
    fi
}

# families: how many loopback addresses a host has.
families() { if under ipv4; then echo 1; else echo 2; fi; }

# address HOST: where the host is; bracketed HOST: the same, with a port behind it.
address() { awk -v host="$1" '$2 == host { print $1 }' "$STATE/etc/hosts"; }
bracketed() { if under ipv6; then echo "[$(address "$1")]"; else address "$1"; fi; }

# everywhere: all of a host's addresses, to listen on.
everywhere() { if under ipv6; then echo '[::]'; else echo 0.0.0.0; fi; }

service() { timeout "$PATIENCE" "$CLUSTER/service" "$@" 3>&- 4>&-; }

# host_init HOST: the host's first process, as the machine numbers it.
host_init() {
    local pid
    read -r pid _ <"$STATE/$1/init"
    echo "$pid"
}

# hosts: the cluster's, by name; login2 is there under its policy alone.
hosts() {
    printf '%s\n' login n1 n2
    ! under logins || echo login2
}

# --- Policies ----------------------------------------------------------------------------------

# under POLICY: does the cluster have it?
under() { [[ ,$POLICY, == *,$1,* ]]; }

# not_under POLICY REASON: what the test wants cannot be there.
not_under() { ! under "$1" || skip "policy $1: $2"; }

# only_under POLICY
only_under() { under "$1" || skip "for clusters of up --policy $1"; }

# no_ssh: do the policies leave no way for a tunnel but srun?
no_ssh() { under noforwarding || under changedkey; }

# own_config TEXT: is user1's ssh configuration; own_config_gone: it is again what the policy made it.
own_config() {
    not_under nohome "a user's own configuration of ssh"
    as user1 mkdir -p -m 700 .ssh
    echo "$1" >"$STATE/home/user1/.ssh/config"
}

own_config_gone() {
    local folder=$STATE/home/user1/.ssh
    rm -f "$folder/config" "$folder/known_hosts"
    [[ ! -e $STATE/home/user2/.ssh/config ]] || as user1 sh -c 'cat >.ssh/config' <"$STATE/home/user2/.ssh/config"
    # Without keys there was no folder.
    [[ ! -d $folder ]] || rmdir --ignore-fail-on-non-empty "$folder"
}

# n1_takes_no_login: it refuses user1's keys, or trusts no host; n1_takes_logins: no longer.
n1_takes_no_login() {
    if under hostbased; then
        : >"$STATE/n1/etc/ssh/shosts.equiv"
    else
        as user1 mv .ssh/authorized_keys{,.away}
    fi
}

n1_takes_logins() {
    if under hostbased; then
        cp "$STATE"/n2/etc/ssh/shosts.equiv "$STATE/n1/etc/ssh/shosts.equiv"
    elif [[ -e $STATE/home/user1/.ssh/authorized_keys.away ]]; then
        as user1 mv .ssh/authorized_keys{.away,}
    fi
}

# By the site's configuration alone, whatever traps the user's own has.
SSH_BY_HAND=(ssh -F /etc/ssh/ssh_config)

# --- Waiting -----------------------------------------------------------------------------------

# within SECONDS COMMAND...: repeats the command until it succeeds; at the deadline it runs once
# more with its output shown, and its failure is ours.
within() {
    local now end
    # In hundredths of a second, on a clock that nobody sets.
    read -r now _ </proc/uptime
    end=$((${now/./} + $1 * 100))
    shift
    until "$@" >/dev/null 2>&1; do
        read -r now _ </proc/uptime
        if ((${now/./} > end)); then
            "$@" || {
                echo "not in time: $*"
                return 1
            }
        fi
        sleep 0.02
    done
}

eventually() { within "$PATIENCE" "$@"; }

# soon COMMAND...: in the time that docs/security.md promises for the end of a tunnel: after its job, or after
# what ended it.
soon() { within 5 "$@"; }

# --- Jobs in the background --------------------------------------------------------------------

declare -gA STARTED=()

# start NAME USER COMMAND...: runs it on the login host in the background, its output in output NAME.
start() { start_on login "$@"; }

# start_on HOST NAME USER COMMAND...: the same on another host.
start_on() {
    # What one of the same name has said before is not this one's.
    : >"$BATS_TEST_TMPDIR/$2"
    "$CLUSTER/in" "$1" "$3" -- "${@:4}" </dev/null >"$BATS_TEST_TMPDIR/$2" 2>&1 3>&- 4>&- &
    STARTED[$2]=$!
}

# serve NAME USER SRUN-ARGUMENT... -- PORT...: an srun whose step is service.py; returns when it
# serves, which is after its tunnel is up.
serve() {
    local name=$1 user=$2 words=()
    shift 2
    while [[ $1 != -- ]]; do
        words+=("$1")
        shift
    done
    start "$name" "$user" srun "${words[@]}" /home/tools/service.py "${@:2}"
    eventually says "$name" "serving"
}

# take NAME HOST PORT: a step of user1's listens there on each of the host's loopback addresses.
take() {
    local ends=("$3")
    under ipv4 || ends+=("[::1]:$3")
    start "$1" user1 srun -w "$2" /home/tools/service.py "${ends[@]}"
    eventually says "$1" serving
}

output() { cat "$BATS_TEST_TMPDIR/$1"; }

# says NAME TEXT: does the output of what was started have this text?
says() { grep -F -- "$2" "$BATS_TEST_TMPDIR/$1" || { output "$1"; return 1; }; }

# pid NAME: the process that was started itself, srun for one, as the machine numbers it.
pid() { pgrep -P "${STARTED[$1]}"; }

# step NAME: job and step of a `serve`, as in 12.0, whichever of its tasks was the first to tell.
step() { sed -n 's/^serving \([^ ]*\) on .*/\1/p' "$BATS_TEST_TMPDIR/$1" | head -n 1; }

job() { step "$1" | cut -d. -f1; }

# told NAME FAR: the port of the login host that leads to the far end, as in n1:8000, as it was told.
told() { sed -n "s/^spunnel: localhost:\([0-9]*\) -> $2$/\1/p" "$BATS_TEST_TMPDIR/$1"; }

# laptop USER PORT: what ssh's -L is told for a port of the login host: where its own socket is.
laptop() {
    if under nohome; then echo "$2:localhost:$2"; else echo "$2:/home/$1/.spunnel/login/$2"; fi
}

# frees PORT: does nobody listen there?
frees() { as user1 bash -c "! : </dev/tcp/localhost/$1"; }

goes_on() { kill -0 "${STARTED[$1]}"; }

ended() { ! kill -0 "${STARTED[$1]}" 2>/dev/null; }

# finish NAME: waits for its end; sets `status`.
finish() {
    eventually ended "$1"
    status=0
    wait "${STARTED[$1]}" || status=$?
    unset "STARTED[$1]"
}

# terminal: runs the Python text of its standard input at real terminals, see terminal.py.
terminal() {
    { echo "from terminal import *"; cat; } |
        PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$TESTS timeout 60 /usr/bin/python3 - 3>&- 4>&-
}

# not_queued SPEC TEXT: srun with that tunnel ends with an error that has the text, and no job was made.
not_queued() {
    local before
    before=$(next_job)
    run as user1 srun --tunnel "$1" echo the job ran
    [[ $status != 0 ]]
    holds "$2"
    lacks "the job ran"
    same "$before" "$(next_job)"
}

# hold USER SBATCH-ARGUMENT...: an allocation that runs; prints its job id.
hold() {
    local job
    job=$(as "$1" sbatch --parsable --output /dev/null --wrap 'sleep 600' "${@:2}")
    eventually runs "$job" >&2
    echo "$job"
}

runs() { as root squeue --noheader --states running --jobs "$1" --format %i | grep -x "$1"; }

# starts_anew JOB NODE: Slurm holds a requeued job back for two minutes, from when it is off its node.
# On another node, as the first may refuse it: Slurm tells its revoked credentials apart by the second.
starts_anew() { runs "$1" || { as root scontrol update job "$1" starttime=now nodelist="$2" && false; }; }

# cancel NAME: ends the job of a `serve` and waits for its srun.
cancel() {
    as root scancel "$(job "$1")"
    finish "$1"
}

# cancel_job JOB: ends it; returns when Slurm says that it is over, and `soon` begins.
cancel_job() {
    as root scancel "$1"
    eventually is_over "$1"
}

is_over() {
    as root scontrol --oneliner show job "$1" | grep -E ' JobState=(CANCELLED|COMPLETED|FAILED) '
}

# next_job: the number that the next job will have.
next_job() { as root scontrol show config | sed -n 's/^NEXT_JOB_ID *= *//p'; }

# processes NAME...: the cluster's processes with one of these names, as lines of host, machine's id,
# user id, name and arguments.
processes() {
    local host spaces=''
    for host in $(hosts); do
        spaces+=" $(readlink "/proc/$(host_init "$host")/ns/pid") $host"
    done
    ps -eo pidns=,pid=,uid=,comm=,args= | awk -v spaces="${spaces//[^0-9a-z ]/}" -v names=" $* " '
        BEGIN { for (n = split(spaces, word, " "); n > 0; n -= 2) host[word[n - 1]] = word[n] }
        ("pid" $1) in host && index(names, " " $4 " ") { $1 = host["pid" $1]; print }'
}

# keeper STEP, guardian STEP, ssh_of STEP: the process id of a part of that step's tunnel.
keeper() { processes spunnel-keeper | awk -v step="$1" '$6 == step { print $2 }'; }
guardian() { processes spunnel-guard | awk -v step="$1" '$6 == step { print $2 }'; }
ssh_of() { pgrep -P "$(keeper "$1")" -x ssh; }

# whole JOB: the tunnel of a job as a whole, as its record and its keeper are named.
whole() { echo "$1.4294967292"; }

# record STEP [FILE]: the path of a step's record, or a file of it, as the machine sees it.
record() {
    compgen -G "/proc/$(host_init login)/root/tmp/spunnel-*/$1${2:+/$2}"
}

# crash STEP: kills all of a tunnel at once, so that nobody can clean up.
crash() {
    local parts
    parts="$(guardian "$1") $(keeper "$1")"
    # Stopped, neither sees the other's end.
    # shellcheck disable=SC2086 # two process ids
    kill -STOP $parts
    # shellcheck disable=SC2086
    kill -KILL $parts
}

# counter STEP KEY: a value in a step's status file.
counter() { sed -n "s/^$2 //p" "$(record "$1" status)"; }

# through NAME ssh|srun: is that the way of the tunnel of a `serve`?
through() { counts "$(step "$1")" transport "$2"; }

counts() { [[ $(counter "$1" "$2") == "$3" ]] || { cat "$(record "$1" status)"; return 1; }; }

# --- Nothing is left ---------------------------------------------------------------------------

# remains: prints every process, directory and listening socket that a tunnel could have left.
remains() {
    local host init
    processes spunnel-keeper spunnel-guard spunnel-sshd ssh | sed 's/^/process /'
    for host in $(hosts); do
        init=$(host_init "$host")
        compgen -G "/proc/$init/root/tmp/spunnel-*" | sed "s/^/directory $host /"
    done
    # Slurm and sshd listen on all addresses; on loopback only a tunnel does.
    for host in $(hosts | grep login); do
        init=$(host_init "$host")
        cat "/proc/$init/net/tcp" "/proc/$init/net/tcp6" | awk -v host="$host" '
            $4 == "0A" && $2 ~ /^(0100007F|00000000000000000000000001000000):/ {
                print "listener " host " " $2 }'
    done
}

nothing_left() {
    local found
    found=$(remains)
    [[ -z $found ]] || {
        echo "left behind:"
        echo "$found"
        return 1
    }
}

no_jobs() { [[ -z $(as root squeue --noheader) ]]; }

# --- Around every test -------------------------------------------------------------------------

# What a test has started ends, by process id and by job, whatever became of it.
clean_up() {
    local name found
    for name in "${!STARTED[@]}"; do
        # The child, when it is there: srun ends its step by itself then, faster than scancel.
        kill -TERM "$(pid "$name")" 2>/dev/null || true
    done
    for name in "${!STARTED[@]}"; do
        within 5 ended "$name" || kill -KILL "$(pid "$name")" "${STARTED[$name]}" || true
    done
    if ! no_jobs; then
        as root scancel --user user1
        as root scancel --user user2
        eventually no_jobs
    fi
    within 15 nothing_left || {
        # The next test begins without it, whatever this one says.
        remains | awk '$1 == "process" { print $3 }' | xargs -r kill -KILL
        remains | awk '$1 == "directory" { print $3 }' | xargs -r rm -rf
        return 1
    }
}

setup() { configure optional; }

teardown() { clean_up; }

# holds TEXT: is it in the output of `run`?
holds() {
    # shellcheck disable=SC2154 # set by run
    [[ $output == *"$1"* ]] || {
        echo "'$1' is not in: $output"
        return 1
    }
}

# lacks TEXT: is it not in the output of `run`?
lacks() {
    [[ $output != *"$1"* ]] || {
        echo "'$1' is in: $output"
        return 1
    }
}

# same WANTED GOT
same() {
    [[ $1 == "$2" ]] || {
        echo "wanted '$1', got '$2'"
        return 1
    }
}
