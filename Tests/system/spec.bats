#!/usr/bin/env bats
# What stands after --tunnel and in plugstack.conf is read strictly, before a job is queued.
# shellcheck disable=SC2030,SC2031 # shellcheck takes every test for a subshell of the one before

load helpers

# refused SPEC TEXT: srun ends with an error that has the text, and no job was made.
refused() {
    local before
    before=$(next_job)
    run as user1 srun --tunnel "$1" echo the job ran
    [[ $status != 0 ]]
    holds "spunnel: --tunnel: "
    holds "$2"
    lacks "the job ran"
    same "$before" "$(next_job)"
}

@test "a forward that is none is refused, quoted" {
    refused '' "''"
    refused 127.0.0.1:8001:n1:8000 "'127.0.0.1' in '127.0.0.1:8001:n1:8000' is an address to listen on"
    refused localhost:8001:8000 "'localhost' in 'localhost:8001:8000' is an address to listen on"
    refused L:8001:8000 "'L:' in 'L:8001:8000' says nothing new"
    refused 8001:web.sock "'web.sock' in '8001:web.sock' is no socket's path: write it from the root"
    refused 8001::8000 "'' in '8001::8000' is no host"
    refused 8001:-oProxyCommand=id:8000 "'-oProxyCommand=id' in '8001:-oProxyCommand=id:8000' is no host"
    refused 8001:+x:8000 "'+x' in '8001:+x:8000' is no host"
    refused 8001: "'8001:' lacks a port"
    refused R: "'R:' lacks a port: write R:<exec port>:<submit port>, as in R:9000:5432"
    refused R:9000:h:80:1 "has too many parts: write R:<exec port>:<submit port>"
    refused R:80:5432 "port '80' in 'R:80:5432' is under 1024"
    refused D:1080:n1 "'D:1080:n1' has too many parts"
    refused 8001:all:8000 "'8001:all:8000' leads one port to many nodes"
    refused auto "'auto' in 'auto' stands for one exec port"
    refused :all:auto "'auto' in ':all:auto' stands for one exec port"
}

@test "a path that no socket can have is refused, quoted" {
    refused 8001:/tmp/%x.sock "'%x' is no pattern"
    refused '8001:/tmp/a b' "'/tmp/a b' in '8001:/tmp/a b' is no socket's path: it has white space"
    refused "8001:/tmp/$(printf 'x%.0s' {1..110})" "it is longer than 107 bytes"
    refused /tmp/web.sock "'/tmp/web.sock' lacks a port"
}

@test "a list with a hole in it is refused, quoted" {
    refused , "','"
    refused 8001:8000, "'8001:8000,' has an empty forward"
    refused ,8001:8000 "',8001:8000' has an empty forward"
    refused 8001:8000,,8889:8888 "'8001:8000,,8889:8888' has an empty forward"
}

@test "what is no number is refused, quoted" {
    refused 8001:http "'http' in '8001:http' is no port"
    refused 8001:8000,x:8888 "'x' in 'x:8888' is no port"
    refused 8001:+8000 "'+8000' in '8001:+8000' is no port"
    refused 8001:-1 "'-1' in '8001:-1' is no port"
    refused 0x1f41:8000 "'0x1f41' in '0x1f41:8000' is no port"
    refused '8001: 8000' "' 8000' in '8001: 8000' is no port"
    refused '8001:8000 ' "'8000 ' in '8001:8000 ' is no port"
    refused 8001:8000/tcp "'8000/tcp' in '8001:8000/tcp' is no port"
}

@test "a port out of range is refused, quoted" {
    refused 65536:8000 "'65536' in '65536:8000' is out of range"
    refused 8001:65536 "'65536' in '8001:65536' is out of range"
    refused 8001:0 "'0' in '8001:0' is out of range"
    refused 8001:99999999999999999999 "'99999999999999999999'"
    refused 80:8000 "'80' in '80:8000' is under 1024"
}

@test "a submit port that is there twice is refused" {
    refused 8001:8000,8001:8888 "'8001' is listed twice"
}

@test "control characters of a spec do not reach the terminal" {
    refused $'8001:\e[31m' "'?[31m' in '8001:?[31m' is no port"
}

@test "salloc refuses the same before it allocates" {
    local before
    before=$(next_job)
    run as user1 salloc --tunnel 8001:http true
    [[ $status != 0 ]]
    holds "'http' in '8001:http' is no port"
    same "$before" "$(next_job)"
}

@test "shell text in a spec is refused and never run" {
    refused '8001:8000;touch /tmp/owned' "'8000;touch /tmp/owned'"
    # shellcheck disable=SC2016 # nothing may expand it
    refused '8001:$(touch /tmp/owned)' 'touch /tmp/owned'
    # shellcheck disable=SC2016
    refused '`touch /tmp/owned`:8000' 'touch /tmp/owned'
    same "" "$(as root find /tmp -name owned)"
}

@test "shell text in plugstack.conf's ssh words is never run" {
    # shellcheck disable=SC2016
    configure required 'ssh_args=-o|ConnectTimeout=5;touch${IFS}/tmp/owned'
    run as user1 srun --tunnel 8001:8000 echo the job ran
    [[ $status != 0 ]]
    same "" "$(as root find /tmp -name owned)"
}

@test "a SPUNNEL_TUNNEL that is wrong is an error that names it" {
    run as user1 env SPUNNEL_TUNNEL=8001:http srun echo the job ran
    holds "spunnel: SPUNNEL_TUNNEL: 'http' in '8001:http' is no port"
    lacks "--tunnel: "
    configure required
    run as user1 env SPUNNEL_TUNNEL=8001:http srun echo the job ran
    [[ $status != 0 ]]
    lacks "the job ran"
}

@test "SPUNNEL_TUNNEL: a second srun beside the first says so in one line and runs without" {
    configure required
    start s user1 env SPUNNEL_TUNNEL=8001:8000 srun -w n1 /home/tools/service.py 8000
    eventually says s serving
    answers n1:8000 user1 8001 name
    run as user1 env SPUNNEL_TUNNEL=8001:8000 srun echo the job ran
    same 0 "$status"
    holds "spunnel: this step has no tunnel of its own: port 8001 is held by your own tunnel"
    same 1 "$(grep -c spunnel: <<<"$output")"
    holds "the job ran"
}

# --- plugstack.conf ----------------------------------------------------------------------------

# wrong ARGUMENT TEXT: the argument is an error that quotes it, and no job was made.
wrong() {
    local before
    configure optional "$1"
    before=$(next_job)
    run as user1 srun --tunnel 8001:8000 echo the job ran
    [[ $status != 0 ]]
    holds "spunnel: plugstack.conf: "
    holds "'$1'"
    holds "$2"
    same "$before" "$(next_job)"
    # Who does not ask for a tunnel is not bothered.
    same n1 "$(as user1 srun -w n1 hostname)"
}

@test "an unknown argument in plugstack.conf is named, with the ones there are" {
    wrong bogus=1 "unknown argument"
    holds "ssh_cmd=, ssh_args=, state_dir=, timeout=, access="
}

@test "a malformed argument in plugstack.conf is named, with what belongs there" {
    wrong timeout=soon "whole seconds from 1 to 3600"
    wrong timeout=0 "whole seconds from 1 to 3600"
    wrong access=all "access=owner, access=owner+root or access=host"
    wrong state_dir=tmp "an absolute path"
    wrong ssh_cmd= "words separated by |"
    wrong quiet=yes "quiet alone"
}

@test "ssh_args= reaches ssh, split at |, and Spunnel's own preferences give way" {
    # Only with this argument can user1 log in.
    as user1 mv .ssh/id_ed25519 elsewhere
    configure required 'ssh_args=-i|/home/user1/elsewhere|-o|ConnectTimeout=7'
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    as user1 mv elsewhere .ssh/id_ed25519
    answers n1:8000 user1 8001 name
    [[ $(processes ssh) == *ConnectTimeout=7* ]]
    # A preference gives way.
    [[ $(processes ssh) != *ConnectTimeout=*ConnectTimeout=* ]]
}

@test "args= means ssh_args=, as it was always written" {
    configure required 'args=-o|ConnectTimeout=7'
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    [[ $(processes ssh) == *ConnectTimeout=7* ]]
}

@test "ssh_cmd= names a program with its first arguments, split at |" {
    configure required 'ssh_cmd=/usr/bin/env|MARK=here|ssh'
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
    tr '\0' '\n' <"/proc/$(ssh_of "$(step s)")/environ" | grep -x MARK=here
}

@test "ssh_cmd= may be a script that stays: its ssh ends with a keeper that was killed with -9" {
    as user1 sh -c "printf '#!/bin/sh\nssh \"\$@\"\nexit \$?\n' >sshw; chmod +x sshw"
    configure required ssh_cmd=/home/user1/sshw
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
    kill -KILL "$(keeper "$(step s)")"
    soon nothing_left
    goes_on s
    as user1 rm sshw
}

@test "state_dir= puts the records elsewhere, and takes them away again" {
    local directory
    directory=/var/tmp/spunnel-$(as user1 id -u)
    configure required state_dir=/var/tmp
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
    as user1 test -S "$directory/$(step s)/control"
    as user1 test ! -e "/tmp/${directory##*/}"
    cancel s
    as user1 test ! -e "$directory"
}

@test "a state_dir= that is too long for a socket is an error that names it" {
    local long=/var/tmp/a-name-that-is-long-enough-to-leave-no-room-for-a-socket-in-a-directory-of-it
    as user1 mkdir "$long"
    configure required "state_dir=$long"
    run as user1 srun --tunnel 8001:8000 echo the job ran
    as user1 rmdir "$long"
    [[ $status != 0 ]]
    holds "is too long for a socket"
    holds "state_dir="
    lacks "the job ran"
}

@test "quiet leaves out the lines at the start, and no error" {
    configure required quiet
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    answers n1:8000 user1 8001 name
    same "serving $(step s) on n1" "$(output s)"
    run as user1 srun --tunnel 8001:8000 true
    holds "port 8001 is held by your own tunnel"
}

# SPUNNEL_BAD_INPUTS says how many, SPUNNEL_SEED which.
@test "bad specs and bad arguments by lot: each is refused in one line, nothing crashes, no job is made" {
    local before
    before=$(next_job)
    PATIENCE=300 as user1 /home/tools/bad_input.py "$PLUGIN" "${SPUNNEL_BAD_INPUTS:-30}" \
        "${SPUNNEL_SEED:-$RANDOM}"
    same "$before" "$(next_job)"
}

# SPUNNEL_FUZZ_SEEDS says how many.
@test "what fuzzing has found, by lot: the job runs, or the spec is refused in one line, and nothing crashes" {
    local host
    configure required timeout=3
    cp -rT "${TESTS%/*}/fuzz/seeds" "$STATE/home/tools/seeds"
    PATIENCE=900 as user1 /home/tools/bad_input.py "$PLUGIN" "${SPUNNEL_FUZZ_SEEDS:-10}" \
        "${SPUNNEL_SEED:-$RANDOM}" /home/tools/seeds
    # What sshd leaves behind of R: to a path.
    for host in n1 n2; do host "$host" root find /tmp -maxdepth 1 -type s -user user1 -delete; done
    rm -r "$STATE/home/tools/seeds"
}
