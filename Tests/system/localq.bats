#!/usr/bin/env bats
# Each example of localq's README as it is printed there, on a machine without any Slurm of a site's.
# What stands in single quotes is for the user's shell.
# shellcheck disable=SC2016

load cluster_helpers

setup_file() {
    machine_start
    export MACHINE MACHINE_PID MACHINE_OUTER
}

teardown_file() { machine_stop; }

teardown() {
    as user1 lcancel -j 4 || true
    for cluster in $(as user1 spunnelctl cluster list --json | jq -r '.clusters[].name'); do
        as user1 spunnelctl cluster down --now --name "$cluster" || true
    done
    as user1 sh -c 'rm -rf .local tmp bin *.out *.sh my-twocore-job-logfile.txt'
    no_daemons
}

# printed STATUS TEXT LINE: a line of the README, in user1's shell, ends so and says so.
printed() {
    run as user1 bash -c "PATH=\$HOME/bin:\$PATH; $3"
    [[ $status == "$1" && $output == *"$2"* ]] || {
        echo "$3: status $status: $output"
        return 1
    }
}

# ended N [OPTION…]: has job N ended? state N [OPTION…]: how?
state() { as user1 linfo -j "$1" "${@:2}"; }
is() { [[ $(state "${@:2}") == "$1" ]]; }

# output_of N: what the job has written, in localq's own file.
output_of() { as user1 bash -c "cat localq-$1-2*.out"; }

@test "TL;DR: localqd, lbatch, lqueue, linfo, lcancel" {
    as user1 sh -c 'echo "echo from my script" >my_script.sh'
    printed 1 "type localqd -u /home/user1/none start" 'lbatch -u ~/none ls'
    printed 0 "localqd runs with 2 cores" 'localqd -n 2 -i 10 start'
    printed 0 "localqd runs already with 2 cores" 'localqd -n 2 -i 10 start'
    printed 0 "Job added to the queue with id 1" 'lbatch ls'
    printed 0 "Job added to the queue with id 2" 'lbatch sh my_script.sh'
    printed 0 "Job added to the queue with id 3" 'lbatch -n 2 echo "my two-core job"'
    wait_until 20 is COMPLETED 3
    printed 0 $'JOBID\tPRIO\tSTATUS\tNUM_CORES\tSTART_TIME\tEND_TIME\tNAME\tCMD' 'lqueue'
    [[ ${#lines[@]} == 4 && ${lines[3]} == 3$'\t'*$'\tCOMPLETED\t2\t'*$'\techo\t'* ]]
    printed 0 COMPLETED 'linfo -j 1'
    [[ $output == COMPLETED ]]
    # It is over.
    printed 1 "it is over: COMPLETED" 'lcancel -j 1'
    printed 0 "id 4" 'lbatch sleep 600'
    wait_until 20 is RUNNING 4
    printed 1 "jobs run: 4 (sleep): wait for them, or cancel them: lcancel -j 4" 'localqd stop'
    printed 0 "" 'lcancel -j 4'
    wait_until 20 is CANCELLED 4
    [[ $(output_of 1) == *my_script.sh* && $(output_of 2) == "from my script" ]]
    [[ $(output_of 3) == "my two-core job" ]]
    printed 0 "localqd is stopped" 'localqd stop'
    no_daemons
    printed 1 "it does not run" 'localqd stop'
}

@test "the URI file: a queue of its own, by a file that only its user can read" {
    local file=$MACHINE/home/user1/tmp/mysecondserver
    printed 0 "8 cores" 'localqd -n 8 -i 15 -u ~/tmp/mysecondserver start'
    [[ $(stat -c '%a %U' "$file") == "600 "* && $(as user1 cat tmp/mysecondserver) == spunnel-cluster:* ]]
    [[ -d $MACHINE && $(as user1 sh -c 'ps -o comm= -p $(cat tmp/mysecondserver.pid)') == slurmctld* ]]
    as user1 mkdir bin
    printf '#!/bin/sh\necho "bwa $*"\n' | as user1 sh -c 'cat >bin/bwa; chmod 755 bin/bwa'
    printed 0 "id 1" 'lbatch -n 1 -u ~/tmp/mysecondserver ls -lah'
    printed 0 "id 2" 'lbatch -n 1 -u ~/tmp/mysecondserver hostname'
    printed 0 "id 3" 'lbatch -n 2 -u ~/tmp/mysecondserver echo "Two Core Job"'
    printed 0 "id 4" 'lbatch -n 2 -u ~/tmp/mysecondserver -o my-twocore-job-logfile.txt echo "Two Core Job with log"'
    wait_until 20 is COMPLETED 4 -u tmp/mysecondserver
    [[ $(output_of 1) == total* && $(output_of 2) == machine && $(output_of 3) == "Two Core Job" ]]
    [[ $(as user1 cat my-twocore-job-logfile.txt) == "Two Core Job with log" ]]
    # Another queue beside it has its own numbers.
    printed 0 "" 'localqd -n 1 start'
    printed 0 "id 1" 'lbatch -n 1 bwa mem -t 16 ref.fa input.fq.gz'
    wait_until 20 is COMPLETED 1
    run as user1 bash -c 'grep -h . localq-1-2*.out'
    [[ $output == *"bwa mem -t 16 ref.fa input.fq.gz"* ]]
    printed 1 "the largest node has 1 cores" 'lbatch -n 2 ls'
    printed 0 $'4\t' 'lqueue -u ~/tmp/mysecondserver'
    printed 1 NOT_FOUND 'linfo -j 5 -u ~/tmp/mysecondserver'
    printed 0 stopped 'localqd stop'
    printed 0 stopped 'localqd -u ~/tmp/mysecondserver stop'
    as user1 sh -c '! ls tmp/mysecondserver* 2>/dev/null'
}

@test "fifo as localq says it: the first is next; mcf: the one with the most cores" {
    local policy
    for policy in fifo mcf; do
        printed 0 "2 cores" "localqd -n 2 -p $policy -u ~/tmp/$policy start"
        printed 0 "id 1" "lbatch -n 2 -u ~/tmp/$policy sleep 2"
        printed 0 "id 2" "lbatch -n 1 -u ~/tmp/$policy -o order-$policy.out echo one"
        printed 0 "id 3" "lbatch -n 2 -u ~/tmp/$policy -o order-$policy.out echo two"
        wait_until 30 is COMPLETED 2 -u "tmp/$policy"
        wait_until 30 is COMPLETED 3 -u "tmp/$policy"
        printed 0 stopped "localqd -u ~/tmp/$policy stop"
    done
    [[ $(as user1 cat order-fifo.out) == $'one\ntwo' && $(as user1 cat order-mcf.out) == $'two\none' ]]
    as user1 rm order-fifo.out order-mcf.out
}
