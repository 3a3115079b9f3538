#!/usr/bin/env bats
# A tunnel where nobody can log in to the nodes by ssh: the same promises, through srun.

load helpers

setup_file() {
    service n1 sshd stop
    service n2 sshd stop
}

teardown_file() {
    configure optional
    service n1 sshd start
    service n2 sshd start
}

setup() { configure optional transport=srun; }

teardown() {
    [[ ! -e $STATE/home/user1/away ]] || as user1 mv away .ssh
    rm -f "$STATE/n1/etc/ssh/sshd_config.d/test.conf"
    own_config_gone
    n1_takes_logins
    cp "$STATE/keys/ssh_known_hosts" "$STATE/login/etc/ssh/ssh_known_hosts"
    host n1 root umount "$PREFIX/libexec/spunnel" 2>/dev/null || true
    host n1 root umount /usr/sbin/sshd 2>/dev/null || true
    service n1 sshd stop
    clean_up || return
    eventually node_is_clean
}

# node_part: what a tunnel through srun has on a node.
node_part() { processes spunnel-sshd sshd | awk '$3 != 0 || $4 == "spunnel-sshd"'; }

inner_steps() { as root squeue --steps --noheader --format '%i %j' | awk '$2 == "spunnel"'; }

# node_is_clean: nothing of a tunnel is on any host: no process, no step, no file of the users'.
node_is_clean() {
    local found host
    found=$(node_part; inner_steps; processes srun | grep -e --job-name=spunnel || true
        for host in n1 n2; do
            host "$host" root find /tmp /var/tmp /dev/shm -mindepth 1 \( -user user1 -o -user user2 \)
        done)
    [[ -z $found ]] || {
        echo "left behind: $found"
        return 1
    }
}

all_gone() { nothing_left && node_is_clean; }

is_up() { counts "$(step "$1")" state up; }

is_up_again() { is_up s && [[ -n $(ssh_of "$(step s)") && $(ssh_of "$(step s)") != "$1" ]]; }

# no_tunnel TEXT...: under `required` the step fails with one line that has all the texts, in this
# order, and is not run.
no_tunnel() {
    local text line
    run as user1 srun -w n1 --tunnel 8001:8000 echo the job ran
    [[ $status != 0 ]]
    lacks "the job ran"
    same 1 "$(grep -c 'spunnel: no tunnel: ' <<<"$output")"
    line=$(grep 'spunnel: no tunnel: ' <<<"$output")
    for text; do
        [[ $line == *"$text"* ]] || {
            echo "'$text' is not, or not there, in: $line"
            return 1
        }
        line=${line#*"$text"}
    done
    soon nothing_left
}

# hide_helper, hide_sshd: n1 has it no more.
hide_helper() { host n1 root mount -t tmpfs none "$PREFIX/libexec/spunnel"; }
hide_sshd() { host n1 root mount --bind /dev/null /usr/sbin/sshd; }

# --- Bytes -------------------------------------------------------------------------------------

# has PID ENTRY: is that a variable of the process?
has() { LC_ALL=C grep -zxF -- "$2" "/proc/$1/environ"; }

@test "what is no UTF-8 in the environment reaches the tunnel's ssh and srun as it is" {
    local odd=$'/home/caf\xe9' process
    start s user1 env "HOME=$odd" "ODD=$odd" srun -w n1 --tunnel 8001:8000 /home/tools/service.py 8000
    eventually says s serving
    answers n1:8000 user1 8001 name
    for process in $(ssh_of "$(step s)") $(processes srun | awk '/ --job-name=spunnel / { print $2 }'); do
        has "$process" "HOME=$odd"
        has "$process" "ODD=$odd"
        has "$process" "SHELL=/bin/sh"
    done
}

@test "a service of the job answers on the submit port, on 127.0.0.1 and on ::1" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers_twice n1:8000 user1 8001 name
    through s srun
}

@test "megabytes arrive unchanged in both directions, on two ports at once" {
    serve s user1 --tunnel 8001:8000,8889:8888 -- 8000 8888
    answers n1:8888 user1 8889 name
    client user1 8001 source 16000000 >"$BATS_TEST_TMPDIR/down" &
    client user1 8889 sum 16000000 >"$BATS_TEST_TMPDIR/up" &
    wait $! && wait -n
    same same "$(output down)"
    same same "$(output up)"
}

@test "tunnels to both nodes, and of two users to one, at once" {
    serve one user1 -w n1 --tunnel 8001:8000 -- 8000
    serve two user1 -w n2 --tunnel 8002:8000 -- 8000
    serve three user2 -w n2 --tunnel 8003:8001 -- 8001
    answers n1:8000 user1 8001 name
    answers n2:8000 user1 8002 name
    answers n2:8001 user2 8003 name
    answers "closed before a byte" user2 8001 name
}

@test "100 connections at once are all served" {
    serve s user1 --tunnel 8001:8000 -- 8000
    answers 100 user1 8001 many 100
}

@test "all forms of a forward go this way as well, each with its bytes" {
    local port ends free
    start far user1 /home/tools/service.py 5432
    eventually says far serving
    # shellcheck disable=SC2016 # expanded in the job
    start s user1 srun -N2 --tunnel \
        ':auto,8002:+1:8000,:all:8000,/tmp/%j.sock:8000,8003:/tmp/%u.%j.sock,D:1080,R:9000:5432,R:/tmp/far.sock:5432' \
        sh -c 'exec /home/tools/service.py 8000 $([ $SLURM_PROCID = 1 ] || echo $SPUNNEL_PORT) /tmp/user1.$SLURM_JOB_ID.sock'
    eventually says s "on n1"
    eventually says s "on n2"
    port=$(sed -n 's/^spunnel: localhost:[0-9]* -> n1:\([0-9]*\)$/\1/p' <(output s) | grep -v 8000)
    free=$(told s n1:8000 | tail -n 1)
    answers "n1:$port" user1 "$(told s "n1:$port")" name
    answers n2:8000 user1 "$(told s n2:8000 | tail -n 1)" name
    answers "n1:/tmp/user1.$(job s).sock" user1 8003 name
    same login:5432 "$(host n1 user1 /home/tools/client.py /tmp/far.sock name)"
    same n2:8000 "$(as user1 python3 - <<'PYTHON'
import socket
end = socket.create_connection(("127.0.0.1", 1080), 10)
# SOCKS 4a (socks4a.protocol): connect to port 8000 of a host by its name.
end.sendall(b"\x04\x01" + (8000).to_bytes(2, "big") + b"\0\0\0\x01" + b"\0n2\0")
assert end.recv(8)[1] == 90
end.sendall(b"name\n")
print(end.makefile().read().strip())
PYTHON
)"
    for ends in "$(told s "n1:$port")" 8002 "$free" "/tmp/$(job s).sock" 8003; do
        answers same user1 "$ends" source 1000000
        answers same user1 "$ends" sum 1000000
    done
    for ends in 9000 /tmp/far.sock; do
        same same "$(host n1 user1 /home/tools/client.py "$ends" source 1000000)"
        same same "$(host n1 user1 /home/tools/client.py "$ends" sum 1000000)"
    done
    same srun "$(counter "$(step s)" transport)"
    cancel s
    # What a service and sshd leave behind.
    host n1 root find /tmp -maxdepth 1 -type s -delete
    host n2 root find /tmp -maxdepth 1 -type s -delete
}

@test "sbatch and spunnelctl open go this way as well" {
    local job
    job=$(as user1 sbatch --parsable --output /dev/null -w n2 --tunnel 8001:8000 \
        --wrap 'exec /home/tools/service.py 8000')
    eventually answers n2:8000 user1 8001 name
    as user1 spunnelctl open --background "$job" 8002:8000
    answers same user1 8001 source 1000000
    answers same user1 8002 sum 1000000
    counts "$(whole "$job")" transport srun
    as root scancel "$job"
    within 10 all_gone
}

# --- Where it runs -----------------------------------------------------------------------------

@test "the sshd is the user's own, in the job's own cgroup, and listens nowhere" {
    local pid found=0 before
    before=$(listeners n1)
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    for pid in $(node_part | awk '{ print $2 }'); do
        found=$((found + 1))
        same 70001 "$(stat -c %u "/proc/$pid")"
        [[ ! -d /sys/fs/cgroup/freezer ]] || grep -E "freezer:.*/job_$(job s)/step_" "/proc/$pid/cgroup"
    done
    ((found >= 2))
    same "$(printf '%s\n0.0.0.0:8000' "$before" | sort)" "$(listeners n1 | sort)"
}

# listeners HOST: the addresses that something listens on there with TCP.
listeners() {
    host "$1" root ss -Hltn | awk '{ print $4 }' | sort -u | grep -v '^\[::1\]:8000$' |
        sed 's/^127.0.0.1:8000$/0.0.0.0:8000/'
}

@test "no key is in an argument, in an environment of the node, or on its disk" {
    local key file
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    file=/proc/$(processes srun | awk '/ --job-name=spunnel / { print $2; exit }')/environ
    key=$(tr '\0' '\n' <"$file" | sed -n 's/^SPUNNEL_HOST_KEY=//p')
    ((${#key} > 100))
    same 400 "$(stat -c %a "$file")"
    # shellcheck disable=SC2046 # process ids
    same "" "$(holders cmdline "$key" $(processes ssh sh srun spunnel-sshd sshd | awk '{ print $2 }'))"
    # shellcheck disable=SC2046
    same "" "$(holders environ "$key" $(node_part | awk '{ print $2 }'))"
    same "" "$(host n1 root find /tmp /var/tmp /dev/shm -user user1)"
    same 600 "$(stat -c %a "$(record "$(step s)" n1.key)")"
    # Of the sshd's key nothing but what ssh must know stays.
    same "n1.key n1.known" "$(cd "$(record "$(step s)")" && echo n1.*)"
}

# holders FILE TEXT PID...: the processes that have the text in that file of /proc.
holders() {
    local pid
    for pid in "${@:3}"; do
        if grep -qaF "$2" "/proc/$pid/$1"; then echo "$pid"; fi
    done
}

@test "a login with the tunnel's key gets no command, no shell and no subsystem" {
    local directory word
    directory=/tmp/spunnel-$(as root id -u user1)
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    for word in "id" "" "-s sftp"; do
        # shellcheck disable=SC2086 # words
        run as user1 ssh -F none -S "$directory/$(step s)/control" n1 $word
        [[ $status != 0 ]]
        lacks "uid="
    done
    answers n1:8000 user1 8001 name
}

@test "a step that has all of the node for itself" {
    serve s user1 -w n1 -N1 -n1 -c8 --exclusive --mem=0 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
    through s srun
}

@test "a user without any ~/.ssh, and a broken configuration of ssh" {
    not_under hostbased "there is no ~/.ssh that could be taken away"
    as user1 mv .ssh away
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
    [[ ! -e $STATE/home/user1/.ssh ]]
    as user1 mv away .ssh
    own_config 'Bogus yes'
    serve other user1 -w n2 --tunnel 8002:8000 -- 8000
    answers n2:8000 user1 8002 name
}

@test "root's own job" {
    host login root true
    serve s root -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 root 8001 name
    through s srun
}

@test "the variables of an allocation and of another srun do not reach the tunnel's own srun" {
    start s user1 env SLURM_LABELIO=1 SLURM_STDINMODE=none \
        SHELL=/bin/false salloc -N2 -n4 --tunnel 8001:8000 \
        srun -w n2 -N1 -n1 --overlap /home/tools/service.py 8000
    eventually says s serving
    answers n2:8000 user1 8001 name
    same 1 "$(inner_steps | wc -l)"
}

# --- The end -----------------------------------------------------------------------------------

@test "srun ends: nothing is left on either host, and the job is over" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    kill -TERM "$(pid s)"
    finish s
    soon all_gone
    soon no_jobs
}

@test "a job keeps its own exit status" {
    run as user1 srun -w n1 --tunnel 8001:8000 sh -c 'sleep 0.3; exit 3'
    same 3 "$status"
    run as user1 srun -w n1 --tunnel 8001:8000 true
    same 0 "$status"
    soon all_gone
}

@test "the tunnel closed: nothing is left of it, the job goes on and is none the worse" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    as user1 spunnelctl close "$(job s)"
    soon all_gone
    as user1 srun --jobid "$(job s)" --overlap true
    as root scontrol show job -d "$(job s)" | grep -F DerivedExitCode=0:0
}

@test "scancel: all is gone once srun has ended" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    cancel s
    soon all_gone
}

@test "srun killed with -9: all is gone" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    kill -KILL "$(pid s)"
    soon nothing_left
    eventually node_is_clean
}

@test "the keeper killed with -9: all is gone, the job goes on" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    kill -KILL "$(keeper "$(step s)")"
    soon all_gone
    as user1 srun --jobid "$(job s)" --overlap true
}

@test "a signal that is sent to all steps of the job does not end the tunnel" {
    local before job signal
    start s user1 srun -w n1 --tunnel 8001:8000 \
        sh -c 'trap "" USR1 USR2 HUP INT QUIT ALRM; /home/tools/service.py 8000 &
            until test -e go; do sleep 0.05; done; kill -KILL $!; wait; true'
    eventually says s serving
    job=$(job s)
    before=$(ssh_of "$(step s)")
    for signal in USR1 USR2 HUP INT QUIT; do as user1 scancel --signal "$signal" "$(job s)"; done
    answers n1:8000 user1 8001 name
    same "$before" "$(ssh_of "$(step s)")"
    # sshd itself needs this one.
    as user1 scancel --signal ALRM "$(job s)"
    eventually answers n1:8000 user1 8001 name
    as user1 touch go
    finish s
    as user1 rm go
    same 0 "$status"
    as root scontrol show job "$job" -d | grep DerivedExitCode=0:0
}

# --- Healing -----------------------------------------------------------------------------------

@test "ssh killed with -9: open connections are cut, the same port works again, one step is left" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    start held user1 /home/tools/client.py 8001 hold
    eventually says held held
    kill -KILL "$(ssh_of "$(step s)")"
    finish held
    says held reset
    answers n1:8000 user1 8001 name
    is_up s
    through s srun
    eventually same 1 "$(inner_steps | wc -l)"
}

@test "the tunnel's step killed: it comes back" {
    local before
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    before=$(ssh_of "$(step s)")
    as user1 scancel --signal KILL "$(inner_steps | awk '{ print $1 }')"
    eventually is_up_again "$before"
    answers n1:8000 user1 8001 name
}

@test "the tunnel's srun killed with -9: it comes back; the step that was left and its connections end by themselves" {
    local before sruns
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    start held user1 /home/tools/client.py 8001 hold
    eventually says held held
    before=$(ssh_of "$(step s)")
    sruns=$(processes srun | awk '/--job-name=spunnel/ { print $2 }')
    # Both of its processes at once: either would end the step of the other.
    # shellcheck disable=SC2086 # process ids
    kill -STOP $sruns
    # shellcheck disable=SC2086
    kill -KILL $sruns
    eventually is_up_again "$before"
    answers n1:8000 user1 8001 name
    finish held
    says held reset
    # By then sshd has missed its client, and Slurm the srun that it would tell.
    within 120 one_step
    same closed "$(host n1 user1 /home/tools/client.py 8000 ended)"
}

one_step() { same 1 "$(inner_steps | wc -l)"; }

@test "a network that was cut and mended: the tunnel comes back on the same port" {
    serve other user1 -w n2 --tunnel 8002:8000 -- 8000
    kill -STOP "$(ssh_of "$(step other)")"
    "$CLUSTER/link" n2 down
    kill -KILL "$(ssh_of "$(step other)")"
    eventually counts "$(step other)" state reconnecting
    "$CLUSTER/link" n2 up
    eventually counts "$(step other)" state up
    answers n2:8000 user1 8002 name
}

# refusal: what ssh says where no sshd answers, or what the jump host of the traps says.
refusal() {
    if under traps; then
        echo "channel 0: open failed: connect failed: Connection refused"
    else
        echo "ssh: connect to host n1 port 22: Connection refused"
    fi
}

# --- transport=auto ----------------------------------------------------------------------------

# automatic WORD...: configures no transport. Where ssh is forbidden or mistrusted that is an error, see
# below, and a site says transport=srun.
automatic() {
    ! no_ssh || skip "policy $POLICY: transport=auto is no way to have a tunnel"
    configure "$@"
}

@test "auto: ssh where an sshd answers" {
    service n1 sshd start
    automatic required
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
    through s ssh
    same "" "$(inner_steps)"
}

@test "auto: srun where none answers, and the log says why" {
    automatic required
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
    through s srun
    grep -F "n1 refuses ssh ($(refusal))" \
        "$(record "$(step s)" log)"
    same srun "$(as user1 spunnelctl status --json | jq -r '.tunnels[0].transport')"
}

@test "auto: srun where no key is taken" {
    service n1 sshd start
    automatic required
    n1_takes_no_login
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
    through s srun
}

@test "auto: srun where the connection is closed at the login" {
    automatic required
    start closing user1 srun -w n1 python3 -uc '
import socket, sys
server = socket.create_server((sys.argv[1], 2222), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
print("serving")
while True:
    server.accept()[0].close()' "$(everywhere | tr -d '[]')"
    eventually says closing serving
    own_config 'Host n1
        Port 2222'
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
    through s srun
}

@test "auto: srun where the node accepts connections and never speaks" {
    automatic required timeout=30
    start mute user1 srun -w n1 /home/tools/service.py "$(everywhere):2222"
    eventually says mute serving
    own_config 'Host n1
        Port 2222
        ConnectTimeout 60'
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
    through s srun
}

@test "auto: srun where the host key is unknown" {
    service n1 sshd start
    automatic required
    sed -i '/^n1,/d' "$STATE/login/etc/ssh/ssh_known_hosts"
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
    through s srun
    grep -F "Host key verification failed" "$(record "$(step s)" log)"
}

@test "auto: srun where the node has no address by that name" {
    automatic required
    own_config 'Host n1
        HostName nowhere.invalid'
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
    through s srun
}

@test "auto: srun where sshd wants a password besides the key" {
    not_under hostbased "no user has a key"
    printf 'PasswordAuthentication yes\nAuthenticationMethods publickey,password\n' >"$STATE/n1/etc/ssh/sshd_config.d/test.conf"
    service n1 sshd start
    automatic required
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
    through s srun
    grep -F "Permission denied" "$(record "$(step s)" log)"
}

@test "SPUNNEL_TRANSPORT is the user's choice of the way, and a wrong one is an error" {
    service n1 sshd start
    automatic required
    start s user1 env SPUNNEL_TRANSPORT=srun srun -w n1 --tunnel 8001:8000 /home/tools/service.py 8000
    eventually says s serving
    through s srun
    run as user1 env SPUNNEL_TRANSPORT=rsh srun -w n1 --tunnel 8002:8000 true
    [[ $status != 0 ]]
    holds "malformed argument 'transport=rsh'"
}

@test "the job's end is told as that, and as no lost connection" {
    local job
    automatic required transport=srun
    job=$(as user1 sbatch --parsable --output /dev/null -w n2 --wrap 'exec /home/tools/service.py 8000')
    eventually runs "$job"
    start open user1 spunnelctl open "$job" 8001:8000
    eventually answers n2:8000 user1 8001 name
    as root scancel "$job"
    finish open
    run output open
    lacks "is lost"
    holds "job $job"
}

@test "auto: a host key that changed is an error still" {
    service n1 sshd start
    automatic required
    sed -i "/^n1,/s/.*/n1 $(cut -d' ' -f1,2 "$STATE/keys/n2.pub" | sed 's|/|\\/|g')/" \
        "$STATE/login/etc/ssh/ssh_known_hosts"
    no_tunnel "REMOTE HOST IDENTIFICATION HAS CHANGED" "ssh-keygen -R n1"
}

@test "auto: forwarding that is forbidden, and a broken configuration, are errors still" {
    echo "AllowTcpForwarding no" >"$STATE/n1/etc/ssh/sshd_config.d/test.conf"
    service n1 sshd start
    automatic required
    no_tunnel "administratively prohibited" "AllowTcpForwarding"
    own_config 'Bogus yes'
    no_tunnel "Bad configuration option: bogus" "mend ~/.ssh/config"
}

@test "auto: a tunnel that comes back takes the way that it came" {
    local before
    automatic required
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    service n1 sshd start
    before=$(ssh_of "$(step s)")
    kill -KILL "$before"
    eventually is_up_again "$before"
    through s srun
}

@test "auto: a tunnel whose way stays shut comes back the other way" {
    local before
    service n1 sshd start
    automatic required
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    through s ssh
    service n1 sshd stop
    before=$(ssh_of "$(step s)")
    kill -KILL "$before"
    eventually is_up_again "$before"
    through s srun
    answers n1:8000 user1 8001 name
}

# --- Errors ------------------------------------------------------------------------------------

@test "auto, both ways fail: each has a line, ssh's first" {
    automatic required
    hide_helper
    no_tunnel "n1: $(refusal): no sshd answers on n1: ask your administrator"
    second=$(grep 'spunnel: nor through srun: ' <<<"$output")
    [[ $second == *"execve(): $PREFIX/libexec/spunnel/spunnel-sshd: No such file or directory"*"install Spunnel on n1 too"* ]]
    holds "the step fails, as plugstack.conf says 'required'"
    lacks "unless"
}

@test "under optional the job goes on without a tunnel, and says so" {
    automatic optional
    hide_helper
    run as user1 srun -w n1 --tunnel 8001:8000 echo the job ran
    same 0 "$status"
    holds "spunnel: no tunnel: n1: "
    holds "spunnel: the job goes on without it"
    lacks "unless"
    holds "the job ran"
    soon all_gone
}

@test "no sshd on the node" {
    configure required transport=srun
    hide_sshd
    no_tunnel "no sshd was found on this node" "install the OpenSSH server"
}

@test "no ssh-keygen, neither on PATH nor beside srun" {
    configure required transport=srun
    as user1 mkdir own
    as user1 cp "$(slurm_program srun)" own/srun
    run as user1 env PATH=/nonexistent /home/user1/own/srun -w n1 --tunnel 8001:8000 /bin/true
    as user1 rm -r own
    [[ $status != 0 ]]
    holds "program 'ssh-keygen' was not found: put it on PATH"
}

@test "a path that a shell could misread is refused" {
    configure required transport=srun 'state_dir=/tmp/a;b'
    as user1 mkdir '/tmp/a;b'
    no_tunnel "the path '/tmp/a;b/spunnel-" "cannot be handed to srun" "transport=ssh"
    as user1 rm -r '/tmp/a;b'
}

@test "an unknown transport is refused by name" {
    configure required transport=rsh
    run as user1 srun -w n1 --tunnel 8001:8000 true
    [[ $status != 0 ]]
    holds "malformed argument 'transport=rsh': write transport=auto, transport=ssh or transport=srun"
}
