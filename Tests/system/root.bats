#!/usr/bin/env bats
# What the plugin does in the programs that run as root, slurmd and slurmstepd: it registers an option.

load helpers

# --- Auditing ------------------------------------------------------------------------------------

# Both hosts and users have /home; each host has a /run and a /tmp of its own.
setup_file() {
    local program real
    mkdir -p "$STATE/home/tools/audited"
    cc -std=gnu11 -O2 -Wall -Wextra -Werror -fPIC -shared "$TESTS/audit.c" \
        -o "$STATE/home/tools/audit.so"
    for program in slurmd slurmstepd; do
        real=$(slurm_program "$program")
        cp "$real" "$STATE/home/tools/audited/$program"
    done
}

teardown_file() { rm -rf "$STATE/home/tools/audit.so" "$STATE/home/tools/audited"; }

# audit HOST: from now on slurmd and slurmstepd of the host tell what the plugin calls. By a script in
# their place, for slurmd hands its environment on to no slurmstepd.
audit() {
    local program real
    configure required
    host "$1" root bash -c ': >/run/audit'
    for program in slurmd slurmstepd; do
        host "$1" root install -m 755 /dev/stdin "/run/$program.sh" <<SCRIPT
#!/bin/sh
echo "arguments \$\$ \$*" >>/run/audit
LD_AUDIT=/home/tools/audit.so SPUNNEL_AUDIT=/run/audit exec /home/tools/audited/$program "\$@"
SCRIPT
        real=$(slurm_program "$program")
        host "$1" root mount --bind "/run/$program.sh" "$real"
    done
    AUDITED=$1
    service "$1" slurmd restart
}

end_audit() {
    local program
    [[ ${AUDITED:-} ]] || return 0
    for program in slurmd slurmstepd; do
        host "$AUDITED" root umount "$(slurm_program "$program")"
    done
    service "$AUDITED" slurmd restart
    host "$AUDITED" root rm -f /run/audit /run/slurmd.sh /run/slurmstepd.sh
}

teardown() {
    # A plugin that is not there any more would drain the node.
    configure required
    end_audit
    rm -f "$STATE/home/tools/prolog.so"
    clean_up
}

# shellcheck disable=SC2016 # for awk
# called PROGRAM: what the plugin called in all processes of that name, as one line.
called() {
    host "$AUDITED" root awk -v name="$1" '$1 == name { print $3 }' /run/audit | sort -u | xargs
}

# shellcheck disable=SC2016 # for awk
# called_as ARGUMENT...: what it called in slurmstepd with these arguments, a line for each process.
called_as() {
    host "$AUDITED" root awk -v wanted="$*" '
        $1 == "arguments" { pid = $2; $1 = $2 = ""; sub(/^ +/, ""); is[pid] = $0 == wanted; next }
        $1 == "slurmstepd" && is[$2] { print $2, $3 }' /run/audit |
        sort -u | awk '$1 != pid { if (pid) print calls; pid = $1; calls = "" }
            { calls = calls (calls ? " " : "") $2 } END { if (pid) print calls }'
}

# shellcheck disable=SC2016 # for awk
# audited PROGRAM: how many processes of that name have loaded the plugin.
audited() { host "$AUDITED" root awk -v name="$1" '$1 == name && $3 == "loaded"' /run/audit | wc -l; }

@test "as root, in slurmd and in every slurmstepd, the plugin calls nothing but what registers its option" {
    local registering="getpid loaded spank_context spank_option_register" extern
    audit n1
    as user1 srun -w n1 hostname
    as user1 sbatch --wait --output /dev/null -w n1 --wrap 'srun hostname'
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    # The extern step, where the cluster has one, is one of them.
    extern=$(host n1 root pgrep -f "^slurmstepd: .$(job s)\.extern" || true)
    [[ -z $extern ]] || host n1 root grep -x "slurmstepd $extern spank_option_register" /run/audit
    cancel s
    same "$registering" "$(called slurmstepd)"
    # Slurm 20.11's slurmd loads it, and no more.
    ! slurm_is 20.11 || registering=loaded
    same "$registering" "$(called slurmd)"
    # Two steps of srun, a batch script and a step in it, and an extern step for each of three jobs; none
    # for a prolog or an epilog.
    same $((4 + (${#extern} > 0 ? 3 : 0))) "$(audited slurmstepd)"
}

# A site's other plugin has slurmd run `slurmstepd spank prolog` and `slurmstepd spank epilog` for each job,
# and those load ours as well; there Slurm does not even call what registers options.
@test "as root, in the prolog and the epilog of SPANK plugins, the plugin is loaded and calls nothing" {
    local when
    cc -std=gnu11 -Wall -Werror ${SPUNNEL_SLURM:+"-I$SPUNNEL_SLURM/include"} -fPIC -shared -x c - \
        -o "$STATE/home/tools/prolog.so" <<'PLUGIN'
#include <stdint.h>
#include <slurm/spank.h>
SPANK_PLUGIN(prolog, 1)
int slurm_spank_job_prolog(spank_t spank, int count, char **words) { return 0; }
int slurm_spank_job_epilog(spank_t spank, int count, char **words) { return 0; }
PLUGIN
    audit n1
    "$CLUSTER/plugstack" "required $PLUGIN"$'\n'"required /home/tools/prolog.so"
    service n1 slurmd restart
    as user1 srun -w n1 --tunnel 8001:8000 true
    eventually no_jobs
    for when in prolog epilog; do
        eventually called_as_wanted "$when"
    done
}

called_as_wanted() { same loaded "$(called_as spank "$1")"; }

@test "the same audit sees what the plugin does in srun, with a tunnel and without" {
    local calls
    # shellcheck disable=SC2016 # expanded on the login host
    calls='touch /tmp/audit
        LD_AUDIT=/home/tools/audit.so SPUNNEL_AUDIT=/tmp/audit srun "$@" true
        cut -d " " -f 3 /tmp/audit | sort -u | xargs
        rm /tmp/audit'
    run as user1 bash -c "$calls" - -N2 --tunnel 8001:8000
    for name in getenv dlopen spunnel_claim slurm_job_step_layout_get; do holds "$name"; done
    # Of one node srun knows itself.
    run as user1 bash -c "$calls" - -N1 --tunnel 8001:8000
    holds spunnel_open
    lacks slurm_job_step_layout_get
    # It looks for the user's own default, and for the compute node that it may be on.
    same "getenv getpid loaded spank_context spank_option_register" "$(as user1 bash -c "$calls" - -N1)"
}

# --- Against a trace -----------------------------------------------------------------------------

# traced LINE: what slurmd on n1 and its children do with files, programs and sockets while a job
# runs with that plugstack.conf; numbers and what is drawn by lot are the same in each run.
traced() {
    local slurmd tracer trace=$BATS_TEST_TMPDIR/trace job
    "$CLUSTER/plugstack" "$1"
    service n1 slurmd restart >&2
    slurmd=$(processes slurmd | awk '$1 == "n1" { print $2 }')
    strace -f -qq -o "$trace" -p "$slurmd" 3>&- 4>&- \
        -e trace='%file,execve,execveat,socket,connect,unlink,rename,memfd_create' &
    tracer=$!
    eventually grep -q "TracerPid:[[:space:]]*[1-9]" "/proc/$slurmd/status"
    # It ends once its steps are whole.
    as user1 rm -f go
    # shellcheck disable=SC2016 # expanded in the job
    start traced user1 srun -w n1 sh -c 'echo "job $SLURM_JOB_ID"; until [ -e go ]; do sleep 0.1; done'
    eventually says traced "job " >&2
    job=$(sed -n 's/^job //p' <(output traced))
    ! contains || eventually extern_is_whole "$job" >&2
    as user1 touch go
    finish traced
    eventually no_jobs
    as user1 rm go
    kill "$tracer"
    wait "$tracer" || true
    # Slurm looks into /proc and into its control groups as often as it needs to; the job's own
    # program may be seen or not.
    sed -E 's/^[0-9]+ +//; s/ = .*//; /^[-+]/d; /resumed>/d' "$trace" |
        grep -oE '^[a-z0-9]+\(|"/[^"]*"' | grep -vE '"/(proc|sys|run|bin|usr/bin)/' |
        sed -E 's/[0-9]+/N/g' | sort -u
}

# contains: has each job an extern step here? extern_is_whole JOB: does it wait, as it does for the job's end?
contains() { as root scontrol show config | grep -qi '^PrologFlags.*contain'; }
# shellcheck disable=SC2016 # expanded there
extern_is_whole() { host n1 root sh -c 'pgrep -x sleep -P "$(pgrep -f "^slurmstepd: .$0\.extern")"' "$1"; }

@test "slurmd and slurmstepd open one file more with the plugin than without: the plugin" {
    local without='' with more added
    with=$(traced "required $PLUGIN")
    # What they open now and then without it as well, shows in one run or the other.
    for _ in 1 2 3 4 5; do
        more=$(traced '')
        without=$(printf '%s\n' "$without" "$more" | sort -u)
        added=$(comm -13 <(echo "$without") <(echo "$with"))
        [[ $added == *$'\n'* ]] || break
    done
    grep -q slurm <<<"$without"
    same "\"$(sed -E 's/[0-9]+/N/g' <<<"$PLUGIN")\"" "$added"
}

# --- Symbols -------------------------------------------------------------------------------------

# symbols OPTION FILE: names without versions, as one line.
symbols() { nm -D --extern-only "$1" "$2" | awk '{ sub(/@.*/, "", $NF); print $NF }' | sort | xargs; }

@test "the plugin shows Slurm's loader seven names" {
    same "plugin_name plugin_type plugin_version slurm_spank_exit slurm_spank_init $(
    )slurm_spank_init_post_opt slurm_spank_local_user_init" "$(symbols --defined-only "$PLUGIN")"
}

@test "the plugin can call nothing that starts or connects; to open it has dlopen, and fopen and fopencookie in sbatch" {
    local wanted
    wanted=$(sort <<'NAMES' | xargs
_ITM_deregisterTMCloneTable
_ITM_registerTMCloneTable
__cxa_finalize
__errno_location
__gmon_start__
__progname
dladdr
dlerror
dlopen
dlsym
fclose
fflush
fopen
fopencookie
free
getdelim
getenv
gethostname
getpid
getuid
malloc
memcpy
on_exit
program_invocation_short_name
raise
realloc
realpath
setvbuf
sigaddset
sigemptyset
sigismember
sigprocmask
sigtimedwait
slurm_error
slurm_free_job_info_msg
slurm_hostlist_create
slurm_hostlist_destroy
slurm_hostlist_shift
slurm_job_step_layout_free
slurm_job_step_layout_get
slurm_load_job
slurm_spank_log
slurm_strerror
snprintf
spank_context
spank_get_item
spank_option_register
stdout
strchr
strcmp
strcspn
strdup
strerror
strlen
strncasecmp
strncmp
strrchr
strspn
strstr
strtoul
strtoull
vsnprintf
write
NAMES
    )
    same "$wanted" "$(symbols --undefined-only "$PLUGIN")"
}

@test "the core shows the plugin the functions of their contract" {
    same "spunnel_check spunnel_claim spunnel_close spunnel_follow spunnel_open" \
        "$(symbols --defined-only "${PLUGIN%/*}/libSpunnel.so")"
}

@test "what is preloaded into a personal cluster's daemons stands before three functions, and needs no more than they" {
    local library=${PLUGIN%/*}/loopback.so wanted
    same "accept accept4 bind" "$(symbols --defined-only "$library")"
    wanted=$(sort <<'NAMES' | xargs
_ITM_deregisterTMCloneTable
_ITM_registerTMCloneTable
__cxa_finalize
__errno_location
__gmon_start__
clock_gettime
close
dlsym
fcntl
getenv
geteuid
getpeername
getsockname
inet_ntop
inet_pton
memcpy
open
poll
pthread_mutex_trylock
pthread_mutex_unlock
recv
send
sendfile
setsockopt
snprintf
socket
strchrnul
strlen
strncmp
syscall
truncate
NAMES
    )
    same "$wanted" "$(symbols --undefined-only "$library")"
}

@test "the core brings srun no runtime but the C library's" {
    same "libc.so.6 libgcc_s.so.1 libm.so.6" "$(readelf -d "${PLUGIN%/*}/libSpunnel.so" |
        sed -nE '/ld-linux/d; s/.*\(NEEDED\).*\[(.*)\]/\1/p' | sort | xargs)"
    run readelf -d "${PLUGIN%/*}/libSpunnel.so"
    lacks RUNPATH
}
