#!/usr/bin/env bats
# A login host whose logind kills at logout what a login leaves behind (KillUserProcesses=yes), with
# real systemd and real sessions. Commands by `as` do not belong to a login.

load ../system/helpers

EXCLUDED=$STATE/login/etc/systemd/logind.conf.d/z.conf

setup() {
    only_under logind
    configure optional
}

teardown() {
    under logind || return 0
    host login root rm -f /etc/systemd/spunnel/user@70001.service
    host login root systemctl daemon-reload
    host login root loginctl disable-linger user1
    # A tunnel ends by itself only some seconds after its job.
    as user1 spunnelctl close --all
    kills_all
    clean_up
}

# in_login COMMAND: logs user1 in to the login host, runs the command in this session, and logs out.
in_login() { host n1 user1 "${SSH_BY_HAND[@]}" -o BatchMode=yes login "$@"; }

# submit [SBATCH-ARGUMENT...]: runs sbatch in a login of its own; prints the job id. `output said`
# prints the rest of sbatch's output.
submit() {
    in_login sbatch --parsable --output /dev/null -w n1 --tunnel 8001:8000 "$@" \
        --wrap "'exec /home/tools/service.py 8000'" 2>"$BATS_TEST_TMPDIR/said"
}

# stay_in NAME: logs user1 in a second time and stays. leave NAME: logs out.
stay_in() {
    start_on n1 "$1" user1 "${SSH_BY_HAND[@]}" -o BatchMode=yes login 'echo in; exec sleep 600'
    eventually says "$1" in
}

leave() {
    kill -TERM "$(pid "$1")"
    finish "$1"
}

# leave_behind SECONDS: starts a process in a login that then ends. is_there and is_gone check that
# process.
leave_behind() {
    in_login "setsid sleep $1 </dev/null >/dev/null 2>&1 & until pgrep -xf 'sleep $1'; do :; done"
}

is_there() { host login root pgrep -xf "sleep $1"; }

is_gone() { ! is_there "$1"; }

# kills_all_but USERS: makes logind spare these users. kills_all: restores the policy, which spares
# no user.
kills_all_but() {
    printf '[Login]\nKillExcludeUsers=%s\n' "$1" >"$EXCLUDED"
    host login root systemctl restart systemd-logind
}

kills_all() {
    [[ -e $EXCLUDED ]] || return 0
    # Sessions must end first: a restarted logind counts them from 1 again, and would meet what is
    # left of the old ones.
    host login root pkill -u user1 || true
    eventually logged_out
    rm "$EXCLUDED"
    host login root systemctl restart systemd-logind
}

user_is() { same "$1" "$(host login root loginctl show-user user1 --property State --value)"; }

linger() { host login root loginctl "${2:-enable}-linger" "$1"; }

logged_out() { same "" "$(host login root loginctl --no-legend list-sessions)"; }

# unit_of STEP: the cgroup of a tunnel's keeper, as the host sees it.
unit_of() {
    as user1 sed -n 's/^0:://p' "/proc/$(counter "$1" keeper)/cgroup"
}

promise() {
    echo "spunnel: localhost:8001 -> port 8000 of job $1, while it runs"
    echo "spunnel: on your own computer: ssh -L $(laptop user1 8001) user1@login"
}

# warning JOB REASON: the line for a user whose tunnel ends with the login.
warning() {
    echo "spunnel: job $1 has its tunnel until you log out: login ends what you leave behind ($2 spunnelctl open $1 8001:8000 after your next login"
}

no_linger='logind, without linger): type loginctl enable-linger to keep it, or'

@test "logind: what a login leaves behind is killed, also where the user lingers" {
    linger user1
    leave_behind 601
    eventually logged_out
    eventually is_gone 601
}

@test "logind: the tunnel of a user who lingers outlives his logout without a word, and the next login" {
    local job
    linger user1
    job=$(submit)
    same "$(promise "$job")" "$(output said)"
    eventually logged_out
    eventually answers n1:8000 user1 8001 name
    run unit_of "$(whole "$job")"
    holds /user@70001.service/
    same "n1:8000" "$(in_login /home/tools/client.py 8001 name)"
    eventually logged_out
    answers n1:8000 user1 8001 name
    as root scontrol requeue "$job"
    eventually counts "$(whole "$job")" state waiting
    eventually starts_anew "$job" n2
    eventually answers n2:8000 user1 8001 name
    as root scancel "$job"
    within 12 nothing_left
}

@test "logind: a parent that had SIGCHLD ignored: what logind says is heard all the same" {
    local job
    linger user1
    job=$(in_login env --ignore-signal=CHLD sbatch --parsable --output /dev/null -w n1 --tunnel 8001:8000 \
        --wrap "'exec /home/tools/service.py 8000'" 2>"$BATS_TEST_TMPDIR/said")
    same "$(promise "$job")" "$(output said)"
    eventually logged_out
    eventually answers n1:8000 user1 8001 name
    run unit_of "$(whole "$job")"
    holds /user@70001.service/
    as root scancel "$job"
    within 12 nothing_left
}

@test "logind: without linger the tunnel ends with the last login, which is said; the job goes on" {
    local job
    stay_in other
    job=$(submit)
    same "$(promise "$job")"$'\n'"$(warning "$job" "$no_linger")" "$(output said)"
    # The user's service manager serves all logins of the user.
    eventually answers n1:8000 user1 8001 name
    leave other
    within 10 nothing_left
    runs "$job"
    # The next lines follow the advice of that warning.
    stay_in next
    run in_login spunnelctl open "$job" 8001:8000 --background
    same 0 "$status"
    holds "$(warning "$job" "$no_linger")"
    answers n1:8000 user1 8001 name
    leave next
    within 10 nothing_left
    runs "$job"
}

@test "logind: linger that is turned on afterwards, by the user, keeps the tunnel" {
    local job
    stay_in other
    job=$(submit)
    in_login loginctl enable-linger
    leave other
    eventually logged_out
    # Otherwise the user would be closing, and gone after UserStopDelaySec.
    user_is lingering
    eventually answers n1:8000 user1 8001 name
}

@test "logind: a site without service managers for users: it is said, with what to do" {
    local job
    host login root ln -s /dev/null /etc/systemd/spunnel/user@70001.service
    host login root systemctl daemon-reload
    job=$(submit --hold)
    run output said
    holds "$(promise "$job")"
    holds "spunnel: job $job has its tunnel until you log out: login ends what you leave behind (logind's KillUserProcesses), and your service manager cannot keep it ("
    holds "): type spunnelctl open $job 8001:8000 after your next login"
    within 5 nothing_left
}

@test "logind: a service manager that hangs holds sbatch up for seconds alone" {
    local job manager
    stay_in other
    manager=$(processes systemd | awk '/--user/ { print $2 }')
    kill -STOP "$manager"
    job=$(submit --hold)
    kill -CONT "$manager"
    run output said
    holds "and your service manager cannot keep it (it does not answer): type spunnelctl open $job"
    leave other
}

@test "logind: whoever is excluded from it keeps his tunnel as anywhere" {
    local job
    kills_all_but "user2 user1"
    job=$(submit)
    same "$(promise "$job")" "$(output said)"
    run unit_of "$(whole "$job")"
    holds /session-
    leave_behind 602
    # All logins of user1 have ended, and logind waits for their remaining processes.
    eventually user_is closing
    eventually answers n1:8000 user1 8001 name
    # The counterpart of the first test: this process is spared.
    is_there 602
}

@test "logind: open --background, also of what was opened without" {
    local job
    linger user1
    job=$(hold user1 -w n1)
    run in_login spunnelctl open "$job" 8001:8000 --background
    same 0 "$status"
    lacks "until you log out"
    eventually logged_out
    run unit_of "$(whole "$job")"
    holds /user@70001.service/
    as user1 spunnelctl close "$job"
    start_on n1 held user1 "${SSH_BY_HAND[@]}" -o BatchMode=yes login "exec spunnelctl open $job 8002:8000"
    eventually says held 8002
    run in_login spunnelctl open "$job" 8001:8000 --background
    same 0 "$status"
    lacks "until you log out"
    leave held
    eventually logged_out
    within 5 frees 8002
    counts "$(whole "$job")" state up
}

@test "logind: without systemd's commands everything is as on a host without systemd" {
    local job
    job=$(in_login env PATH=/nowhere /usr/bin/sbatch --parsable --hold --output /dev/null \
        --tunnel 8001:8000 --wrap true 2>"$BATS_TEST_TMPDIR/said")
    same "$(promise "$job")" "$(output said)"
}

@test "logind: an srun's tunnel is left in its login, with which it ends anyway" {
    start_on n1 s user1 "${SSH_BY_HAND[@]}" -o BatchMode=yes login \
        exec srun -w n1 --tunnel 8001:8000 /home/tools/service.py 8000
    eventually says s serving
    run unit_of "$(step s)"
    holds /session-
    answers n1:8000 user1 8001 name
    leave s
    within 10 nothing_left
}

# spied COMMAND...: sets SPIED to words that run the command where systemd's commands log their
# calls in /tmp/spy/asked.
spied() {
    local name
    as user1 mkdir -p /tmp/spy
    for name in busctl systemctl systemd-run; do
        printf '#!/bin/sh\necho %s >>/tmp/spy/asked\nexec /usr/bin/%s "$@"\n' "$name" "$name" |
            as user1 sh -c "cat >/tmp/spy/$name && chmod 755 /tmp/spy/$name"
    done
    SPIED=(env PATH="/tmp/spy:$PREFIX/bin:/usr/bin:/bin" "$@")
}

@test "logind: nobody but sbatch in a login asks systemd anything" {
    spied sbatch --hold --output /dev/null --tunnel 8001:8000 --wrap true
    as user1 "${SPIED[@]}"
    as user1 test ! -e /tmp/spy/asked
    spied srun -w n1 --tunnel 8002:8000 true
    in_login "${SPIED[@]}"
    as user1 test ! -e /tmp/spy/asked
    spied sbatch --hold --output /dev/null --tunnel 8003:8000 --wrap true
    in_login "${SPIED[@]}"
    same "busctl systemctl busctl systemd-run" "$(as user1 cat /tmp/spy/asked | xargs)"
    as user1 rm -r /tmp/spy
}
