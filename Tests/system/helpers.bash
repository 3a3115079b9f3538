# What the system tests share: commands on the cluster's hosts, background jobs, waits with a
# deadline, and the check that nothing is left behind.
# shellcheck shell=bash
# shellcheck disable=SC2034 # some variables are for the tests

TESTS=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
CLUSTER=${TESTS%/*}/cluster
STATE=${SPUNNEL_CLUSTER_DIR:-/run/spunnel-cluster}
PREFIX=${SPUNNEL_TEST_PREFIX:-/opt/spunnel-test}
PLUGIN=$PREFIX/lib/spunnel/spunnel.so

# The policies of `up --policy` that the cluster has, such as adopt,traps.
POLICY=
[[ ! -e $STATE/cluster ]] || POLICY=$(sed 's/.* policy=//' "$STATE/cluster")

# The longest wait, in seconds, for anything without its own deadline. It is generous for a loaded
# machine.
PATIENCE=30

# --- Commands ----------------------------------------------------------------------------------

# as USER COMMAND...: runs a command on the login host.
as() { host login "$@"; }

# host HOST USER COMMAND...: runs a command on a host.
host() { timeout "$PATIENCE" "$CLUSTER/in" "$1" "$2" -- "${@:3}" 3>&- 4>&-; }

# childless USER COMMAND...: runs a command that inherits an ignored SIGCHLD.
childless() { as "$1" env --ignore-signal=CHLD "${@:2}"; }

# client USER [-6] PORT|PATH WHAT...: see client.py.
client() { as "$1" /home/tools/client.py "${@:2}"; }

# slurm_program NAME: the path of one of Slurm's programs, the same on every host.
slurm_program() {
    local PATH=${SPUNNEL_SLURM:+$SPUNNEL_SLURM/bin:$SPUNNEL_SLURM/sbin:}$PATH
    readlink -f "$(type -P "$1")"
}

# slurm_is VERSION: succeeds if the hosts run this version, such as 20.11.
slurm_is() { [[ $("$(slurm_program slurmctld)" -V) == "slurm $1"* ]]; }

# answers ANSWER USER [-6] PORT|PATH WHAT...: succeeds if the client prints the answer.
answers() { same "$1" "$(client "${@:2}")"; }

# configure WORD...: writes the plugin's line in plugstack.conf; `required` or `optional` comes
# first.
configure() {
    local words="${*:2}"
    # Such a site is told to set this. errors.bats shows that ssh alone fails there.
    if no_ssh; then
        [[ $words != *transport=ssh* ]] || skip "no tunnel by ssh under $POLICY"
        [[ $words == *transport=* ]] || words+=" transport=srun"
    fi
    "$CLUSTER/plugstack" "$1 $PLUGIN $words"
}

# answers_twice ANSWER USER PORT WHAT...: checks 127.0.0.1, and ::1 if the hosts have it.
answers_twice() {
    answers "$1" "$2" "${@:3}"
    if under ipv4; then
        answers "[Errno 99] Cannot assign requested address" "$2" -6 "${@:3}"
    else
        answers "$1" "$2" -6 "${@:3}"
    fi
}

# families: the number of a host's loopback addresses.
families() { if under ipv4; then echo 1; else echo 2; fi; }

# address HOST: the host's address. bracketed HOST: the same in a form that a port can follow.
address() { awk -v host="$1" '$2 == host { print $1 }' "$STATE/etc/hosts"; }
bracketed() { if under ipv6; then echo "[$(address "$1")]"; else address "$1"; fi; }

# everywhere: the wildcard address, for listening on all addresses.
everywhere() { if under ipv6; then echo '[::]'; else echo 0.0.0.0; fi; }

service() { timeout "$PATIENCE" "$CLUSTER/service" "$@" 3>&- 4>&-; }

# host_init HOST: the process id of the host's first process, in the machine's pid namespace.
host_init() {
    local pid
    read -r pid _ <"$STATE/$1/init"
    echo "$pid"
}

# hosts: the names of the cluster's hosts. Only the policy logins has login2.
hosts() {
    printf '%s\n' login n1 n2
    ! under logins || echo login2
}

# --- Policies ----------------------------------------------------------------------------------

# under POLICY: succeeds if the cluster has the policy.
under() { [[ ,$POLICY, == *,$1,* ]]; }

# not_under POLICY REASON: skips the test under a policy that rules it out.
not_under() { ! under "$1" || skip "policy $1: $2"; }

# only_under POLICY: skips the test on a cluster without the policy.
only_under() { under "$1" || skip "for clusters of up --policy $1"; }

# no_ssh: succeeds if the policies leave only srun as a transport.
no_ssh() { under noforwarding || under changedkey; }

# own_config TEXT: sets user1's ssh configuration. own_config_gone: restores that of the policy.
own_config() {
    not_under nohome "a user's own configuration of ssh"
    as user1 mkdir -p -m 700 .ssh
    echo "$1" >"$STATE/home/user1/.ssh/config"
}

own_config_gone() {
    local folder=$STATE/home/user1/.ssh
    rm -f "$folder/config" "$folder/known_hosts"
    [[ ! -e $STATE/home/user2/.ssh/config ]] || as user1 sh -c 'cat >.ssh/config' <"$STATE/home/user2/.ssh/config"
    # A user without keys had no such folder.
    [[ ! -d $folder ]] || rmdir --ignore-fail-on-non-empty "$folder"
}

# n1_takes_no_login: makes n1 refuse user1's logins. n1_takes_logins: undoes it.
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

# ssh with the site's configuration alone, without the traps in the user's own.
SSH_BY_HAND=(ssh -F /etc/ssh/ssh_config)

# --- Waiting -----------------------------------------------------------------------------------

# within SECONDS COMMAND...: repeats a command until it succeeds. At the deadline it runs once more
# with its output shown, and its failure is returned.
within() {
    local now end
    # In hundredths of a second since boot: this clock cannot be set.
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

# soon COMMAND...: waits as long as docs/security.md promises for the end of a tunnel, after its job
# or after the event that ended it.
soon() { within 5 "$@"; }

# --- Jobs in the background --------------------------------------------------------------------

declare -gA STARTED=()

# start NAME USER COMMAND...: runs a command in the background on the login host. `output NAME`
# prints its output.
start() { start_on login "$@"; }

# start_on HOST NAME USER COMMAND...: the same on another host.
start_on() {
    # An earlier command of the same name may have left output.
    : >"$BATS_TEST_TMPDIR/$2"
    "$CLUSTER/in" "$1" "$3" -- "${@:4}" </dev/null >"$BATS_TEST_TMPDIR/$2" 2>&1 3>&- 4>&- &
    STARTED[$2]=$!
}

# serve NAME USER SRUN-ARGUMENT... -- PORT...: starts an srun whose step is service.py. Returns when
# the service listens, which is after its tunnel is up.
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

# take NAME HOST PORT: starts a step of user1 that listens on the port, on each loopback address of
# the host.
take() {
    local ends=("$3")
    under ipv4 || ends+=("[::1]:$3")
    start "$1" user1 srun -w "$2" /home/tools/service.py "${ends[@]}"
    eventually says "$1" serving
}

output() { cat "$BATS_TEST_TMPDIR/$1"; }

# says NAME TEXT: succeeds if the output of a started command contains the text.
says() { grep -F -- "$2" "$BATS_TEST_TMPDIR/$1" || { output "$1"; return 1; }; }

# pid NAME: the process id of a started command, such as srun, in the machine's pid namespace.
pid() { pgrep -P "${STARTED[$1]}"; }

# step NAME: the job and step of a `serve`, such as 12.0, from the first task that printed it.
step() { sed -n 's/^serving \([^ ]*\) on .*/\1/p' "$BATS_TEST_TMPDIR/$1" | head -n 1; }

job() { step "$1" | cut -d. -f1; }

# told NAME FAR: the port of the login host that srun printed for a far end, such as n1:8000.
told() { sed -n "s/^spunnel: localhost:\([0-9]*\) -> $2$/\1/p" "$BATS_TEST_TMPDIR/$1"; }

# laptop USER PORT: the argument of ssh's -L for a port of the login host; it names the user's own
# socket.
laptop() {
    if under nohome; then echo "$2:localhost:$2"; else echo "$2:/home/$1/.spunnel/login/$2"; fi
}

# frees PORT: succeeds if nothing listens on the port.
frees() { as user1 bash -c "! : </dev/tcp/localhost/$1"; }

goes_on() { kill -0 "${STARTED[$1]}"; }

ended() { ! kill -0 "${STARTED[$1]}" 2>/dev/null; }

# finish NAME: waits for the end of a started command; sets `status`.
finish() {
    eventually ended "$1"
    status=0
    wait "${STARTED[$1]}" || status=$?
    unset "STARTED[$1]"
}

# terminal: runs the Python text on its standard input at real terminals (terminal.py).
terminal() {
    { echo "from terminal import *"; cat; } |
        PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$TESTS timeout 60 /usr/bin/python3 - 3>&- 4>&-
}

# not_queued SPEC TEXT: succeeds if srun with this tunnel fails with the text, and no job was made.
not_queued() {
    local before
    before=$(next_job)
    run as user1 srun --tunnel "$1" echo the job ran
    [[ $status != 0 ]]
    holds "$2"
    lacks "the job ran"
    same "$before" "$(next_job)"
}

# hold USER SBATCH-ARGUMENT...: starts an allocation; prints its job id.
hold() {
    local job
    job=$(as "$1" sbatch --parsable --output /dev/null --wrap 'sleep 600' "${@:2}")
    eventually runs "$job" >&2
    echo "$job"
}

runs() { as root squeue --noheader --states running --jobs "$1" --format %i | grep -x "$1"; }

# starts_anew JOB NODE: starts a requeued job, which Slurm holds back for two minutes after it left
# its node. It uses another node, because the first may refuse the job: Slurm distinguishes revoked
# credentials only by the second.
starts_anew() { runs "$1" || { as root scontrol update job "$1" starttime=now nodelist="$2" && false; }; }

# cancel NAME: ends the job of a `serve` and waits for its srun.
cancel() {
    as root scancel "$(job "$1")"
    finish "$1"
}

# cancel_job JOB: ends a job, and returns when Slurm says that it is over. `soon` begins then.
cancel_job() {
    as root scancel "$1"
    eventually is_over "$1"
}

is_over() {
    as root scontrol --oneliner show job "$1" | grep -E ' JobState=(CANCELLED|COMPLETED|FAILED) '
}

# next_job: the id of the next job.
next_job() { as root scontrol show config | sed -n 's/^NEXT_JOB_ID *= *//p'; }

# processes NAME...: lists the cluster's processes with these names. Each line has host, process id
# in the machine's pid namespace, user id, name and arguments.
processes() {
    local host spaces=''
    for host in $(hosts); do
        spaces+=" $(readlink "/proc/$(host_init "$host")/ns/pid") $host"
    done
    ps -eo pidns=,pid=,uid=,comm=,args= | awk -v spaces="${spaces//[^0-9a-z ]/}" -v names=" $* " '
        BEGIN { for (n = split(spaces, word, " "); n > 0; n -= 2) host[word[n - 1]] = word[n] }
        ("pid" $1) in host && index(names, " " $4 " ") { $1 = host["pid" $1]; print }'
}

# keeper STEP, guardian STEP, ssh_of STEP: the process id of one part of the step's tunnel.
keeper() { processes spunnel-keeper | awk -v step="$1" '$6 == step { print $2 }'; }
guardian() { processes spunnel-guard | awk -v step="$1" '$6 == step { print $2 }'; }
ssh_of() { pgrep -P "$(keeper "$1")" -x ssh; }

# whole JOB: the name of the tunnel of a whole job, for its record and its keeper.
whole() { echo "$1.4294967292"; }

# record STEP [FILE]: the path of a step's record, or of a file in it, as the machine sees it.
record() {
    compgen -G "/proc/$(host_init login)/root/tmp/spunnel-*/$1${2:+/$2}"
}

# crash STEP: kills keeper and guardian at once, so that neither can clean up.
crash() {
    local parts
    parts="$(guardian "$1") $(keeper "$1")"
    # While both are stopped, neither sees the other's end.
    # shellcheck disable=SC2086 # two process ids
    kill -STOP $parts
    # shellcheck disable=SC2086
    kill -KILL $parts
}

# counter STEP KEY: a value in the step's status file.
counter() { sed -n "s/^$2 //p" "$(record "$1" status)"; }

# through NAME ssh|srun: succeeds if the tunnel of a `serve` uses this transport.
through() { counts "$(step "$1")" transport "$2"; }

counts() { [[ $(counter "$1" "$2") == "$3" ]] || { cat "$(record "$1" status)"; return 1; }; }

# --- Nothing is left ---------------------------------------------------------------------------

# remains: prints each process, directory and listening socket that a tunnel could have left.
remains() {
    local host init
    processes spunnel-keeper spunnel-guard spunnel-sshd ssh | sed 's/^/process /'
    for host in $(hosts); do
        init=$(host_init "$host")
        compgen -G "/proc/$init/root/tmp/spunnel-*" | sed "s/^/directory $host /"
    done
    # Slurm and sshd listen on all addresses. Only a tunnel listens on loopback.
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

# Ends everything that a test has started, by process id and by job, whether it passed or failed.
clean_up() {
    local name found
    for name in "${!STARTED[@]}"; do
        # The child is signalled if there is one: srun then ends its step itself, faster than
        # scancel.
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
        # The next test must start clean, even if this one fails.
        remains | awk '$1 == "process" { print $3 }' | xargs -r kill -KILL
        remains | awk '$1 == "directory" { print $3 }' | xargs -r rm -rf
        return 1
    }
}

setup() { configure optional; }

teardown() { clean_up; }

# holds TEXT: succeeds if the output of `run` contains the text.
holds() {
    # shellcheck disable=SC2154 # set by run
    [[ $output == *"$1"* ]] || {
        echo "'$1' is not in: $output"
        return 1
    }
}

# lacks TEXT: succeeds if the output of `run` does not contain the text.
lacks() {
    [[ $output != *"$1"* ]] || {
        echo "'$1' is in: $output"
        return 1
    }
}

# same WANTED GOT: succeeds if both texts are equal.
same() {
    [[ $1 == "$2" ]] || {
        echo "wanted '$1', got '$2'"
        return 1
    }
}
