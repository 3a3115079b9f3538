#!/usr/bin/env bats
# What spunnelctl tells about tunnels, and what it takes away.

load helpers

teardown() {
    sed -i '/^Include site.conf/d' "$STATE/slurm/slurm.conf"
    rm -f "$STATE/slurm/"{site,tunnels}.conf
    as root sh -c '[ ! -d /run/slurm/conf ] || { rm -r /run/slurm/conf; umount /etc/slurm; }'
    clean_up
}

json() { as "$1" spunnelctl status --json; }

# field KEY...: a value of the first tunnel in the JSON of standard input.
field() {
    /usr/bin/python3 -c 'import functools, json, sys
print(functools.reduce(dict.get, sys.argv[1:], json.load(sys.stdin)["tunnels"][0]))' "$@"
}

tunnels() { json "$1" | /usr/bin/python3 -c 'import json, sys; print(len(json.load(sys.stdin)["tunnels"]))'; }

@test "a tunnel is listed with its job, step, node, forwards and state, for its owner alone" {
    serve s user1 -w n1 --tunnel 8001:8000,8889:8888 -- 8000 8888
    run as user1 spunnelctl status
    same 0 "$status"
    [[ ${lines[0]} == JOB*STEP*NODE*FORWARDS*STATE* ]]
    [[ ${lines[1]} == "$(job s)"*" 0 "*" n1 "*" 8001:8000,8889:8888 "*" up "* ]]
    same 2 "${#lines[@]}"
    run as user2 spunnelctl status
    same 0 "$status"
    lacks n1
}

@test "the JSON form has the same, and counts" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    client user1 8001 source 1000000
    client user2 8001 name
    same "$(job s)" "$(json user1 | field job)"
    same n1 "$(json user1 | field node)"
    same up "$(json user1 | field state)"
    eventually counted 1 connections accepted
    eventually counted 1 connections refused
    eventually counted 1000000 bytes received
}

# counted WANTED KEY...
counted() { same "$1" "$(json user1 | field "${@:2}")"; }

@test "no tunnel is no error" {
    same 0 "$(tunnels user1)"
    run as user1 spunnelctl status
    same 0 "$status"
}

@test "while ssh is lost the state is reconnecting" {
    # Another way would be found within a second.
    configure optional transport=ssh
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    service n1 sshd stop
    kill -KILL "$(ssh_of "$(step s)")"
    eventually counted reconnecting state
    service n1 sshd start
    eventually counted up state
}

@test "a crash's record is shown as stale, and clean removes it and nothing alive" {
    serve alive user1 -w n1 --tunnel 8001:8000 -- 8000
    serve dead user1 -w n2 --tunnel 8002:8000 -- 8000
    crash "$(step dead)"
    eventually shown "$(job dead)" stale
    shown "$(job alive)" up
    run as user1 spunnelctl clean
    same 0 "$status"
    holds "removed the record of job $(job dead), step 0"
    same 1 "$(tunnels user1)"
    answers n1:8000 user1 8001 name
}

shown() { as user1 spunnelctl status | grep -E "^$1 .* $2 "; }

@test "status finds the records where plugstack.conf puts them" {
    configure required state_dir=/var/tmp
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    same 1 "$(tunnels user1)"
    same "$(job s)" "$(as user1 spunnelctl status --json --state-dir /var/tmp | field job)"
}

@test "status reads the line in plugstack.conf up to a #, as srun does" {
    configure required state_dir=/var/tmp
    "$CLUSTER/plugstack" "$("$CLUSTER/plugstack")   # tunnels"
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    same 1 "$(tunnels user1)"
}

@test "status finds the records where another plugstack.conf puts them, which slurm.conf names" {
    configure required state_dir=/var/tmp
    "$CLUSTER/plugstack" >"$STATE/slurm/tunnels.conf"
    configure required
    echo "plugstackconfig = /etc/slurm/tunnels.conf # not the usual one" >"$STATE/slurm/site.conf"
    echo "Include site.conf" >>"$STATE/slurm/slurm.conf"
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    same 1 "$(tunnels user1)"
    same "$(job s)" "$(as user1 spunnelctl status --json --state-dir /var/tmp | field job)"
}

@test "status and close find the records where Slurm's configuration lies in /run/slurm/conf alone" {
    configure optional state_dir=/var/tmp
    as root sh -c 'mkdir -p /run/slurm/conf && cp /etc/slurm/*.conf /run/slurm/conf &&
        sed -i s,/etc/slurm,/run/slurm/conf, /run/slurm/conf/slurm.conf && mount -t tmpfs none /etc/slurm'
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    run as user1 spunnelctl status
    same 0 "$status"
    holds " 8001:8000 "
    run as user1 spunnelctl close "$(job s)"
    same 0 "$status"
}

@test "a SLURM_CONF that is not there is told at once" {
    run as user1 env SLURM_CONF=/nowhere/slurm.conf spunnelctl status
    same 1 "$status"
    same "spunnelctl: read the file that SLURM_CONF names, '/nowhere/slurm.conf': No such file or directory: \
correct SLURM_CONF, or unset it" "$output"
}

@test "a wrong command or option is a usage error that quotes it" {
    run as user1 spunnelctl bogus
    same 2 "$status"
    same "spunnelctl: unknown command 'bogus'; see spunnelctl --help" "$output"
    run as user1 spunnelctl staus
    same 2 "$status"
    same "spunnelctl: unknown command 'staus': did you mean status?; see spunnelctl --help" "$output"
    run as user1 spunnelctl status --bogus
    same 2 "$status"
    same "spunnelctl: status: unknown option '--bogus'; see spunnelctl status --help" "$output"
    run as user1 spunnelctl open 12 8001:8000 --backgruond
    same 2 "$status"
    same "spunnelctl: open: unknown option '--backgruond': did you mean --background?; see spunnelctl open --help" "$output"
    run as user1 spunnelctl open 12 -L 8001:localhost:8000
    same 2 "$status"
    holds "'-L' is an option of ssh's: write 8001:8000 for ssh's -L"
}

# --- The far ends ------------------------------------------------------------------------------

# serves WORDS JOB: does its line say this of the far ends?
serves() {
    same "$1" "$(as user1 spunnelctl status | awk -v job="$2" '$1 == job {
        for (word = 10; word < NF; word++) printf "%s ", $word
        print $NF }')"
}

far() { json user1 | jq -r '[.tunnels[0].forwards[].far] | join(" ")'; }

@test "status tells at once whether anything listens at the far ends, and at which ports nothing does" {
    serve s user1 -w n1 --tunnel 8001:8000,8002:8999 -- 8000
    as user1 spunnelctl status --probe
    serves "nothing listens: 8999" "$(job s)"
    same "listening refused" "$(far)"
}

@test "--probe finds a service that came, and one that went" {
    serve s user1 -w n1 --tunnel 8001:8999 -- 8000
    # The tunnel is there before the step's tasks are.
    serves "not seen yet" "$(job s)"
    as user1 spunnelctl status --probe
    serves "nothing listens" "$(job s)"
    start_on n1 late user1 /home/tools/service.py 8999
    eventually says late serving
    serves "nothing listens" "$(job s)"
    run as user1 spunnelctl status --probe
    same 0 "$status"
    [[ ${lines[1]} == *"  listening" ]]
    kill -TERM "$(pid late)"
    finish late
    eventually gone_by_probe "$(job s)"
}

@test "the service is known while its connection is open, and url names what it speaks" {
    serve s user1 -w n1 --tunnel 8001:8000,8002:8080 -- 8000
    run as user1 curl -s --max-time 10 localhost:8002
    serves "nothing listens: 8080" "$(job s)" || serves "nothing listens: 8080; not seen yet: 8000" "$(job s)"
    start held user1 /home/tools/client.py 8001 hold
    eventually says held held
    start_on n1 web user1 python3 -m http.server --bind 127.0.0.1 8080
    eventually as user1 curl -sf --max-time 10 -o /dev/null localhost:8002
    eventually serves listening "$(job s)"
    goes_on held
    run as user1 spunnelctl url "$(job s)"
    same localhost:8001 "${lines[0]}"
    same http://localhost:8002/ "${lines[1]}"
    kill -TERM "$(pid web)"
}

gone_by_probe() {
    as user1 spunnelctl status --probe >/dev/null
    serves "nothing listens" "$1"
}

@test "SOCKS and forwards the other way round have no far end to know of" {
    serve s user1 -w n1 --tunnel D:8001,R:9000:9001 -- 8000
    serves - "$(job s)"
    shown "$(job s)" up
    same "dynamic remote" "$(json user1 | jq -r '[.tunnels[0].forwards[].kind] | join(" ")')"
}

# nothing_listens END: only there, as a probe tells.
nothing_listens() {
    as user1 spunnelctl status --probe
    [[ $(as user1 spunnelctl status) == *" nothing listens: $1" ]]
}

@test "forwards to several nodes name them" {
    serve s user1 -N2 -n2 --tunnel 8001:8000,8002:+1:8999 -- 8000
    # The task of n2 may serve before that of n1.
    eventually nothing_listens n2:8999
    run as user1 spunnelctl status
    [[ ${lines[1]} == *" n1,n2 "*" 8001:n1:8000,8002:n2:8999 "* ]]
    same "n1 n2" "$(json user1 | jq -r '[.tunnels[0].forwards[].node] | join(" ")')"
}

# --- Jobs --------------------------------------------------------------------------------------

@test "a tunnel that waits for its job is shown with what waits" {
    local job
    job=$(as user1 sbatch --parsable --hold --output /dev/null --wrap 'sleep 600')
    as user1 spunnelctl open "$job" 8001:8000 --wait --background
    run as user1 spunnelctl status
    [[ ${lines[1]} == "$job "*" -  "*" 8001:8000 "*" waiting "* ]]
    same 8001:8000 "$(json user1 | jq -r '.tunnels[0].waiting[0]')"
    run as user1 spunnelctl status "$job"
    holds "8001:8000 until the job starts"
    as user1 spunnelctl close "$job"
}

@test "status JOB tells one job's story with the times" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    serve other user1 -w n2 --tunnel 8002:8000 -- 8000
    kill -KILL "$(ssh_of "$(step s)")"
    eventually counted_of "$(job s)" up
    run as user1 spunnelctl status "$(job s)" --probe
    same 0 "$status"
    holds "job $(job s), step 0, of user1"
    holds "localhost:8001 -> n1:8000  listening"
    lacks 8002
    [[ $output =~ [0-9]T[0-9:]+\ \ reconnecting ]]
    same reconnecting "$(as user1 spunnelctl status "$(step s)" --json |
        jq -r '.tunnels[].log[] | select(.text == "reconnecting").text')"
    run as user1 spunnelctl status 4711
    same 1 "$status"
    holds "no tunnel of job 4711"
}

@test "the log of a start does not tell what the tunnel's own probes found" {
    local story
    serve s user1 -w n1 --tunnel 8001:8000,8002:8003 -- 8000
    # What ssh said before has come by then.
    answers n1:8000 user1 8001 name
    story=$(as user1 spunnelctl status "$(job s)" --json | jq -r '.tunnels[0].log[].text')
    same "" "$(grep "open failed" <<<"$story")"
    # A person's own connection is another matter.
    client user1 8002 name
    eventually grep -F "open failed: connect failed: Connection refused" "$(record "$(step s)" log)"
}

counted_of() {
    as user1 spunnelctl status "$1" --json |
        jq -e --arg state "$2" '.tunnels[0] | .state == $state and any(.log[]; .text == "reconnecting")'
}

# --- Everybody's -------------------------------------------------------------------------------

@test "--all shows root every user's tunnels, whatever hostile directories lie beside them" {
    serve one user1 -w n1 --tunnel 8001:8000 -- 8000
    serve two user2 -w n2 --tunnel 8002:8000 -- 8000
    host login root ln -s /etc /tmp/spunnel-65501
    host login user2 mkdir -m 777 /tmp/spunnel-65502
    host login user2 touch /tmp/spunnel-65503 /tmp/spunnel-x
    run as root spunnelctl status --all
    host login root rm -rf /tmp/spunnel-65501 /tmp/spunnel-65502 /tmp/spunnel-65503 /tmp/spunnel-x
    same 0 "$status"
    [[ ${lines[0]} == JOB*STEP*USER*NODE* ]]
    [[ ${lines[1]} == "$(job one) "*" user1 "*" n1 "* ]]
    [[ ${lines[2]} == "$(job two) "*" user2 "*" n2 "* ]]
    holds "cannot trust '/tmp/spunnel-65501'"
    holds "cannot trust '/tmp/spunnel-65502'"
    holds "cannot trust '/tmp/spunnel-65503'"
    same 6 "${#lines[@]}"
    same "user1 user2" "$(as root spunnelctl status --all --probe --json | jq -r '[.tunnels[].user] | join(" ")')"
    run as user1 spunnelctl status --all
    same 2 "$status"
    holds "--all shows the tunnels of every user and is for root"
}

@test "root closes anybody's tunnel by its job, or one forward of it" {
    serve one user1 -w n1 --tunnel 8001:8000,8003:8000 -- 8000
    serve two user2 -w n2 --tunnel 8002:8000 -- 8000
    run as root spunnelctl status "$(job one)"
    holds "of user1"
    run as root spunnelctl close "$(job one)" 8003
    same "closed 8003:8000 of job $(job one), step 0, of user1" "$output"
    run as root spunnelctl close --all
    holds "no tunnels of root"
    run as root spunnelctl close "$(job one)" "$(job two)"
    same 0 "$status"
    same "closed the tunnel of job $(job one), step 0, of user1" "${lines[0]}"
    same "closed the tunnel of job $(job two), step 0, of user2" "${lines[1]}"
    same 0 "$(tunnels user1)"
}

@test "root closes nothing but what lies in the owner's own record" {
    local what
    host login root bash -c 'rm -rf /root/aim; mkdir -m 700 /root/aim; echo >/root/aim/kept'
    # Of links and FIFOs as flags, of records that are none, and of one whose keeper does not end.
    # shellcheck disable=SC2016 # expanded there
    start h user2 bash -c '
        mkdir -m 700 /tmp/spunnel-$UID && cd /tmp/spunnel-$UID
        mkdir -m 700 71.0 72.0 73.0
        mkdir -m 777 74.0
        ln -s /root/aim/made 71.0/exit
        ln -s /root/aim/kept 71.0/command
        mkfifo 72.0/exit 72.0/command
        ln -s /root/aim 75.0
        for record in 71 72 73 74; do exec {fd}<$record.0; flock $fd; done
        printf "node n1\nforward local n1 8001 localhost 80\n" | tee 71.0/host 72.0/host >73.0/host
        echo held
        exec sleep 60'
    eventually says h held
    for what in 71 72 73; do
        run as root spunnelctl close "$what"
        same 1 "$status"
        holds "its keeper does not end"
        run as root spunnelctl close "$what" 8001
        same 1 "$status"
        same 1 "${#lines[@]}"
    done
    run as root spunnelctl close 74
    same 1 "$status"
    holds "its mode is 777 and not 700"
    run as root spunnelctl close 75
    same 1 "$status"
    kill -TERM "$(pid h)"
    finish h
    same kept "$(host login root ls /root/aim)"
    same 0 "$(host login root bash -c 'ls /tmp/spunnel-*/74.0 | wc -l')"
    # What was made is empty, and root's.
    same "0 root" "$(host login root bash -c 'stat -c "%s %U" /tmp/spunnel-*/73.0/exit')"
    host login root rm -rf /root/aim
    # shellcheck disable=SC2016 # expanded there
    host login user2 bash -c 'rm -rf /tmp/spunnel-$UID'
}

# --- Damage ------------------------------------------------------------------------------------

@test "damaged records are shown as far as known, and nothing waits for them" {
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    # shellcheck disable=SC2016
    host login user1 bash -c '
        cd /tmp/spunnel-$UID
        mkdir -m 700 90.0 91.0 92.0 93.0 94.0
        mkfifo 90.0/host 90.0/status 90.0/log
        head -c 2000000 /dev/urandom | tee 91.0/host 91.0/log >91.0/status
        : >92.0/host >92.0/status
        truncate -s 5G 93.0/host 93.0/status 93.0/log
        printf "node n1\nforward local n1 80" >94.0/host
        printf "state up\nsince 9223372036854775807\nsent 12x" >94.0/status
        touch 95.0; ln -s /etc 96.0'
    run timeout 20 "$CLUSTER/in" login user1 -- spunnelctl status
    same 0 "$status"
    same 8 "$(grep -cE '^(9[0-6]|[0-9]+) ' <<<"$(grep -E '^(9[0-6]|'"$(job s)"') ' <<<"$output")")"
    [[ $output =~ $(job s)\ .*\ up\  ]]
    local job
    for job in 90 91 92 93 94 95 96; do
        run timeout 20 "$CLUSTER/in" login user1 -- spunnelctl status "$job"
        same 0 "$status"
    done
    json user1 | jq -e '.tunnels | length == 8'
    as user1 spunnelctl clean
    # shellcheck disable=SC2016
    host login user1 bash -c 'rm -r /tmp/spunnel-$UID/9[0-6].0'
    same 1 "$(tunnels user1)"
}

# --- Watching ----------------------------------------------------------------------------------

# watched NAME FILTER: has a line of its output passed this filter of jq?
watched() { output "$1" | jq -e "$2" | grep true; }

@test "--watch --json says a line for each change, and ends when it is interrupted" {
    start w user1 spunnelctl status --watch --json
    eventually watched w '.tunnels == []'
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    eventually watched w '.tunnels[0].state == "up"'
    cancel s
    eventually empty_again
    kill -INT "$(pid w)"
    finish w
    same 0 "$status"
    # A line each, and no two that say the same.
    same "$(output w | wc -l)" "$(output w | jq -c . | uniq | wc -l)"
}

empty_again() { same '[]' "$(output w | tail -n 1 | jq -c .tunnels)"; }

@test "--watch ends when nobody reads it any more" {
    run as user1 bash -c 'spunnelctl status --watch | head -n 1'
    same 0 "$status"
    holds "no tunnels of user1"
}

# --- Other commands for programs ---------------------------------------------------------------

@test "open, url, close and clean speak JSON" {
    local job
    job=$(hold user1 -w n1)
    as user1 spunnelctl open "$job" 8001:8000,D:8002,:/tmp/there-%j.sock --background --json |
        jq -e '.version == 1 and .state == "up" and .forwards[0].exec == 8000' >&2
    as user1 spunnelctl url "$job" --json |
        jq -e '.tunnels[0] | [.forwards[0, 1].address] == ["localhost:8001", "socks5h://localhost:8002"]'
    run as user1 spunnelctl url "$job"
    same localhost:8001 "${lines[0]}"
    same socks5h://localhost:8002 "${lines[1]}"
    [[ ${lines[3]} == "ssh -L $(laptop user1 8001) -L $(laptop user1 8002) -L "*" user1@login" ]]
    as user1 spunnelctl close "$job" 8001:8000 --json |
        jq -e --argjson job "$job" '.closed[0] | .job == $job and .forwards == ["8001:8000"]'
    as user1 spunnelctl close "$job" --json | jq -e --argjson job "$job" '.closed[0].job == $job'
    as user1 spunnelctl clean --json | jq -e '.removed == []'
    run as user1 spunnelctl close "$job" --json
    same 1 "$status"
    [[ $output == "spunnelctl: no tunnel of job $job"* ]]
}

@test "url tells paths of sockets, and how they come to one's own computer" {
    serve s user1 -w n1 --tunnel /tmp/near-%j.sock:8000,R:9000:9001 -- 8000
    run as user1 spunnelctl url "$(job s)"
    same "unix:/tmp/near-$(job s).sock" "${lines[0]}"
    same "ssh -L 8000:/tmp/near-$(job s).sock user1@login" "${lines[1]}"
    same 2 "${#lines[@]}"
}

@test "login_host= names the host in the lines for one's own computer, as srun, sbatch, open and url print them" {
    local job line="user1@login.example.org"
    configure optional login_host=%h.example.org
    run as user1 sbatch --output /dev/null -w n1 --tunnel 8001:8000 --wrap 'sleep 600'
    holds "on your own computer: ssh -L $(laptop user1 8001) $line"
    job=$(sed -n 's/^Submitted batch job //p' <<<"$output")
    eventually runs "$job"
    run as user1 spunnelctl open --background "$job" 8002:8000
    holds "ssh -L $(laptop user1 8002) $line"
    run as user1 spunnelctl url "$job"
    holds "ssh -L $(laptop user1 8001) -L $(laptop user1 8002) $line"
    run as user1 srun -w n1 --tunnel 8003:8000 true
    holds "ssh -L $(laptop user1 8003) $line"
    configure optional login_host=-oProxyCommand=x
    run as user1 srun -w n1 --tunnel 8003:8000 true
    [[ $status != 0 ]]
    holds "malformed argument 'login_host=-oProxyCommand=x': write the name by which users log in to this host, as in login_host=%h.example.org"
}

# --- Jobs without a tunnel ---------------------------------------------------------------------

@test "spunnelctl alone lists the tunnels, and the jobs without one with what to type" {
    local job waits
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    job=$(hold user1 -w n2 -J train)
    waits=$(as user1 sbatch --parsable --hold -o /dev/null -J later --wrap true)
    run as user1 spunnelctl
    same 0 "$status"
    [[ ${lines[1]} == "$(job s)"*" 8001:8000 "*" up "* ]]
    same "your jobs without a tunnel on login:" "${lines[2]}"
    [[ ${lines[4]} == "$job "*"train "*"running "*"n2 "*"spunnelctl open $job :8000" ]]
    [[ ${lines[5]} == "$waits "*"later "*"pending "*"spunnelctl open $waits :8000 --wait" ]]
    same 6 "${#lines[@]}"
    same "train later" "$(as user1 spunnelctl status --json | jq -r '[.jobs[].name] | join(" ")')"
    as user1 spunnelctl open train 8002:8000 --background
    run as user1 spunnelctl
    lacks train
    run as user1 spunnelctl status train
    holds "localhost:8002 -> n2:8000"
    as user1 spunnelctl close train
    as user1 scancel "$waits"
}

@test "without an answer of Slurm's, status shows the tunnels in time and says so" {
    local began
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    kill -STOP "$(processes slurmctld | awk '{ print $2; exit }')"
    began=$SECONDS
    run as user1 spunnelctl status
    kill -CONT "$(processes slurmctld | awk '{ print $2; exit }')"
    same 0 "$status"
    ((SECONDS - began < 10))
    [[ ${lines[1]} == "$(job s)"*" up "* ]]
    holds "jobs without a tunnel are not known: Slurm has not answered within 2 seconds"
}

@test "a terminal of 80 columns breaks no line, and NO_COLOR takes the colours" {
    serve s user1 -w n1 --tunnel 8001:8000,8889:8888,8890:9000,8891:9001,8892:9002 -- 8000
    terminal <<'PY'
import re
for words, coloured in (([], True), (["NO_COLOR=1"], False)):
    t = Terminal("user1", "env", "TERM=xterm", *words, "sh", "-c", "stty cols 80; exec spunnelctl status")
    t.expect(pexpect.EOF)
    assert (chr(27) + "[32mup" in t.seen) == coloured, t.seen
    lines = re.sub(chr(27) + r"\[[0-9]*m", "", t.seen).replace("\r", "").splitlines()
    assert all(len(line) <= 80 for line in lines), lines
    for forward in "8001:8000", "8889:8888", "8890:9000", "8891:9001", "8892:9002":
        assert any(forward in line for line in lines), (forward, lines)
PY
}
