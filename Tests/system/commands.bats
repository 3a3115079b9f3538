#!/usr/bin/env bats
# spunnelctl as a command among commands: completion in the shells that users have, and output that has
# nowhere to go.

load helpers

setup_file() { export SHELLS=$BATS_FILE_TMPDIR; }

teardown() {
    configure optional
    host login root rm -rf /tmp/fish-user1
    clean_up
}

# completes SHELL LINE WORDS: what the shell makes of the line when Tab is pressed.
completes() {
    SHELL_NAME=$1 LINE=$2 WANTED=$3 terminal <<'PY'
name, line, wanted = (os.environ[key] for key in ("SHELL_NAME", "LINE", "WANTED"))
shells = {
    "bash": (("bash", "--norc", "--noprofile", "-i"),
             ["source <(spunnelctl completion bash)",
              r"""bind -x '"\C-o": printf "LI""NE<%s>\n" "$READLINE_LINE"'"""]),
    "zsh": (("zsh", "-f", "-i"),
            ["autoload -Uz compinit; compinit -D -u", "source <(spunnelctl completion zsh)",
             "show() { zle -I; print -r 'LI''NE<'$BUFFER'>' }; zle -N show; bindkey -e; bindkey '^O' show"]),
}
command, setup = shells[name]
t = Terminal("user1", *command)
for text in setup:
    t.sendline(text)
t.sendline("echo re''ady")
t.expect_exact("ready\r\n")
t.send(line + "\t\x0f")
t.expect("LINE<([^>]*)>")
assert t.match.group(1) == wanted, f"{name}: {line!r} became {t.match.group(1)!r}, not {wanted!r}"
t.sendline("\x15exit")
t.expect(pexpect.EOF)
PY
}

# offers LINE: what fish offers, words alone.
offers() {
    # shellcheck disable=SC2016 # for fish
    as user1 env HOME=/tmp/fish-user1 fish -c 'spunnelctl completion fish | source; complete -C $argv[1]' "$1" |
        cut -f1 | paste -sd' '
}

@test "bash and zsh complete commands, options, their values, jobs, ports and nodes" {
    local shell job
    serve s user1 -N2 --tunnel 8041:8000 -- 8000
    job=$(job s)
    for shell in bash zsh; do
        completes "$shell" "spunnelctl clu" "spunnelctl cluster "
        completes "$shell" "spunnelctl cluster up --policy=la" "spunnelctl cluster up --policy=largest-first "
        completes "$shell" "spunnelctl url " "spunnelctl url $job "
        completes "$shell" "spunnelctl url $job." "spunnelctl url $job.0 "
        completes "$shell" "spunnelctl open --wait " "spunnelctl open --wait $job "
        completes "$shell" "spunnelctl close $job 80" "spunnelctl close $job 8041 "
        completes "$shell" "spunnelctl open $job 8002:n2" "spunnelctl open $job 8002:n2:"
        completes "$shell" "spunnelctl status --state-dir=/var/tm" "spunnelctl status --state-dir=/var/tmp/"
    done
}

@test "fish completes commands, options, their values, jobs, ports and nodes" {
    local job
    serve s user1 -N2 --tunnel 8041:8000 -- 8000
    job=$(job s)
    same "clean close cluster" "$(offers "spunnelctl cl")"
    same "--background --help --json --state-dir --wait" "$(offers "spunnelctl open --")"
    same "fifo largest-first" "$(offers "spunnelctl cluster up --policy ")"
    same "$job" "$(offers "spunnelctl url ")"
    same "$job.0" "$(offers "spunnelctl url $job.")"
    same "8041" "$(offers "spunnelctl close $job 80")"
    same "8002:n1: 8002:n2:" "$(offers "spunnelctl open $job 8002:")"
    same "--state-dir=/var/tmp/" "$(offers "spunnelctl status --state-dir=/var/tm")"
}

@test "the shells find the completion where it is installed" {
    local folder=$PREFIX/share
    same "$(as user1 spunnelctl completion bash)" "$(<"$folder/bash-completion/completions/spunnelctl")"
    same "$(as user1 spunnelctl completion zsh)" "$(<"$folder/zsh/site-functions/_spunnelctl")"
    same "$(as user1 spunnelctl completion fish)" "$(<"$folder/fish/vendor_completions.d/spunnelctl.fish")"
    as user1 spunnelctl completion bash | shellcheck -
    # By the shells' own search, without a word in the user's files.
    # shellcheck disable=SC2016 # for the shells
    {
        run as user1 zsh -f -c 'fpath=($1 $fpath); autoload -Uz compinit; compinit -D -u; echo $_comps[spunnelctl]' \
            - "$folder/zsh/site-functions"
        same _spunnelctl "$output"
        run as user1 env HOME=/tmp/fish-user1 XDG_DATA_DIRS="$folder" fish -c 'complete -C "spunnelctl completion z"'
        same zsh "${output%%$'\t'*}"
    }
}

@test "output that cannot be written is an error of every command, with a line" {
    local command
    serve s user1 -w n1 --tunnel 8001:8000 -- 8000
    for command in --help --version "help open" "cluster up --help" status "status --json" "status $(job s)" \
        "status --watch" "url $(job s)" "url $(job s) --json" "completion zsh" "cluster list" \
        "cluster list --json" clean "open $(job s) 8002:8000 --background" "close $(job s) 8002" \
        "close $(job s)"; do
        # shellcheck disable=SC2016 # for the shell of the login
        run as user1 bash -c 'spunnelctl $1 2>&1 >/dev/full' - "$command"
        same "1 $command: spunnelctl: write to standard output: No space left on device" "$status $command: $output"
    done
    # What the command was to do, it did.
    soon nothing_left
    run as user1 bash -c 'spunnelctl status 2>&1 >&-'
    same "1 spunnelctl: write to standard output: Bad file descriptor" "$status $output"
}

@test "a reader that goes away, as head does, is no error" {
    # shellcheck disable=SC2016 # for the shell of the login
    run as user1 bash -c 'trap "" PIPE; exec 3> >(true); wait $!; spunnelctl status --help 2>&1 >&3'
    same "0 " "$status $output"
}

@test "limits and a HOME that cannot be made are told with what to do" {
    run as user1 bash -c 'ulimit -n 8; spunnelctl nodes'
    same 1 "$status"
    holds "Too many open files: raise the limit of open files, ulimit -n"
    run as user1 bash -c 'ulimit -u 1; spunnelctl nodes'
    same 1 "$status"
    holds "spunnel-jobs: Resource temporarily unavailable: raise the limit of processes, ulimit -u, or end some"
    run as user1 env HOME=/proc/nohome spunnelctl cluster up
    same 1 "$status"
    holds "cluster up: mkdir /proc/nohome: No such file or directory: set HOME to a folder that is there and yours"
}
