#!/usr/bin/env bats
# One address that works: the same port at both ends, the submit end for the tasks, and spunnelctl url.

load helpers

teardown() {
    rm -rf "$STATE/home/user1/.local" "$STATE/home/tools/browser" "$STATE/home/user1/opened"
    clean_up
}

url() { run as user1 spunnelctl url "$@"; }

# shellcheck disable=SC2016 # expanded in the job
TELLS='echo "$SPUNNEL_PORT $SPUNNEL_PORT_1 $SPUNNEL_LOCAL_PORT $SPUNNEL_LOCAL_PORT_1 $SPUNNEL_URL"
    exec /home/tools/service.py "$SPUNNEL_PORT"'

# --- Both ends ---------------------------------------------------------------------------------

@test "auto: the program's own address is right on the login host as well" {
    local port
    start s user1 srun -w n1 --tunnel :auto bash -c "$TELLS"
    eventually says s serving
    port=$(told s 'n1:[0-9]*')
    says s "spunnel: localhost:$port -> n1:$port"
    says s "$port $port $port $port http://localhost:$port/"
    same 0 "$(grep -c 'is in use' <(output s))"
    answers "n1:$port" user1 "$port" name
}

@test "auto: where the node has the port in use, the tasks know the submit end and a line says it" {
    take other n1 8001
    start s user1 srun --overlap -w n1 --tunnel 8001:auto bash -c "$TELLS"
    eventually says s serving
    read -r port _ < <(grep -E '^[0-9]+ [0-9]+ 8001 8001 http://localhost:8001/$' <(output s))
    [[ $port != 8001 ]]
    says s "spunnel: localhost:8001 -> n1:$port"
    says s "spunnel: port 8001 is in use on n1, so the program has port $port there: where it says $port, write 8001; tasks know it as \$SPUNNEL_LOCAL_PORT and \$SPUNNEL_URL"
    answers "n1:$port" user1 8001 name
}

@test "auto: a port that is free on one address of the node alone is not taken" {
    not_under ipv4 "a second loopback address"
    start other user1 srun -w n1 /home/tools/service.py '[::1]:8001'
    eventually says other serving
    start s user1 srun --overlap -w n1 --tunnel 8001:auto bash -c "$TELLS"
    eventually says s serving
    says s "port 8001 is in use on n1"
}

@test "tasks know the submit end of a port of their own choice" {
    # shellcheck disable=SC2016 # expanded in the job
    start s user1 srun -w n1 --tunnel :8000 sh -c 'echo "$SPUNNEL_LOCAL_PORT $SPUNNEL_URL ${SPUNNEL_PORT-none}"'
    finish s
    same 0 "$status"
    port=$(told s n1:8000)
    says s "$port http://localhost:$port/ none"
}

@test "sbatch tells how to get there from one's own computer, as srun does" {
    local job
    job=$(as user1 sbatch --parsable --hold -o /dev/null --tunnel 8001:8000,D:8002 --wrap true \
        2>"$BATS_TEST_TMPDIR/said")
    same "spunnel: localhost:8001 -> port 8000 of job $job, while it runs
spunnel: localhost:8002 -> SOCKS, through job $job, while it runs
spunnel: on your own computer: ssh -L $(laptop user1 8001) -L $(laptop user1 8002) user1@login" "$(output said)"
    as user1 scancel "$job"
}

# --- url ---------------------------------------------------------------------------------------

@test "url needs no job where one has a tunnel, and names the jobs where several have" {
    url
    same 1 "$status"
    holds "url: no tunnels of user1 on login: spunnelctl status lists your jobs, with what opens one"
    serve one user1 -w n1 -J first --tunnel 8001:8000 -- 8000
    url
    same localhost:8001 "${lines[0]}"
    serve two user1 -w n2 -J second --tunnel 8002:8000 -- 8000
    url
    same 1 "$status"
    same "spunnelctl: url: the jobs $(job one), $(job two) have tunnels: name one, as in spunnelctl url $(job one)" "$output"
    url second
    same localhost:8002 "${lines[0]}"
    url first.0
    same localhost:8001 "${lines[0]}"
}

@test "url answers while the job waits" {
    local job
    job=$(as user1 sbatch --parsable --hold -o /dev/null --tunnel 8001:8000,/tmp/near-%j.sock:8080 \
        --wrap 'exec /home/tools/service.py 8000')
    url "$job"
    same 0 "$status"
    same localhost:8001 "${lines[0]}"
    same "unix:/tmp/near-$job.sock" "${lines[1]}"
    same "ssh -L $(laptop user1 8001) -L 8080:/tmp/near-$job.sock user1@login" "${lines[2]}"
    same "spunnelctl: job $job has not started: nothing answers there before it runs" "${lines[3]}"
    as user1 spunnelctl url "$job" --json |
        jq -e '.tunnels[0] | .state == "waiting" and .forwards[0].address == "localhost:8001"'
    as root scontrol release "$job"
    eventually answers n1:8000 user1 8001 name
    url "$job"
    same 3 "${#lines[@]}"
}

@test "a job's name that several jobs have is an error with the candidates" {
    local one two
    one=$(hold user1 -w n1 -J twin)
    two=$(as user1 sbatch --parsable --hold -o /dev/null -J twin --wrap true)
    run as user1 spunnelctl open twin 8001:8000 --background
    same 1 "$status"
    same "spunnelctl: open: several jobs of yours are named 'twin': $one (running on n1), $two (pending): write the number" "$output"
    as user1 spunnelctl open "$one" 8001:8000 --background
    # One of them has a tunnel here, and can be meant alone.
    url twin
    same localhost:8001 "${lines[0]}"
    run as user1 spunnelctl close twin
    same 0 "$status"
    run as user1 spunnelctl url twn
    same 1 "$status"
    same "spunnelctl: url: no job of yours is named 'twn': did you mean 'twin'?" "$output"
    as user1 scancel "$two"
}

@test "url --path, and --open in a browser of the user's" {
    as user1 mkdir -p web/lab
    as user1 sh -c 'echo "<p>the page of the lab</p>" >web/lab/index.html'
    start_web
    url --path /lab/
    same http://localhost:8001/lab/ "${lines[0]}"
    url --path lab
    same 2 "$status"
    holds "a path from its slash on"
    url --open
    same 1 "$status"
    holds "url --open: no browser here, as BROWSER names none and there is no display: type 'ssh -L $(laptop user1 8001) user1@login' on your own computer, and open http://localhost:8001/ there"
    # A real browser, which writes what it sees.
    # shellcheck disable=SC2016 # expanded there
    printf '%s\n' '#!/bin/sh' \
        'exec chromium --headless=new --no-sandbox --disable-gpu --user-data-dir=$HOME/.local/chromium --dump-dom "$@" >$HOME/opened 2>/dev/null' \
        >"$STATE/home/tools/browser"
    chmod 755 "$STATE/home/tools/browser"
    run as user1 env BROWSER=/home/tools/browser spunnelctl url --path /lab/ --open
    same 0 "$status"
    grep "the page of the lab" "$STATE/home/user1/opened"
    as user1 rm -r web
}

start_web() {
    start s user1 srun -w n1 --tunnel 8001:8000 python3 -m http.server --directory web 8000
    eventually as user1 curl -sf -o /dev/null localhost:8001
}

@test "a Jupyter server's token stands beside its address" {
    local token
    # shellcheck disable=SC2016 # expanded in the job
    start s user1 srun -w n1 --tunnel :auto sh -c '
        exec jupyter-server --no-browser --port "$SPUNNEL_PORT" --ServerApp.base_url=/me/'
    within 60 as user1 sh -c 'cat .local/share/jupyter/runtime/jpserver-*.json'
    token=$(jq -r .token "$STATE"/home/user1/.local/share/jupyter/runtime/jpserver-*.json)
    port=$(told s 'n1:[0-9]*')
    url
    same "http://localhost:$port/me/" "${lines[0]}"
    same "token $token" "${lines[1]}"
    same "$token" "$(as user1 spunnelctl url --json | jq -r '.tunnels[0].forwards[0].token')"
    eventually as user1 curl -sf -H "Authorization: token $token" "http://localhost:$port/me/api/status"
    # Its own address is right on this host, as it stands.
    eventually says s "http://localhost:$port/me/?token=$token"
    as user1 curl -sf -o /dev/null "http://localhost:$port/me/api/status?token=$token"
}
