# What the tests of sessions that are seen in a browser share.
# shellcheck shell=bash
# shellcheck disable=SC2154 # set by run

# Where Tools/setup puts what no Debian package has.
JUPYTER=/opt/spunnel-jupyter/bin

# picture_teardown: nothing of a session is left on the nodes, and no browser.
picture_teardown() {
    local browsers
    service login slurmctld start >/dev/null 2>&1 || true
    browsers=$(processes chromium | awk '{ print $2 }')
    [[ -z $browsers ]] || xargs kill -KILL <<<"$browsers" 2>/dev/null || true
    rm -rf "/proc/$(host_init login)/root/tmp"/browser-*
    clean_up || return
    eventually pictures_are_gone
    rm -rf "$STATE/home/user1"/{.jupyter,.local,.ipython,.cache,.config,.dbus,.xpra,notes,*.ipynb,*.out}
}

# picture_parts: what such sessions have on the nodes: processes, directories, and X's files.
picture_parts() {
    local host init
    processes spunnel-session jupyter-lab Xvnc Xtigervnc Xvfb xpra openbox xterm dbus-daemon python3 |
        awk '$3 != 0 { print "process", $0 }'
    for host in n1 n2; do
        init=$(host_init "$host")
        find "/proc/$init/root/tmp" "/proc/$init/root/dev/shm" -mindepth 1 -maxdepth 2 \
            \( -name 'spunnel-*' -o -name '.X*-lock' -o -path '*/.X11-unix/X*' \) 2>/dev/null |
            sed "s/^/file $host /"
    done
}

pictures_are_gone() {
    local found
    found=$(picture_parts)
    [[ -z $found ]] || {
        echo "left behind: $found"
        return 1
    }
}

# begin WORD...: a session that runs and is not attached; prints its job.
begin() {
    local job
    job=$(as user1 env PATH="$JUPYTER:$PREFIX/bin:/usr/bin:/bin" spunnelctl session start --detach "$@" 2>/dev/null)
    eventually runs "$job" >&2
    echo "$job"
}

# url JOB: a new address of a session.
url() { as user1 spunnelctl session url "$1" 2>/dev/null; }

# port JOB: of the login host, that leads to the session.
port() { url "$1" | sed 's,.*localhost:\([0-9]*\)/.*,\1,'; }

# on_page: runs the Python text of its standard input with browsers, see browser.py. SPUNNEL_PICTURES names a
# folder for pictures that docs/ shows.
on_page() {
    { printf '%s\n' "from browser import *" "from terminal import *"; cat; } |
        PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$TESTS timeout 150 /usr/bin/python3 - 3>&- 4>&-
}

# secrets: those that a session has on n1, a line each.
secrets() {
    local file
    for file in key password gate jupyter/jupyter_server_config.json; do
        host n1 user1 sh -c 'cat /tmp/spunnel-session-*/'"$file" 2>/dev/null || true
    done | grep -oE '[0-9a-f]{32}|^[A-Za-z0-9_-]{8}$' | sort -u
}

# no_secret_shows: is none of the session's secrets in a command line, a job's record or Slurm's logs?
no_secret_shows() {
    local secret found lines
    # Read before any command has a secret as its argument.
    lines=$(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ')
    for secret in $(secrets); do
        found=$([[ $lines != *"$secret"* ]] || echo "a command line")
        found+=$(as root sh -c 'scontrol show job; squeue -o %all' | grep -F -- "$secret" || true)
        found+=$(grep -rlF -- "$secret" "$STATE"/*/log || true)
        [[ -z $found ]] || {
            echo "a secret shows: $found"
            return 1
        }
    done
    [[ -n $(secrets) ]]
}

# strangers_stay_out JOB: user2 on both hosts reads nothing, and neither the port nor a socket serves it.
strangers_stay_out() {
    local port
    port=$(port "$1")
    run as user2 curl -s -m 5 "http://localhost:$port/spunnel/"
    [[ $status != 0 && -z $output ]]
    run as user1 curl -s -m 5 "http://localhost:$port/spunnel/"
    holds "Opening the session"
    # shellcheck disable=SC2016 # expanded there
    run host n1 user2 sh -c 'ls /tmp/spunnel-session-*/; for file in web vnc xpra.sock jupyter.sock; do
        curl -s -m 5 --unix-socket "$(echo /tmp/spunnel-session-*)/$file" http://localhost/ && echo ANSWERED; done'
    holds "Permission denied"
    lacks ANSWERED
}
