#!/usr/bin/env bats
# Each example of wq's README as it is printed there, on a Slurm that wq serve brings up without root over the
# hosts that user1 may log in to. The README's eleven hosts are names of n1 and n2.
# What stands in single quotes is for the jobs.
# shellcheck disable=SC2016

load helpers
bats_require_minimum_version 1.5.0

# The hosts of the README's `wq stat`.
description() {
    cat <<'DESC'
# host    cores  GB groups
astro0001 12     32 gen4,gen45
astro0004 12     32 gen4,gen45
astro0010 12     48 gen5,gen45
astro0011 12     48 gen5,gen45
astro0016 4      8  gen1,slow
astro0017 4      8  gen2,slow
astro0018 4      8  gen2,slow
astro0020 4      8  gen2,slow
astro0031 8      32 gen3
astro0032 8      32 gen3
astro0033 8      32 gen3
DESC
}

setup_file() {
    cat >"$STATE/home/user1/.ssh/config" <<'CONFIG'
Host astro0001 astro0010 astro0016 astro0018 astro0031
    HostName n1
Host astro0004 astro0011 astro0017 astro0020 astro0032 astro0033
    HostName n2
CONFIG
    description >"$STATE/home/user1/cluster_description"
    as user1 mkdir -p bin
    # What the README calls so.
    for name in commands script some_command mycommand; do
        printf '#!/bin/sh\necho "%s ran, $SLURM_JOB_NUM_NODES nodes: $SLURM_JOB_NODELIST"\n' "$name" >"$STATE/home/user1/bin/$name"
    done
    chmod 755 "$STATE"/home/user1/bin/*
    as user1 wq serve cluster_description
}

teardown_file() {
    as user1 spunnelctl cluster down --now --name wq
    as user1 sh -c 'rm -rf bin cluster_description .ssh/config .local *.wqlog *.wqerr job_file nohup.out'
    rm -rf "/proc/$(host_init login)/root/tmp/spunnel-clusters-"*
    # Nothing is left on the other hosts.
    within 10 no_daemons_of_user1
    for host in n1 n2; do
        [[ -z $(compgen -G "/proc/$(host_init "$host")/root/tmp/spunnel-*") ]]
    done
}

no_daemons_of_user1() {
    [[ -z $(processes munged slurmctld slurmd slurmstepd | awk '$3 >= 70000') ]]
}

teardown() {
    local name
    for name in "${!STARTED[@]}"; do kill -TERM "$(pid "$name")" 2>/dev/null || true; done
    wq rm all
    within 30 empty
    as user1 sh -c 'rm -f job_file *.wqlog *.wqerr'
}

empty() { [[ $(wq ls) == *"Running: 0 Waiting: 0" ]]; }

wq() { as user1 wq "$@"; }

# printed LINE: runs a line of the README in user1's shell, as `run` does.
printed() { run as user1 bash -c "PATH=\$HOME/bin:\$PATH; $1"; }

job_file() { as user1 sh -c 'cat >job_file'; }

# exits STATUS [TEXT]: so the last line ended, with this text in its output.
exits() {
    same "$1" "$status"
    holds "${2:-}"
}

@test "wq sub job_file; wq sub -c \"commands\"; -r \"requirements\" before both" {
    job_file <<<'command: script'
    printed 'wq sub job_file'
    exits 0 "script ran, 1 nodes: astro0001"
    holds $'script\n'
    holds "executing on host astro0001"
    printed 'wq sub -c "commands"'
    exits 0 "commands ran, 1 nodes: astro0001"
    # The word stands for some.
    printed 'wq sub -r "requirements" job_file'
    exits 2 "read --require"
    printed 'wq sub -r "group: gen3" job_file'
    exits 0 "script ran, 1 nodes: astro0031"
    printed 'wq sub -r "group: gen3" -c "commands"'
    exits 0 "commands ran, 1 nodes: astro0031"
}

@test "nohup wq sub job_file > jobfile.wqlog 2> jobfile.wqerr &" {
    job_file <<<'command: script'
    printed 'nohup wq sub job_file > jobfile.wqlog 2> jobfile.wqerr & wait'
    exits 0
    run as user1 cat jobfile.wqlog
    same $'script\nscript ran, 1 nodes: astro0001' "$output"
    run as user1 cat jobfile.wqerr
    holds "executing on host astro0001"
    printed 'nohup wq sub job_file &> jobfile.wqlog & wait'
    exits 0
    run as user1 cat jobfile.wqlog
    holds "script ran"
}

@test "wq sub -c bash: a shell on a worker node, with the terminal" {
    terminal <<'PY'
t = Terminal("user1", "wq", "sub", "-c", "bash").shell()
assert t.ask("echo $((40 + 2)) $SLURMD_NODENAME") == ["42 astro0001"], t.seen
assert t.ask("tty")[0].startswith("/dev/"), t.seen
t.sendline("exit 7")
t.expect(pexpect.EOF)
t.wait()
assert t.exitstatus == 7, t.seen
PY
    # There is no display here; the display is asked for.
    printed 'wq sub -r "X:1" -c bash'
    [[ $status != 0 ]]
    holds "DISPLAY"
}

@test "job files: N: 3, group: [gen1, gen3], and the notation of notes" {
    job_file <<<$'command: script\nN: 3'
    printed 'wq sub job_file'
    exits 0 "script ran, 1 nodes: astro0001"
    same 1 "$(grep -c 'script ran' <<<"$output")"
    job_file <<<$'command: script\ngroup: [gen1, gen3]'
    printed 'wq sub job_file'
    exits 0 "script ran, 1 nodes: astro0016"
    job_file <<<$'command: script\ngroup:\n    - gen1\n    - gen2'
    printed 'wq sub job_file'
    exits 0 "script ran, 1 nodes: astro0016"
    printed 'wq sub -c script'
    exits 0 "script ran"
}

@test "wq sub -r \"mode: bynode; N: 5\" -c some_command: once, with five whole nodes" {
    printed 'wq sub -r "mode: bynode; N: 5" -c some_command'
    exits 0 "some_command ran, 5 nodes: astro[0001,0004,0010-0011,0016]"
    same 1 "$(grep -c 'some_command ran' <<<"$output")"
}

@test "the full, commented example: no such five nodes here, and what it takes instead" {
    job_file <<'YAML'
# this is the command to be run.
command: mycommand

# this is the type of node/host selection. bynode means select entire nodes.
mode: bynode

# Since the mode is bynode, this means 5 full nodes
N: 5

# Select from this group(s)
group: gen1

# Do not select from this set of groups
notgroup: [slow,crappy]

# require at least this many cores
min_cores: 8
YAML
    printed 'wq sub job_file'
    exits 1 "not available"
    printed 'wq sub -r "N: 3; group: gen3" job_file'
    exits 0 "mycommand ran, 3 nodes: astro[0031-0033]"
    printed 'wq sub -r "mode: bygroup; group: gen5; notgroup: slow" -c mycommand'
    exits 0 "mycommand ran, 2 nodes: astro[0010-0011]"
}

@test "wq stat: the README's bars, hosts, memory and groups" {
    local host number
    while read -r host number; do
        job_file <<<"{command: sleep 600, mode: byhost, host: $host, N: $number}"
        wq sub -b job_file
    done <<'JOBS'
astro0001 12
astro0004 12
astro0010 8
astro0017 1
astro0031 8
astro0032 4
JOBS
    within 20 all_run 6
    printed 'wq stat'
    same "
usage           host      mem groups    
[************]  astro0001  32 gen4,gen45
[************]  astro0004  32 gen4,gen45
[********....]  astro0010  48 gen5,gen45
[............]  astro0011  48 gen5,gen45
[....]          astro0016   8 gen1,slow 
[*...]          astro0017   8 gen2,slow 
[....]          astro0018   8 gen2,slow 
[....]          astro0020   8 gen2,slow 
[********]      astro0031  32 gen3      
[****....]      astro0032  32 gen3      
[........]      astro0033  32 gen3      

Used cores: 45/88 (51.1%)" "$output"
}

all_run() { [[ $(wq ls) == *"Running: $1 Waiting: 0" ]]; }

@test "wq ls, wq ls -f, wq ls -u username --full, wq refresh, wq rm pid, wq rm all" {
    local first second
    job_file <<<$'command: sleep 600\njob_name: source\nN: 16'
    first=$(wq sub -b job_file)
    job_file <<<$'command: sleep 600\nmode: bynode\nN: 11'
    second=$(wq sub -b job_file)
    within 20 one_runs
    printed 'wq ls'
    [[ ${lines[0]} =~ ^" Pid User  Status Priority Ncores Nhosts Command t_in "+"t_run "*$ ]]
    [[ ${lines[1]} =~ ^" $first "+"user1 R      med      16     2      source  "[0-9dhms]+" "+[0-9dhms]+" "*$ ]]
    [[ ${lines[2]} =~ ^" $second "+"user1 W      med      -      -      sleep   "[0-9dhms]+" "+"- "*$ ]]
    same " Jobs: Running: 1 Waiting: 1" "${lines[3]}"
    printed 'wq ls -f'
    exits 0 "astro[0001,0004]"
    printed 'wq ls -u user1 --full'
    exits 0 "astro[0001,0004]"
    # The word stands for one.
    printed 'wq ls -u username --full'
    exits 1 "username"
    printed 'wq refresh'
    exits 0
    printed 'wq rm pid'
    exits 2 "'pid' is no job"
    printed "wq rm $first"
    exits 0
    within 20 one_runs
    printed 'wq ls'
    lacks " $first "
    printed 'wq rm all'
    exits 0
    within 20 empty
}

one_runs() { [[ $(wq ls) == *"Running: 1 Waiting: "* ]]; }

@test "wq serve: a second server by its port; what is wrong in a description is told with its line" {
    local bad
    printed 'wq -p 51094 ls'
    exits 1 "type wq serve -p 51094 DESC"
    as user1 sh -c 'echo "n1 2 1 quick" >other'
    printed 'wq serve other -p 51094'
    exits 0 "wq serves 1 node, 2 cores"
    printed 'wq -p 51094 sub -c "hostname; echo \$SLURMD_NODENAME"'
    exits 0 $'n1\nn1'
    printed 'wq -p 51094 stat'
    holds "[..]   n1     1 quick"
    as user1 spunnelctl cluster down --name wq-51094
    while IFS='|' read -r line bad; do
        as user1 sh -c 'cat >other' <<<"n2 2 1"$'\n'"$line"
        printed 'wq serve other -p 51095'
        exits 2 "$bad"
    done <<'LINES'
n1 two 1|line 2: cores 'two': write a whole number
n1 2|line 2 'n1 2': write host, cores, GB of memory and groups
n1 2 much|line 2: memory 'much'
-oProxyCommand=x 2 1|line 2 '-oProxyCommand=x': write the name of a host
n1 2 1 a;b|line 2: group 'a;b'
n2 2 1|line 2 'n2': write each host once
LINES
    as user1 sh -c 'echo "nowhere 2 1" >other'
    printed 'wq serve other -p 51095'
    exits 1 "host nowhere: ssh: Could not resolve hostname nowhere"
    holds "does ssh nowhere true work without a password?"
    as user1 rm other
}

@test "wq serve: a slurmd that died is started again; another user's folder is refused" {
    local folder
    processes slurmd | awk '$3 >= 70000 && /astro0031/ { print $2 }' | xargs kill -KILL
    printed 'wq serve cluster_description'
    exits 0 "wq serves already: 11 nodes, 88 cores"
    within 60 takes_jobs
    folder=/tmp/spunnel-clusters-$(as user2 id -u)
    host n1 user1 mkdir -p "$folder"
    as user2 sh -c 'echo "n1 2 1" >other'
    run as user2 wq serve other
    exits 1 "'$folder' is another user's"
    host n1 user1 rmdir "$folder"
    as user2 rm -rf other .local
}

takes_jobs() { [[ $(wq sub -r 'mode: byhost; host: astro0031' -c 'echo $((6 * 7))' 2>/dev/null) == *42 ]]; }
