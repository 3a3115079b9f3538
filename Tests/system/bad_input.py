#!/usr/bin/env python3
"""Gives bad specs and bad plugstack.conf arguments to srun by the hundred: each must be refused with
one line of ours, whatever is in it, and an exit status of its own.

usage: bad_input.py PLUGIN COUNT SEED [SEEDS]     run as a user of the login host

With SEEDS, the folder of what fuzzing has found, it gives COUNT of those for specs and arguments. They
may be good ones: then the job runs.
"""

import glob
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

GOOD = ["8001:8000", "8001:8000,8889:8888", "8001:n2:8000", ":8000", ":auto", ":all:8000", "R:9000:5432", "D:1080",
        "8001:+1:8000", "/tmp/%j.sock:8000", "8001:/tmp/a.sock", "8001:[::1]:80", "R:/tmp/a.sock:80"]
# No port, name, path or address has one of these.
BAD = [";", "$(id)", "`id`", "\x01", "\x1b[31m", "é", "\u202e", "\"", "'", " ", "\n", "\\", "=", "|", "&", "*", "?", "\udcff",
       "😀", "\u0301"]
# Without digits, D, "auto" and slashes nothing can be a forward.
NOISE = [c for c in "abcRnpx:,.+-_[]%~@!{}()<>^;\"'\\ \n\t\r\x02\x7f\udcc3\udc80"]


def bad_spec(random: random.Random) -> str:
    kind = random.randrange(7)
    good = random.choice(GOOD)
    if kind == 0:  # something that belongs nowhere, at a place that counts
        # A path may end with nearly anything.
        at_end = not good.endswith(".sock") and random.randrange(2)
        return good + random.choice(BAD) if at_end else random.choice(BAD) + good
    if kind == 1:  # an empty forward
        return random.choice([f"{good},", f",{good}", f"{good},,{good}", ","])
    if kind == 2:  # a port that is none
        port = random.choice(["0x1f41", "65536", "99999999999999999999", "-1", "+80", "8e3", "1.5", "１", "٣", "http"])
        return random.choice([f"{port}:8000", f"8001:{port}", f"R:{port}", f"D:{port}", f"8001:n1:{port}"])
    if kind == 3:  # too many parts, or too few
        return random.choice([f"{good}:1:2:3", "8001:", "R:", ":", "::", ":::::", "auto", ":all:auto", "8001:all:8000"])
    if kind == 4:  # the same end twice
        return random.choice(["8001:1,8001:2", "R:9000,R:9000", "D:1080,1080:80", "/tmp/a:1,/tmp/a:2"])
    if kind == 5:  # long
        return random.choice(["8001:" + "9" * 5000, "x" * 50000, "8001:/" + "a" * 200, ",".join(["80:80"] * 3000),
                              "8001:" + "n" * 300 + ":80", ":" * 9000, "[" * 9000])
    return "".join(random.choice(NOISE) for _ in range(random.randrange(1, 60)))


def bad_argument(random: random.Random) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz_"
    word = "".join(random.choice(letters) for _ in range(random.randrange(1, 40)))
    return random.choice([
        f"no_{word}", f"no_{word}=1", f"timeout={random.choice(['0', '3601', '-1', '1.5', 'x', '', '9' * 30, '+5', '５'])}",
        f"access=no_{word}", f"targets=no_{word}", f"wait={random.choice(['', 'maybe', 'YES', '1'])}", f"quiet=no_{word}",
        "ssh_cmd=", "ssh_cmd=|", "ssh_args=", "ssh_args=|||", "args", "ssh_cmd", f"state_dir={word}", "state_dir=", "access",
        "=", "==", f"={word}", f"Timeout={random.randrange(1, 99)}", "timeout", "é=1", "no_" + "x" * 3000,
    ])


def complaint(words: list, environment: dict[str, str], may_run: bool = False) -> str | None:
    """What is wrong with how srun took it; None when it was refused as it should be, or runs as it may."""
    done = subprocess.run(["srun", *words, "echo", "the job ran"], env=environment, capture_output=True, timeout=60)
    lines = done.stderr.decode(errors="replace").split("\n")
    ours = [line for line in lines if "spunnel: " in line]
    if may_run and done.returncode == 0 and done.stdout == b"the job ran\n":
        return None if all(line.isprintable() for line in ours) else "a control character"
    if b"the job ran" in done.stdout:
        return "the job ran"
    # A signal's number would be negative.
    if done.returncode <= 0:
        return f"exit status {done.returncode}"
    # After the job was made, a second line says what becomes of it.
    errors = [line for line in ours if "error: spunnel: " in line] if may_run else ours
    if len(errors) != 1 or len(errors[0]) > 2000:
        return f"{len(errors)} lines"
    # srun itself repeats the option's raw text in a line of its own.
    if any(unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") for line in ours for character in line):
        return "a control character"
    return None


def site(folder: str, line: str) -> dict[str, str]:
    """The environment of a site of one's own, for its plugstack.conf alone."""
    with open(f"{folder}/slurm.conf", "w") as file:
        file.write("Include /etc/slurm/slurm.conf\n")
    with open(f"{folder}/plugstack.conf", "w") as file:
        file.write(f"{line}\n")
    return os.environ | {"SLURM_CONF": f"{folder}/slurm.conf"}


def try_seeds(plugin: str, count: int, seed: int, seeds: str) -> int:
    files = sorted(glob.glob(f"{seeds}/spec/*"))
    step = max(1, len(files) // count)
    files = files[seed % step::step][:count] + sorted(glob.glob(f"{seeds}/settings/*"))[:count]
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in files:
            with open(name, "rb") as file:
                # No argument and no line of a file that Slurm reads can hold these.
                text = file.read().translate(None, b"\0")
            if "/settings/" in name:
                words = text.translate(None, b"\n").decode(errors="replace")
                environment = site(folder, f"required {plugin} {words}")
                what = complaint(["--tunnel=8001:8000"], environment, may_run=True)
            else:
                what = complaint([b"--tunnel=" + text], dict(os.environ), may_run=True)
            if what:
                failures += 1
                print(f"{name}: {text[:200]!r}: {what}")
    print(f"{len(files)} seeds from {seed % step} in steps of {step}: {failures} taken otherwise")
    return 1 if failures else 0


def main() -> int:
    if len(sys.argv) > 4:
        return try_seeds(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    plugin, count, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    source = random.Random(seed)
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            if number % 3 == 2:
                shown = bad_argument(source)
                line = f"{source.choice(['optional', 'required'])} {plugin} timeout=5 {shown} quiet"
                what = complaint(["--tunnel", "8001:8000"], site(folder, line))
            else:
                shown = bad_spec(source)
                what = complaint([f"--tunnel={shown}"], dict(os.environ))
            if what:
                failures += 1
                print(f"{shown[:200]!r}: {what}")
    print(f"{count} bad inputs with seed {seed}: {failures} taken otherwise")
    return 1 if failures else 0


sys.exit(main())
