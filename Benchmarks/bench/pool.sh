#!/bin/bash
# Runs inside the allocation. The programs take turns; each rate is for tasks of `true`, two at
# once.
set -euo pipefail

pool=$1 python=$2 rounds=$3 tasks=$4 million=$5
folder=$(mktemp -d "$HOME/pool-bench.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder"
few=$((tasks / 10))
yes true 2>/dev/null | head -n "$tasks" >many.txt || true
head -n "$few" many.txt >few.txt

run_pool() { "$pool" -j 2 -o 'out/%t.txt' many.txt 2>/dev/null; }
run_xargs() { xargs -P 2 -d '\n' -n 1 sh -c <many.txt; }
run_parallel() { parallel --jobs 2 --joblog log --results out <few.txt >/dev/null 2>&1; }
run_hyperqueue() { "$python" "$HOME/hyperqueue_pool.py" few.txt out >/dev/null 2>&1; }

# rate NAME TASKS: tasks per second in one run.
rate() {
    local began ended
    rm -rf out log ./*.joblog*
    began=$(date +%s%N)
    "run_$1"
    ended=$(date +%s%N)
    echo $(($2 * 1000000000 / (ended - began)))
}

median() { sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }

contestants=(pool xargs parallel)
[[ ! -x $python ]] || contestants+=(hyperqueue)
for ((round = 1; round <= rounds; round++)); do
    for name in "${contestants[@]}"; do
        count=$tasks
        [[ $name == pool || $name == xargs ]] || count=$few
        rate "$name" "$count" >>"rates-$name"
    done
done
for name in "${contestants[@]}"; do
    printf '%-12s %6d tasks/s   (%s)\n' "$name" "$(median <"rates-$name")" "$(paste -sd ' ' <"rates-$name")"
done
for name in "${contestants[@]:1}"; do
    printf 'pool/%-12s %s, the median of the rounds\n' "$name" \
        "$(paste rates-pool "rates-$name" | awk '{ printf "%.2f\n", $1 / $2 }' | median)"
done

if [[ $million == yes ]]; then
    yes true 2>/dev/null | head -n 1000000 >million || true
    /usr/bin/time -f '1,000,000 tasks: %e s, the coordinator'"'"'s peak memory %M KB' "$pool" -j 2 million
fi
