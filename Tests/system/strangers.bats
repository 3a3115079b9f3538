#!/usr/bin/env bats
# A stranger with a file system of his own, with root's name, or with the port of a tunnel that is over: what he
# brings along is neither the owner's nor root's.
# shellcheck disable=SC2016,SC2030,SC2031 # expanded when it runs; each test is a subshell

load helpers

setup_file() {
    gcc -std=gnu11 -Wall -Wextra -Werror -D_FILE_OFFSET_BITS=64 -I/usr/include/fuse3 "$TESTS/lying.c" -lfuse3 \
        -o "$STATE/home/tools/lying"
    # Sites that let their users share what they mount (fuse.conf(5)); udev gives the device that mode.
    echo user_allow_other >"$STATE/login/etc/fuse.conf"
    as root bash -c 'mknod -m 666 /root/fuse c 10 229 && mount --bind /root/fuse /dev/fuse'
}

teardown_file() { as root bash -c 'umount /dev/fuse; rm /root/fuse /etc/fuse.conf'; }

setup() { configure required; }

teardown() {
    local found=0
    unmount
    clean_up || found=$?
    as root bash -c 'rm -rf /tmp/spunnel-* /tmp/behind /tmp/mine /home/user2/mine' || true
    return "$found"
}

base() { echo "/tmp/spunnel-$(as user1 id -u)"; }

# lie PLACE: user2 mounts a file system of his there that shows all of /tmp/behind as user1's alone.
lie() {
    as user2 bash -c 'umask 0; mkdir -p /tmp/behind; [[ -e $0 ]] || mkdir "$0"' "$1"
    as user2 /home/tools/lying /tmp/behind "$(as user1 id -u)" "$1"
    eventually is_mounted "$1"
    LIES+=("$1")
}

is_mounted() { as root grep -F " $1 " /proc/self/mountinfo; }

# signal NAME: to the stranger's file systems.
signal() { processes lying | awk '{ print $2 }' | xargs -r kill "-$1"; }

# unmount: a stranger who ends his file system takes it away.
unmount() {
    local place
    signal CONT
    signal TERM
    for place in "${LIES[@]}"; do
        eventually is_unmounted "$place"
        as root bash -c '[[ ! -d $0 || $0 == /home/* ]] || rmdir "$0"' "$place"
    done
    LIES=()
}

is_unmounted() { ! is_mounted "$1"; }

declare -ga LIES=()

# stopped COMMAND...: it ends in time though the stranger's file system does not answer.
stopped() {
    signal STOP
    run timeout 20 "$CLUSTER/in" login "$@"
    signal CONT
    [[ $status != 124 ]] || { echo "still waits: $*"; return 1; }
}

@test "a file system of a stranger's at the name of the records, which shows it as the owner's own with mode 700" {
    lie "$(base)"
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    same "" "$(as root find /tmp/behind -mindepth 1)"
    answers n1:8000 user1 8001 name
}

@test "such a file system that does not answer keeps nobody waiting, root least of all" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    lie "/tmp/spunnel-$(as user3 id -u)"
    stopped root -- spunnelctl status --all
    holds "$(job s)"
    stopped root -- spunnelctl close "$(step s)"
    same 0 "$status"
    eventually frees 8001
    cancel s
    unmount
    lie "$(base)"
    stopped user1 -- srun -w n1 --tunnel 8001:8000 echo the job ran
    holds "the job ran"
}

@test "a stranger's own records with a file system of his in their midst" {
    local his
    his=/tmp/spunnel-$(as user2 id -u)
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    as user2 mkdir -m 700 "$his" "$his/12.0"
    lie "$his/12.0"
    stopped root -- spunnelctl status --all
    holds "$(job s)"
    stopped root -- spunnelctl close "$(job s)"
    same 0 "$status"
    unmount
    as user2 mkdir -m 700 "$his/12.0"
    as user2 touch "$his/12.0/host"
    lie "$his/12.0/host"
    stopped root -- spunnelctl status --all
    holds "12"
    unmount
    as root rm -rf "$his"
}

@test "a file system of a stranger's on the way to a submit socket" {
    lie /tmp/mine
    as user2 mkdir /tmp/behind/way
    not_queued "/tmp/mine/way/w.sock:8000" "('/tmp/mine': something is mounted there"
    unmount
    # In his own home nobody else may write.
    lie /home/user2/mine
    not_queued "/home/user2/mine/way/w.sock:8000" "('/home/user2'"
    unmount
    lie /home/user2
    not_queued "/home/user2/way/w.sock:8000" "it is a file system of uid $(as user2 id -u)"
}

# --- Who connects --------------------------------------------------------------------------------

@test "a process of root's that a stranger leads there, as he can his slurmstepd, is let in neither at a port nor at the command socket" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers_twice "closed before a byte" root 8001 name
    same "" "$(as root python3 -c 'import socket, sys
end = socket.socket(socket.AF_UNIX)
end.connect(sys.argv[1])
end.sendall(b"close 8001\n")
print(end.recv(100).decode(), end="")' "$(base)/$(step s)/command")"
    answers n1:8000 user1 8001 name
    # root speaks as the owner.
    run as root spunnelctl close "$(step s)" 8001
    same 0 "$status"
    eventually frees 8001
}

@test "a kernel that does not tell who connects is named before anything is queued" {
    local before
    gcc -std=gnu11 -Wall -Wextra -Werror "$TESTS/without.c" -o "$STATE/home/tools/without"
    before=$(next_job)
    run as user1 /home/tools/without sock_diag srun -w n1 --tunnel 8001:8000 echo the job ran
    [[ $status != 0 ]]
    holds "ask the kernel who connects"
    holds "access=host"
    lacks "the job ran"
    same "$before" "$(next_job)"
}

@test "in a user namespace the message says what to do, and the id of everybody is nobody's" {
    run as user1 unshare --user --map-current-user srun -w n1 --tunnel 8001:8000 echo the job ran
    [[ $status != 0 ]]
    holds "type the command outside of the container"
    lacks "the job ran"
    run as user1 unshare --user srun -w n1 --tunnel 8001:8000 echo the job ran
    [[ $status != 0 ]]
    holds "type the command outside of the container"
    lacks "the job ran"
}

# --- Squatted names ------------------------------------------------------------------------------

@test "mkdir /tmp/spunnel-<uid> of a stranger's: the tunnel, its status and its end are elsewhere" {
    as user2 mkdir -m 777 "$(base)"
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    serve t user1 -w n2 --tunnel 8002:8000 -- 8000
    answers n1:8000 user1 8001 name
    # All of a user's records are in one place.
    same 1 "$(as root bash -c 'ls -d "$0".*' "$(base)" | wc -l)"
    same "8001,8002" "$(as user1 spunnelctl status --json |
        jq -r "[.tunnels[].forwards[].submit] | @csv")"
    # Also when the name is free again: a tunnel of that time has the first name.
    as user2 rmdir "$(base)"
    serve u user1 -w n1 --tunnel 8003:8003 -- 8003
    same 3 "$(as user1 spunnelctl status --json | jq '.tunnels | length')"
    same 3 "$(as root spunnelctl status --all --json | jq '.tunnels | length')"
    run as root spunnelctl close "$(step s)"
    same 0 "$status"
    run as user1 spunnelctl close "$(step t)"
    same 0 "$status"
    eventually as root bash -c '! ls -d "$0".*' "$(base)"
}

# --- After the end -------------------------------------------------------------------------------

own_socket() { echo "/home/user1/.spunnel/login/$1"; }

@test "the line for the laptop leads to a socket in the user's home: after the tunnel's end a stranger at the port gets nothing" {
    not_under nohome "there is no home for it"
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    says s "on your own computer: ssh -L 8001:$(own_socket 8001) user1@login"
    holds_line "ssh -L 8001:$(own_socket 8001) user1@login" spunnelctl url "$(job s)"
    answers n1:8000 user1 "$(own_socket 8001)" name
    start_on n2 laptop user1 "${SSH_BY_HAND[@]}" -N -L "9001:$(own_socket 8001)" login
    eventually host n2 user1 bash -c ': </dev/tcp/localhost/9001'
    same n1:8000 "$(host n2 user1 /home/tools/client.py 9001 name)"
    cancel s
    as user1 test ! -e .spunnel
    start thief user2 /home/tools/hostile.py squat 8001 127.0.0.1
    eventually says thief listening
    same "closed before a byte" "$(host n2 user1 /home/tools/client.py 9001 name)"
}

# holds_line LINE COMMAND...: does user1's command print it?
holds_line() {
    run as user1 "${@:2}"
    holds "$1"
}

@test "such a socket is gone as well when the keeper is killed, and one that was left is no hindrance" {
    not_under nohome "there is no home for it"
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    as user1 test -S "$(own_socket 8001)"
    kill -KILL "$(keeper "$(step s)")"
    eventually as user1 test ! -e .spunnel
    cancel s
    as user1 bash -c 'mkdir -p "${0%/*}" && python3 -c "import socket, sys
socket.socket(socket.AF_UNIX).bind(sys.argv[1])" "$0"' "$(own_socket 8001)"
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 "$(own_socket 8001)" name
}

@test "a port that was announced is nobody else's while the job lives, also when its tunnel has failed" {
    local job
    job=$(as user1 sbatch --parsable -o /dev/null -w n1 --tunnel 8001:n2:8000 --wrap 'sleep 600' | head -n 1)
    eventually counts "$(whole "$job")" state failed
    frees 8001
    run as user2 /home/tools/hostile.py squat 8001 127.0.0.1
    holds "Address already in use"
    as root scancel "$job"
    eventually free_for user2
}

free_for() { as "$1" python3 -c 'import socket; socket.create_server(("127.0.0.1", 8001))'; }

# --- What is removed, missing or in the way ------------------------------------------------------

@test "a cleaner of /tmp that knows no locks: the record is written again" {
    local record
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    record=$(base)/$(step s)
    as user1 find "$record" -mindepth 1 -delete
    eventually as user1 test -S "$record/command" -a -f "$record/host" -a -f "$record/status"
    same 8001 "$(as user1 spunnelctl status --json | jq -r '.tunnels[].forwards[].submit')"
    holds_line "localhost:8001" spunnelctl url "$(job s)"
    run as user1 spunnelctl open "$(step s)" 8002:8000 --background
    same 0 "$status"
    answers n1:8000 user1 8002 name
}

@test "srun is found beside the program that was typed when PATH has none" {
    local name
    as user1 mkdir few
    for name in ssh ssh-keygen sh bash env id true sleep python3; do as user1 ln -s "$(type -P "$name")" "few/$name"; done
    configure required transport=srun
    start s user1 env PATH=/home/user1/few "$(slurm_program srun)" -w n1 --tunnel 8001:8000 /home/tools/service.py 8000
    eventually says s serving
    answers n1:8000 user1 8001 name
    as user1 rm -r few
}

@test "LD_LIBRARY_PATH of another distribution's libraries, as conda sets it, does not break ssh" {
    no_ssh && skip "no ssh here"
    configure required transport=ssh
    as user1 mkdir strange
    as user1 sh -c 'echo no library >strange/libgssapi_krb5.so.2'
    start s user1 env LD_LIBRARY_PATH=/home/user1/strange srun -w n1 --tunnel 8001:8000 /home/tools/service.py 8000
    eventually says s serving
    answers n1:8000 user1 8001 name
    as user1 rm -r strange
}

# --- Sockets of R: on the node -------------------------------------------------------------------

# on_both_ways COMMAND...: over ssh and through srun.
on_both_ways() {
    local way
    for way in ssh srun; do
        [[ $way == srun ]] || ! no_ssh || continue
        configure required transport=$way
        "$@"
    done
}

a_users_file_stays() {
    host n1 user1 sh -c 'echo precious >/tmp/r.sock'
    run as user1 srun -w n1 --tunnel R:/tmp/r.sock:5432 echo the job ran
    [[ $status != 0 ]]
    holds "n1 does not listen on '/tmp/r.sock': it exists already"
    lacks "the job ran"
    same precious "$(host n1 user1 cat /tmp/r.sock)"
    host n1 user1 rm /tmp/r.sock
}

@test "R:/path where a file of the user's is: an error, and the file stays" {
    ! under permitopen || skip "sshd then makes no unix socket"
    on_both_ways a_users_file_stays
}

the_socket_goes() {
    local turn
    for turn in 1 2; do
        serve s user1 -w n1 --tunnel R:/tmp/r.sock:5432 -- 8000
        host n1 user1 test -S /tmp/r.sock
        if ((turn == 1)); then
            run as user1 srun -w n1 --overlap --tunnel R:/tmp/r.sock:5433 echo the job ran
            holds "n1 does not listen on '/tmp/r.sock': a program listens there"
        fi
        kill -TERM "$(pid s)"
        finish s
        eventually host n1 user1 test ! -e /tmp/r.sock
    done
    # What a crash has left is replaced.
    host n1 user1 python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("/tmp/r.sock")'
    serve s user1 -w n1 --tunnel R:/tmp/r.sock:5432 -- 8000
    cancel s
    host n1 user1 rm -f /tmp/r.sock
}

@test "R:/path: the socket is gone at the end, one that nobody listens on is replaced, another is not" {
    ! under permitopen || skip "sshd then makes no unix socket"
    on_both_ways the_socket_goes
}

@test "R: that leads to the tunnel's own port is an error" {
    run as user1 srun -w n1 --tunnel 8041:8000,R:9000:8041 echo the job ran
    [[ $status != 0 ]]
    holds "would lead back to where this tunnel itself listens"
    lacks "the job ran"
}
