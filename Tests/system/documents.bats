#!/usr/bin/env bats
# What README and docs print is what the commands take: each `spunnelctl …` there names a command and options that
# there are, and each argument of plugstack.conf is one that the plugin knows.

load helpers

@test "each command line of spunnelctl in README and docs has a command and options that there are" {
    PATH=$PREFIX/bin:$PATH python3 - "${TESTS%/*/*}" <<'PY'
import functools, glob, re, subprocess, sys
root = sys.argv[1]
# Whose further options are another program's.
FOREIGN = {"submit", "session", "ssh", "lbatch"}

@functools.cache
def help_of(*words):
    done = subprocess.run(["spunnelctl", "help", *words], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None

wrong, seen = [], 0
for path in [root + "/README.md", *glob.glob(root + "/docs/*.md")]:
    text = open(path, encoding="utf8").read()
    for match in re.finditer(r"spunnelctl((?: +[^\s`'\")|;&]+)*)", text):
        words = match[1].split()
        if not words or not re.fullmatch(r"[a-z][a-z-]*", words[0]):
            continue
        # Prose, as in "spunnelctl and its helpers".
        start = text.rfind("\n", 0, match.start()) + 1
        line = text[start:match.start()]
        if "`" not in line and not line.startswith("    ") and "$" not in line and line.strip():
            continue
        command = []
        while words and re.fullmatch(r"[a-z][a-z-]*", words[0]) and help_of(*command, words[0]):
            command.append(words.pop(0))
        shown = match[0]
        if not command:
            if not match[1].split()[0].startswith("--"):
                wrong.append(f"{path}: {shown}: no such command")
            continue
        seen += 1
        for before, word in zip(["", *words], words):
            # The words of another program.
            if word == "--" or command[-1] == "exec" and not word.startswith("-") and before != "--name":
                break
            name = word.split("=")[0].rstrip(".,:")
            if name.startswith("--") and name != "--" and command[0] not in FOREIGN:
                if not re.search(re.escape(name) + r"(?![a-z-])", help_of(*command)):
                    wrong.append(f"{path}: {shown}: no option {name}")
assert seen > 100, seen
assert not wrong, "\n".join(wrong)
PY
}

@test "each argument that plugstack.conf.example explains is one that the plugin takes" {
    local word
    while read -r word; do
        "$CLUSTER/plugstack" "optional $PLUGIN $word"
        run as user1 spunnelctl check-config
        same "0 " "$status $output"
    done < <(sed -n 's/^# \([a-z_]*=[^ ]*\|quiet\) .*/\1/p' "${TESTS%/*/*}/plugstack.conf.example" | sed 's/=$/=-4/')
}
