#!/usr/bin/env bats
# What the plugin itself does with --tunnel in sbatch and with SPUNNEL_TUNNEL in srun, and what it says
# when it cannot go on: a core that says what it is asked stands for the real one.

load helpers

setup_file() {
    plugin plugin
    plugin other -Dspunnel_open=spunnel_opens
}

# plugin FOLDER GCC-ARGUMENT...: beside a core that is compiled so.
plugin() {
    local folder=$STATE/home/tools/$1
    mkdir -p "$folder"
    gcc -std=gnu11 -Wall -Wextra -Werror -Wno-unknown-pragmas -shared -fPIC "${@:2}" \
        -I"$TESTS/../../Sources/SpunnelInterface/include" -o "$folder/libSpunnel.so" \
        "$TESTS/fake_core.c"
    cp "$PLUGIN" "$folder/spunnel.so"
}

teardown_file() { rm -rf "$STATE/home/tools/"{plugin,other}; }

setup() { "$CLUSTER/plugstack" "required /home/tools/plugin/spunnel.so"; }

teardown() {
    rm -f "$STATE/home/user1/"{batch.sh,batch.out,go}
    configure optional
    clean_up
}

# submits SBATCH-ARGUMENT...: from a session of its own, with output and status as of `run`.
submits() { run as user1 setsid --wait sbatch --output /dev/null "$@"; }

# calls LINE...: the core was asked exactly this, in this order.
calls() {
    same "$(printf '%s\n' "$@")" "$(sed -n 's/^.*core: //p' <<<"$output")"
}

# says_once TEXT: in one line of the plugin's own.
says_once() {
    holds "spunnel: no tunnel: $1"
    same 1 "$(grep -c 'spunnel: ' <<<"$output")"
}

submitted() { sed -n 's/^Submitted batch job //p' <<<"$output"; }

@test "sbatch hands the job that it has submitted to the core, and gives nothing up" {
    hold user1
    submits --tunnel 8001:8000 --wrap 'sleep 600'
    same 0 "$status"
    calls "claim 8001:8000 submitted" "follow $(submitted)"
    same 1 "$(grep -c follow <<<"$output")"
    # shellcheck disable=SC2016 # expanded there
    run as user1 setsid --wait sh -c '
        for i in 1 2 3; do sbatch --output /dev/null --tunnel 8001:8000 --wrap true; done'
    calls "claim 8001:8000 submitted" "follow $(submitted | sed -n 1p)" \
        "claim 8001:8000 submitted" "follow $(submitted | sed -n 2p)" \
        "claim 8001:8000 submitted" "follow $(submitted | sed -n 3p)"
}

@test "sbatch --parsable prints what it printed" {
    same "$(next_job)" "$(as user1 sbatch --parsable --output /dev/null --tunnel 8001:8000 \
        --wrap 'sleep 600' 2>/dev/null)"
}

@test "a line of the script is an option, and the command line comes before it" {
    printf '%s\n' '#!/bin/sh' '#SBATCH --tunnel=8001:8000' 'sleep 600' | as user1 tee batch.sh
    submits batch.sh
    calls "claim 8001:8000 submitted" "follow $(submitted)"
    submits --tunnel 9001:8000 batch.sh
    # The script's port need not be free for that.
    calls "check 8001:8000" "claim 9001:8000 submitted" "follow $(submitted)"
    # What the script itself is given is no option of sbatch's.
    submits batch.sh --tunnel 9001:8000
    calls "check 8001:8000" "claim 8001:8000 submitted" "follow $(submitted)"
}

@test "of a heterogeneous job the first component is followed" {
    # Slurm calls for each component; for one that has no option it replays the first one's.
    submits --tunnel 8001:8000 -n1 : -n1 --wrap 'sleep 600'
    calls "claim 8001:8000 submitted" "follow $(submitted)"
    submits --tunnel 8001:8000 -n1 : --tunnel 8001:8000 -n1 --wrap 'sleep 600'
    holds "core: follow $(submitted)"
    lacks close
}

@test "what is wrong with the spec ends sbatch before anything is queued" {
    local before
    before=$(next_job)
    submits --tunnel bad --wrap true
    [[ $status != 0 ]]
    calls "claim bad submitted"
    same "$before" "$(next_job)"
}

@test "an sbatch that submits nothing gives the ports up" {
    submits --tunnel 8001:8000 --partition none --wrap true
    [[ $status != 0 ]]
    calls "claim 8001:8000 submitted" close
    lacks "spunnel: "
    submits --tunnel 8001:8000 --test-only --wrap true
    same 0 "$status"
    calls "claim 8001:8000 submitted" close
    says_once "sbatch has told no job's number"
}

@test "--quiet is refused before anything is queued: sbatch would not tell the number" {
    local before
    before=$(next_job)
    submits --quiet --tunnel 8001:8000 --wrap true
    [[ $status != 0 ]]
    # Under --quiet the core says errors alone.
    calls close
    holds "with --quiet sbatch does not tell its job's number, which the tunnel needs: leave --quiet out"
    same "$before" "$(next_job)"
}

@test "a wrapper that calls the real sbatch by another name: the job has its tunnel" {
    cp "$(slurm_program sbatch)" "$STATE/home/tools/plugin/real"
    run as user1 /home/tools/plugin/real --output /dev/null --tunnel 8001:8000 --wrap 'sleep 600'
    same 0 "$status"
    calls "claim 8001:8000 submitted" "follow $(submitted)"
}

@test "a wrapper that calls the real salloc by another name: its srun has the tunnel" {
    cp "$(slurm_program salloc)" "$STATE/home/tools/plugin/real"
    run as user1 /home/tools/plugin/real -w n1 --tunnel 9001:8000 srun true
    calls "check 9001:8000" "claim 9001:8000 inherited" "open n1" close
}

@test "a program that is neither sbatch nor salloc is told, and asks the core for nothing" {
    gcc -rdynamic -o "$STATE/home/tools/plugin/stranger" "$TESTS/allocator.c" -ldl
    run as user1 /home/tools/plugin/stranger /home/tools/plugin/spunnel.so 8001:8000
    same 1 "$status"
    same "spunnel: --tunnel: 'stranger' is neither sbatch nor salloc, as far as can be seen: give --tunnel to one of these, or to srun" "$output"
}

@test "a line of scrontab with --tunnel is told how its job gets one" {
    gcc -rdynamic -DSCRONTAB -o "$STATE/home/tools/plugin/scrontab" "$TESTS/allocator.c" -ldl
    run as user1 /home/tools/plugin/scrontab /home/tools/plugin/spunnel.so 8001:8000
    same 1 "$status"
    [[ $output == *"scrontab"*"spunnelctl open JOB SPEC when the job runs" ]]
}

@test "salloc --no-shell says what to type for a tunnel" {
    run as user1 salloc --no-shell -w n1 --tunnel 8001:8000
    same 0 "$status"
    holds "spunnel: salloc --no-shell starts no srun, so there is no tunnel yet: type spunnelctl open JOB SPEC"
    run as user1 salloc -w n1 --tunnel 8001:8000 true
    lacks "no-shell"
}

@test "what sbatch prints is what it prints without a tunnel, byte by byte" {
    as user1 sh -c 'sbatch --output /dev/null --tunnel 8001:8000 --wrap true 2>/dev/null >answer.out'
    [[ $(cat "$STATE/home/user1/answer.out"; echo .) =~ ^"Submitted batch job "[0-9]+$'\n.'$ ]]
    rm "$STATE/home/user1/answer.out"
}

@test "an sbatch whose reader has gone follows its job all the same, and ends by SIGPIPE as without a tunnel" {
    local job
    job=$(next_job)
    run as user1 python3 -c 'import os, signal, sys
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 1)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' sbatch --output /dev/null --tunnel 8001:8000 --wrap true
    same 141 "$status"
    calls "claim 8001:8000 submitted" "follow $job"
}

@test "a job array has no tunnel, and the line tells how a task of it has" {
    submits --tunnel 8001:8000 --array=7-9%1 --wrap 'sleep 600'
    same 0 "$status"
    calls "claim 8001:8000 submitted" close
    says_once "job arrays have none: open one for a task, as in spunnelctl open $(submitted)_7 8001:8000"
}

@test "sbatch --wait: the job is followed when it is submitted" {
    submits --wait --tunnel 8001:8000 --wrap true
    same 0 "$status"
    calls "claim 8001:8000 submitted" "follow $(submitted)"
}

@test "two jobs submitted at the same time from one session: each has its own tunnel" {
    # shellcheck disable=SC2016 # expanded there
    run as user1 setsid --wait sh -c '
        sbatch --wait --output /dev/null --tunnel 8001:8000 --wrap "until [ -e go ]; do sleep 0.1; done" &
        until squeue --noheader --me --states running | grep -q .; do sleep 0.1; done
        sbatch --output /dev/null --tunnel 8002:8000 --wrap "sleep 600"
        touch go
        wait'
    calls "claim 8001:8000 submitted" "follow $(submitted | sed -n 1p)" \
        "claim 8002:8000 submitted" "follow $(submitted | sed -n 2p)"
}

@test "a job of which Slurm tells nothing any more is no job to follow" {
    # Stands before Slurm's own; errno is ESLURM_INVALID_JOB_ID.
    gcc -shared -fPIC -o "$STATE/home/tools/plugin/untold.so" -x c - <<'TEXT'
#include <errno.h>
int slurm_load_job(void **answer) { (void)answer; errno = 2017; return -1; }
TEXT
    submits --export=ALL,LD_PRELOAD= --tunnel 8001:8000 --wrap true
    calls "claim 8001:8000 submitted" "follow $(submitted)"
    run as user1 env LD_PRELOAD=/home/tools/plugin/untold.so sbatch --output /dev/null --tunnel 8001:8000 --wrap true
    calls "claim 8001:8000 submitted" close
    says_once "ask Slurm for job $(submitted): Invalid job id specified: open one with spunnelctl open $(submitted) 8001:8000"
}

@test "an sbatch that is killed while it waits leaves the job alone" {
    start s user1 sbatch --wait --output /dev/null --tunnel 8001:8000 --wrap 'sleep 600'
    eventually says s "Submitted batch job"
    kill -TERM "$(pid s)"
    finish s
    run output s
    calls "claim 8001:8000 submitted" "follow $(submitted)"
}

@test "the option that a job inherits from its sbatch is claimed nowhere" {
    as user1 sbatch --wait --output batch.out --tunnel 8001:8000 --wrap 'srun echo ran' || true
    run as user1 cat batch.out
    same ran "$output"
}

# --- SPUNNEL_TUNNEL ----------------------------------------------------------------------------

# with_default SPEC COMMAND...: with the user's default set.
with_default() { run as user1 env SPUNNEL_TUNNEL="$1" "${@:2}"; }

@test "SPUNNEL_TUNNEL is the spec of an srun without --tunnel" {
    with_default 8001:8000 srun -w n1 true
    calls "claim 8001:8000 environment" "open n1" close
    with_default 8001:8000 srun -w n1 --tunnel 9001:8000 true
    calls "claim 9001:8000 typed" "open n1" close
    with_default '' srun -w n1 true
    calls
}

@test "SPUNNEL_TUNNEL gives way to what salloc was given, and is no option of salloc and sbatch" {
    with_default 8001:8000 salloc -w n1 --tunnel 9001:8000 srun true
    calls "check 9001:8000" "claim 9001:8000 inherited" "open n1" close
    with_default 8001:8000 salloc -w n1 srun true
    calls "claim 8001:8000 environment" "open n1" close
    with_default 8001:8000 sbatch --output /dev/null --wrap true
    calls
}

@test "SPUNNEL_TUNNEL opens no tunnel on a compute node" {
    with_default 8001:8000 sbatch --wait --output batch.out --wrap 'srun env'
    run as user1 cat batch.out
    holds "SPUNNEL_TUNNEL=8001:8000"
    calls
}

@test "a SPUNNEL_TUNNEL that is refused is an error before anything is queued" {
    local before
    before=$(next_job)
    with_default bad srun echo the job ran
    [[ $status != 0 ]]
    lacks "the job ran"
    same "$before" "$(next_job)"
}

# --- What cannot be ----------------------------------------------------------------------------

@test "a core that lacks a function is refused by the function's name, before anything is queued" {
    "$CLUSTER/plugstack" "required /home/tools/other/spunnel.so"
    not_queued 8001:8000 "spunnel: load the core: /home/tools/other/libSpunnel.so: undefined symbol: spunnel_open:"
    lacks "core: claim"
}

@test "an srun that is not told the nodes of its step says why, and what to do next" {
    local job
    # Stands before Slurm's own; errno is ESLURM_INVALID_JOB_ID.
    gcc -shared -fPIC -o "$STATE/home/tools/plugin/untold.so" -x c - <<'TEXT'
#include <errno.h>
void *slurm_job_step_layout_get(void *step) { (void)step; errno = 2017; return 0; }
TEXT
    job=$(next_job)
    run as user1 env LD_PRELOAD=/home/tools/plugin/untold.so srun -N2 --tunnel 8001:8000 true
    [[ $status != 0 ]]
    # The second time at srun's end.
    calls "claim 8001:8000 typed" close close
    says_once "ask Slurm for the nodes of step $job.0: Invalid job id specified: open one with spunnelctl open $job SPEC"
}
