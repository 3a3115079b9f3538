#!/usr/bin/env bats
# user2 against user1 on the login host: nothing of his runs as her, no byte of hers reaches him, and the
# worst that he can do is a clear error.

load helpers

hostile() { as "$1" /home/tools/hostile.py "${@:2}"; }

base() { echo "/tmp/spunnel-$(as user1 id -u)"; }

setup() {
    configure required
    as root rm -rf /tmp/trap /tmp/ran
    as user2 mkdir -m 777 /tmp/trap
}

teardown() {
    local found=0
    clean_up || found=$?
    rm -rf "$STATE/slurm/plugstack.conf.d"
    as root bash -c 'rm -rf /tmp/trap /tmp/ran /tmp/lent /tmp/spunnel-* /home/user1/{bait,mine,way} /tmp/bait /tmp/filler /tmp/more /tmp/stop'
    as root mount -o remount,size=50%,nr_inodes=1000000 /tmp
    return "$found"
}

# The start fails with one line of ours that names the place, and nothing has run.
is_refused() {
    run as user1 srun -w n1 --tunnel 8001:8000 echo the job ran
    [[ $status != 0 ]]
    holds "$(base)"
    holds "$1"
    lacks "the job ran"
}

# The tunnel starts elsewhere, and what lies at the name is as it was.
is_passed_by() {
    local before
    before=$(as root find "$(base)" -printf '%p %y %u %m %s %l\n')
    run as user1 srun -w n1 --tunnel 8001:8000 echo the job ran
    same 0 "$status"
    holds "localhost:8001 -> n1:8000"
    holds "the job ran"
    same "$before" "$(as root find "$(base)" -printf '%p %y %u %m %s %l\n')"
}

# command_fails TEXT WORD...: so says spunnelctl, in one line, beside what it tells of a wait.
command_fails() {
    run as user1 spunnelctl "${@:2}"
    same 1 "$status"
    same 1 "$(grep -vc ': waiting for ' <<<"$output")"
    holds "$1"
}

@test "what lies in the directory that spunnelctl happens to run in is not read for the site's plugstack.conf" {
    local job
    mkdir "$STATE/slurm/plugstack.conf.d"
    "$CLUSTER/plugstack" >"$STATE/slurm/plugstack.conf.d/spunnel.conf"
    "$CLUSTER/plugstack" 'include plugstack.conf.d/*.conf'
    # shellcheck disable=SC2016 # expanded when it runs
    as user2 sh -c 'cd /tmp/trap && mkdir plugstack.conf.d &&
        echo "optional $0 ssh_cmd=/tmp/trap/ssh transport=ssh" >plugstack.conf.d/spunnel.conf &&
        printf "#!/bin/sh\nid -un >/tmp/ran\n" >ssh && chmod 755 ssh' "$PLUGIN"
    job=$(hold user1 -w n1)
    as user1 env -C /tmp/trap spunnelctl open "$job" 8001:8000 --background
    as user1 spunnelctl close "$job"
    as user1 test ! -e /tmp/ran
}

@test "whatever lies at the name of the records beforehand is passed by, and nothing is written there" {
    local kind
    for kind in directory file fifo socket link; do
        hostile user2 plant "$(base)" "$kind" /tmp/trap
        is_passed_by
        same "" "$(as root ls -A /tmp/trap)"
        as root rm -rf "$(base)"
    done
}

@test "a link to a directory of the owner's own, or a hard link to a file of hers, is not used" {
    as user1 mkdir -m 700 bait
    hostile user2 plant "$(base)" link /home/user1/bait
    is_passed_by
    same "" "$(as user1 ls -A bait)"
    as root rm -f "$(base)"
    as user1 touch /tmp/bait
    # By root: few kernels let others (fs.protected_hardlinks).
    hostile root plant "$(base)" hardlink /tmp/bait
    is_passed_by
    as root rm -f "$(base)" /tmp/bait
}

@test "records that others may enter, or that lie where others may rename, are refused" {
    local place
    as user1 mkdir -m 755 "$(base)"
    is_refused "its mode is 755 and not 700"
    as root rmdir "$(base)"
    as root bash -c 'mkdir -p /tmp/open && chmod 777 /tmp/open'
    as user1 mkdir -m 700 /tmp/open/hers
    for place in /tmp/open /tmp/open/hers; do
        configure required "state_dir=$place"
        run as user1 srun -w n1 --tunnel 8001:8000 echo the job ran
        holds "cannot trust '/tmp/open': others may write to it and it is not sticky"
        lacks "the job ran"
    done
    as root bash -c 'chown user2 /tmp/open && chmod 755 /tmp/open'
    run as user1 srun -w n1 --tunnel 8001:8000 echo the job ran
    holds "cannot trust '/tmp/open': it belongs to uid"
    lacks "the job ran"
    as root rm -rf /tmp/open
}

@test "thousands of directories, links, files, FIFOs, sockets and renames at that name, against starts all the while" {
    local kind number good=0 refused=0 tries=0 taken=0
    # shellcheck disable=SC2034 # for the helpers
    local PATIENCE=120
    # A start that is late would not name the place.
    configure required timeout=120
    for kind in directory link file fifo socket rename; do
        start "race-$kind" user2 nice /home/tools/hostile.py race "$(base)" /tmp/stop "$kind" /tmp/trap
    done
    while ((good + refused < 8)); do
        run as user1 srun -w n1 --tunnel 8001:8000 echo the job ran
        if [[ $status == 0 ]]; then
            holds "the job ran"
            good=$((good + 1))
        else
            holds "spunnel"
            holds "$(base)"
            lacks "the job ran"
            refused=$((refused + 1))
        fi
        as user1 spunnelctl status >/dev/null 2>&1 || [[ $? == 1 ]]
    done
    as user2 touch /tmp/stop
    for kind in directory link file fifo socket rename; do
        finish "race-$kind"
        run output "race-$kind"
        holds "found []"
        number=${output#tries }
        tries=$((tries + ${number%% *}))
        number=${output#* taken }
        taken=$((taken + ${number%% *}))
    done
    echo "$tries tries, $taken of them taken, $good starts, $refused refused"
    ((tries > 5000 && taken > 100))
    same "" "$(as root ls -A /tmp/trap)"
}

@test "between two tunnels the name is the attacker's at once, and the next one does without it" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    # Beside a tunnel he cannot even touch it.
    run hostile user2 plant "$(base)" link /tmp/trap
    [[ $status != 0 ]]
    run as user2 mv "$(base)" /tmp/elsewhere
    [[ $status != 0 ]]
    cancel s
    eventually hostile user2 plant "$(base)" link /tmp/trap
    is_passed_by
    same "" "$(as root ls -A /tmp/trap)"
    as root rm "$(base)"
}

@test "no file, log, socket or descriptor of a tunnel opens for another user" {
    local record path keeper
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    record=$(base)/$(step s)
    for path in host status log control command 1.sock exit; do
        run as user2 cat "$record/$path"
        holds "Permission denied"
        run as user2 touch "$record/$path"
        holds "Permission denied"
        run as user2 python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])' "$record/$path"
        holds "PermissionError"
    done
    # As the host numbers it: its own /proc.
    keeper=$(as root pgrep -o -x spunnel-keeper)
    for path in fd environ maps cwd root; do
        run as user2 ls "/proc/$keeper/$path/"
        [[ $status != 0 ]]
        run as user2 cat "/proc/$keeper/$path"
        [[ $status != 0 ]]
    done
    run as user2 kill -TERM "$keeper"
    holds "not permitted"
    answers n1:8000 user1 8001 name
}

@test "the attacker's spunnelctl does not see, close or extend the owner's tunnel" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    run as user2 spunnelctl status
    lacks 8001
    run as user2 spunnelctl close "$(step s)"
    [[ $status != 0 ]]
    run as user2 spunnelctl open "$(step s)" 8002:8000 --background
    [[ $status != 0 ]]
    answers n1:8000 user1 8001 name
}

@test "2000 connections that send and close at once: none reaches the service, the owner is served meanwhile" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    start flood user2 /home/tools/hostile.py flood 8001 2000
    answers n1:8000 user1 8001 name
    finish flood
    same 0 "$status"
    eventually counts "$(step s)" accepted 1
    eventually counts "$(step s)" connections 0
    # A line a minute, not one for each.
    (($(wc -l <"$(record "$(step s)" log)") < 30))
}

@test "connections left behind on source ports that are the owner's next are nobody's, in the queue and later" {
    local job address turn asked=0
    job=$(as user1 sbatch --parsable -o /dev/null --hold -w n1 --tunnel 8001:8000 \
        --wrap 'exec /home/tools/service.py 8000')
    for address in 127.0.0.1 ::1; do
        hostile user2 ghosts 8001 "$address" 400
        for turn in 1 2 3; do
            asked=$((asked + 1))
            # shellcheck disable=SC2046 # an option or none
            start "early$asked" user1 /home/tools/client.py $([[ $address != ::1 ]] || echo -6) 8001 name
        done
    done
    as root scontrol release "$job"
    for turn in $(seq "$asked"); do
        finish "early$turn"
        says "early$turn" n1:8000
    done
    eventually counts "$(whole "$job")" accepted "$asked"
    for address in 127.0.0.1 ::1; do
        start "ghosts$address" user2 /home/tools/hostile.py ghosts 8001 "$address" 4000
        eventually says "ghosts$address" leaving
        answers 200 user1 8001 each 200
        asked=$((asked + 200))
        finish "ghosts$address"
        says "ghosts$address" left
    done
    eventually counts "$(whole "$job")" accepted "$asked"
    as root scancel "$job"
}

@test "records of a stranger's that are huge, or full of forwards, keep root's status --all from nothing" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    start stranger user2 /home/tools/hostile.py records
    eventually says stranger held
    run as root timeout 20 spunnelctl status --all
    same 0 "$status"
    holds "$(job s)"
    holds "nothing listens: n1024:8000"
    run as root timeout 20 spunnelctl status --all --json
    same 0 "$status"
    as root rm -r "/tmp/spunnel-$(as user2 id -u)"
}

@test "500 connections that stay: no byte comes back, none is left open" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    same "bytes 0" "$(hostile user2 hold 8001 500)"
    answers n1:8000 user1 8001 name
    eventually counts "$(step s)" refused 500
    eventually counts "$(step s)" accepted 1
}

@test "a socket that the attacker has made stays his, whoever holds it then" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    start lend user2 /home/tools/hostile.py lend 8001 /tmp/lent
    eventually says lend listening
    same "closed before a byte" "$(hostile user1 borrow /tmp/lent)"
    finish lend
    counts "$(step s)" accepted 0
}

@test "a port that the attacker holds on either address is an error before anything is queued" {
    local address before
    for address in 127.0.0.1 ::1 0.0.0.0 ::; do
        start "squat$address" user2 /home/tools/hostile.py squat 8001 "$address"
        eventually says "squat$address" listening
        before=$(next_job)
        run as user1 srun -w n1 --tunnel 8001:8000 echo the job ran
        [[ $status != 0 ]]
        holds "8001"
        lacks "the job ran"
        same "$before" "$(next_job)"
        kill -TERM "$(pid "squat$address")"
        finish "squat$address"
    done
}

@test "a port that a tunnel holds cannot be listened on as well, on any address that covers it" {
    local address
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    for address in 127.0.0.1 ::1 0.0.0.0 ::; do
        run hostile user2 squat 8001 "$address"
        lacks listening
        holds "Address already in use"
    done
    answers n1:8000 user1 8001 name
    answers n1:8000 user1 -6 8001 name
}

# --- A socket's path -----------------------------------------------------------------------------

# looks HOST PATH: what is there, its owner, mode and content, as far as it has any.
looks() { host "$1" root find "$2" -printf '%p %y %u %m %s %l\n'; }

@test "whatever the attacker has put at the path of a submit socket is an error that names it, and stays" {
    local kind before
    as user1 python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("/home/user1/bait")'
    start theirs user2 python3 -uc 'import os, socket
end = socket.socket(socket.AF_UNIX)
end.bind("/tmp/listening.sock")
os.chmod("/tmp/listening.sock", 0o777)
end.listen()
print("listens")
end.accept()
print("connected")'
    eventually says theirs listens
    for kind in directory file fifo socket link listening; do
        # What the link leads to is a socket of hers that nobody listens on, which by itself is replaced.
        [[ $kind == listening ]] || hostile user2 plant /tmp/$kind.sock "$kind" /home/user1/bait
        before=$(looks login /tmp/$kind.sock)
        run as user1 srun -w n1 --tunnel "/tmp/$kind.sock:8000" echo the job ran
        [[ $status != 0 ]]
        holds "spunnel: --tunnel: '/tmp/$kind.sock' exists already"
        lacks "the job ran"
        same "$before" "$(looks login /tmp/$kind.sock)"
    done
    as user1 test -S /home/user1/bait
    same listens "$(output theirs)"
    as root bash -c 'rm -rf /tmp/*.sock'
}

# lent NAME OWNER: a link at /tmp/lent/NAME to a directory that is user1's alone.
lent() {
    as root ln -sfn /home/user1/mine "/tmp/lent/$1"
    as root chown -h "$2" "/tmp/lent/$1"
}

@test "a link on the way to a submit socket is followed only where the attacker cannot put another" {
    local name
    as user1 mkdir -m 700 mine
    # A project's directory, with a group that user2 is in.
    as root sh -c 'mkdir /tmp/lent && chgrp user2 /tmp/lent && chmod 2775 /tmp/lent'
    lent hers user1
    as user1 ln -s /tmp/lent/hers way
    for name in /tmp/lent/hers /home/user1/way; do
        not_queued "$name/w.sock:8000" "('/tmp/lent': others may write to it and it is not sticky)"
    done
    # What would come of it.
    as user2 ln -sfn /tmp/trap /tmp/lent/hers
    as root chmod 3775 /tmp/lent
    not_queued "/tmp/lent/hers/w.sock:8000" "('/tmp/lent/hers': it is a link of uid $(as user2 id -u))"
    lent hers user1
    lent roots root
    for name in /tmp/lent/hers /tmp/lent/roots /home/user1/way; do
        serve s user1 -w n1 --tunnel "$name/w.sock:8000" -- 8000
        answers n1:8000 user1 "$name/w.sock" name
        cancel s
        same "" "$(as user1 ls -A mine)"
    done
    same "" "$(as root ls -A /tmp/trap)"
}

@test "the same at the path of a socket of R: on the node" {
    local kind before
    ! under permitopen || skip "sshd then makes no unix socket"
    for kind in directory file fifo socket link; do
        host n1 user2 /home/tools/hostile.py plant /tmp/$kind.sock "$kind" /home/user1/bait
        before=$(looks n1 /tmp/$kind.sock)
        run as user1 srun -w n1 --tunnel "R:/tmp/$kind.sock:5432" echo the job ran
        [[ $status != 0 ]]
        holds "n1 does not listen on '/tmp/$kind.sock'"
        lacks "the job ran"
        same "$before" "$(looks n1 /tmp/$kind.sock)"
    done
    host n1 root bash -c 'rm -rf /tmp/*.sock'
}

@test "things that come and go at the path of a submit socket while tunnels start: it is hers, or an error" {
    local kind good=0 refused=0 kinds=(directory link file fifo socket rename)
    as user1 sh -c 'echo precious >bait'
    for kind in "${kinds[@]}"; do
        start "race-$kind" user2 nice /home/tools/hostile.py race /tmp/web.sock /tmp/stop "$kind" \
            /home/user1/bait
    done
    for _ in {1..8}; do
        start s user1 srun -w n1 --tunnel /tmp/web.sock:8000 /home/tools/service.py 8000
        eventually began s
        if ended s; then
            says s ": '/tmp/web.sock'"
            refused=$((refused + 1))
        else
            answers n1:8000 user1 /tmp/web.sock name
            same "/tmp/web.sock s user1 600 0 " "$(looks login /tmp/web.sock)"
            good=$((good + 1))
            kill -TERM "$(pid s)"
        fi
        finish s
    done
    as user2 touch /tmp/stop
    for kind in "${kinds[@]}"; do
        finish "race-$kind"
        says "race-$kind" "found []"
    done
    echo "$good starts, $refused refused"
    same precious "$(as user1 cat bait)"
    as root bash -c 'rm -rf /tmp/web.sock* /tmp/stop'
}

began() { says "$1" serving || ended "$1"; }

@test "a state_dir= that is a file, a FIFO or a link of the attacker's is an error that names it" {
    local kind
    for kind in file fifo socket link; do
        # It leads where there is nothing to fear, for now.
        hostile user2 plant /tmp/$kind "$kind" /tmp
        configure required "state_dir=/tmp/$kind"
        run as user1 srun -w n1 --tunnel 8001:8000 echo the job ran
        [[ $status != 0 ]]
        holds "/tmp/$kind"
        same 1 "$(grep -c "error: spunnel: " <<<"$output")"
        lacks "the job ran"
    done
    same "" "$(as root ls -A /tmp/trap)"
    as root rm -f /tmp/file /tmp/fifo /tmp/socket /tmp/link
}

# --- A full disk ---------------------------------------------------------------------------------

@test "not a byte is left in /tmp: a running tunnel goes on, and the next one starts" {
    as root mount -o remount,size=1m /tmp
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    run as user2 dd if=/dev/zero of=/tmp/filler bs=4k status=none
    holds "No space left on device"
    run as user1 bash -c 'echo x >/tmp/more'
    holds "No space left on device"
    answers same user1 8001 source 3000000
    kill -KILL "$(ssh_of "$(step s)")"
    answers n1:8000 user1 8001 name
    # Sockets and directories take no room; log and status are done without.
    serve t user1 -w n2 --tunnel 8002:8000 -- 8000
    answers n2:8000 user1 8002 name
    as root rm /tmp/filler
    eventually counts "$(step s)" state up
}

@test "no file can be made in /tmp: a running tunnel goes on and can be closed, the next one ends in one line that says so" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    as user2 mkdir -m 700 /tmp/filler
    as root mount -o remount,nr_inodes=100 /tmp
    # shellcheck disable=SC2016 # expanded on the login host
    as user2 bash -c 'for number in {1..100}; do : >"/tmp/filler/$number" || exit 0; done'
    run as user1 touch /tmp/more
    holds "No space left on device"
    answers same user1 8001 source 3000000
    run as user1 srun -w n2 --tunnel 8002:8000 echo the job ran
    [[ $status != 0 ]]
    holds "No space left on device"
    lacks "the job ran"
    answers n1:8000 user1 8001 name
    as user1 spunnelctl close "$(step s)"
    frees 8001
    goes_on s
}

# shown JOB FORWARDS: does status show these?
shown() { same "$2" "$(as user1 spunnelctl status --json | jq -r '[.tunnels[] | select(.job == '"$1"').forwards[].submit] | join(" ")')"; }

@test "forwards that came and went while /tmp was full: the record says so once there is room, untouched" {
    local job
    as root mount -o remount,size=1m /tmp
    job=$(hold user1 -w n1)
    as user1 spunnelctl open "$job" 8001:8000 8002:8000 --background
    run as user2 dd if=/dev/zero of=/tmp/filler bs=4k status=none
    holds "No space left on device"
    as user1 spunnelctl open "$job" 8003:8000 --background
    as user1 spunnelctl close "$job" 8001:8000
    frees 8001
    shown "$job" "8001 8002"
    as root rm /tmp/filler
    eventually shown "$job" "8002 8003"
    # A port alone is looked for in the record.
    as user1 spunnelctl close "$job" 8003
    as user1 spunnelctl close "$job" 8002
    soon nothing_left
}

@test "a record that names an option of ssh as its node is damaged, and runs nothing" {
    local job record
    # Of a job that runs, and locked, or nobody would look into it.
    job=$(hold user1 -w n1)
    record=$(base)/$(whole "$job")
    as user1 mkdir -m 700 "$(base)" "$record"
    # shellcheck disable=SC2016 # expanded on the login host
    as user1 bash -c 'printf "%s\n" "node -oProxyCommand=touch /tmp/ran" "forward local -oProxyCommand=touch\$IFS/tmp/ran 8001 localhost 8000" >"$0/host"
        printf "state up\nkeeper 1\nssh 1\n" >"$0/status"' "$record"
    start lock user1 flock "$record" sh -c 'echo locked; exec sleep 600'
    eventually says lock locked
    run as user1 spunnelctl status
    same 0 "$status"
    [[ ${lines[1]} =~ ^"$job "+extern\ +"? "+"? "+up\  ]]
    lacks Proxy
    as user1 spunnelctl status --json | jq -e --argjson job "$job" \
        '.tunnels == [.tunnels[] | select(.job == $job and .forwards == [] and has("node") == false)]'
    command_fails "close the tunnel of job $job, step extern: its keeper does not end" close "$job"
    command_fails "open job $job: its keeper does not answer" open "$job" 8002:8000 --background
    command_fails "the record of job $job is damaged" url "$job"
    as user1 srun -w n1 --tunnel 8001:8000 true
    kill -TERM "$(pid lock)"
    finish lock
    command_fails "the record of job $job is damaged" url "$job"
    run as root ls /tmp/ran
    [[ $status != 0 ]]
    as root rm -r "$(base)"
}

@test "shell text, newlines, escapes and 4 kB in names and specs are quoted, and run nothing" {
    local text long
    long=$(printf 'x%.0s' {1..4000})
    # shellcheck disable=SC2016 # expanded nowhere
    for text in '$(touch /tmp/ran)' '`touch /tmp/ran`' ';touch /tmp/ran;' $'a\nb\ttouch' $'\e[31mred\e]0;t\a' \
        '-oProxyCommand=touch /tmp/ran' '%(touch)%h' '../../../tmp/ran' "$long"; do
        run as user1 srun -w n1 --tunnel "$text" true
        [[ $status != 0 ]]
        # Slurm itself says the argument once more, as it was.
        output=$(grep -aF spunnel: <<<"$output")
        lacks $'\e'
        run as user1 srun -w n1 --tunnel "8001:8000:$text" true
        [[ $status != 0 ]]
        output=$(grep -aF spunnel: <<<"$output")
        lacks $'\e'
        # Slurm takes no longer name.
        as user1 srun -w n1 -J "${text:0:1024}" --tunnel 8001:8000 true
    done
    run as root ls /tmp/ran
    [[ $status != 0 ]]
}
