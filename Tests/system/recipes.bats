#!/usr/bin/env bats
# docs/recipes.md: each recipe as it stands there, with the real program.

load helpers

REPOSITORY=${TESTS%/*/*}
# Debian keeps PostgreSQL's programs off PATH; a browser in these hosts has no sandbox of its own.
RECIPE_PATH=/home/tools/recipes:$(compgen -G '/usr/lib/postgresql/*/bin' | head -n 1):/usr/local/bin:/usr/bin:/bin

setup() {
    configure optional
    mkdir -p "$STATE/home/tools/recipes"
    # shellcheck disable=SC2016 # expanded there
    printf '%s\n' '#!/bin/sh' \
        'exec /usr/bin/chromium --no-sandbox --disable-gpu --user-data-dir=$HOME/.chromium "$@" 2>/dev/null' \
        >"$STATE/home/tools/recipes/chromium"
    chmod 755 "$STATE/home/tools/recipes/chromium"
}

teardown() {
    clean_up
    # What the programs themselves leave: Dask's folder, PostgreSQL's shared memory.
    host n1 root find /tmp /dev/shm -mindepth 1 -user user1 -delete
    rm -rf "$STATE/home/tools/recipes" "$STATE/home/user1/"{.chromium,program,program.c,dask-worker-space}
}

# block NAME: the commands that are marked with this name.
block() { sed -n "/^<!-- run: $1 -->\$/,/^\`\`\`\$/p" "$REPOSITORY/docs/recipes.md" | sed '/^<!--/d; /^```/d'; }

# begin NAME: the recipe's srun, on node n1, in the background; returns when its tunnel is up.
begin() {
    start "$1" user1 env PATH="$RECIPE_PATH" SLURM_TIMELIMIT=5 bash -ec "$(block "$1-job" | sed 's/^srun /srun -w n1 /')"
    eventually says "$1" "spunnel: "
}

# recipe NAME: the second block.
recipe() {
    [[ -n $(block "$1") ]]
    run as user1 env PATH="$RECIPE_PATH" bash -ec "$(block "$1")"
}

# ends NAME LINE: does the recipe answer this in its last line?
ends() {
    recipe "$1"
    # What the programs print besides differs.
    [[ $(sed '/^ *$/d' <<<"$output" | tail -n 1) == *"$2"* ]] || {
        echo "'$2' is not the end of: $output"
        return 1
    }
}

by_both() {
    recipe socks
    # shellcheck disable=SC2031 # by run, here
    [[ $output == *"<p>the page</p>"*"<p>the page</p>"* ]]
}

@test "PostgreSQL" {
    begin postgresql
    eventually ends postgresql 42
}

@test "Redis" {
    begin redis
    eventually ends redis 42
}

@test "Dask" {
    begin dask
    within 60 ends dask 42
}

@test "a debugger" {
    printf '%s\n' 'int work(int value) { return value + 2; }' 'int main(void) { return work(40) - 42; }' \
        >"$STATE/home/user1/program.c"
    as user1 gcc -g -O0 program.c -o program
    begin debugger
    eventually says debugger "Listening on port 2345"
    # It takes one connection only: no second try.
    recipe debugger
    holds "value=40"
    holds " = 40"
}

@test "a licence server, the other way round" {
    start server user1 redis-server --port 27000 --bind 127.0.0.1 --save '' --dir /tmp
    eventually says server "Ready to accept connections"
    start licence user1 env PATH="$RECIPE_PATH" bash -ec "$(block licence-job | sed 's/^srun /srun -w n1 /')"
    finish licence
    same 0 "$status"
    says licence PONG
}

@test "a browser through SOCKS" {
    as user1 sh -c 'echo "<p>the page</p>" >index.html'
    begin socks
    eventually by_both
    as user1 rm index.html
}
