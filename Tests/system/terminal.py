"""A real terminal on the login host, for tests that a pipe cannot make: see terminal.bats.

A test is a Python text; it finds `Terminal`, `login` and `eventually` here, and fails by an
exception. pexpect is Debian's python3-pexpect.
"""
import os
import subprocess
import time

import pexpect

CLUSTER_IN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../cluster/in")
PATIENCE = 30
PROMPT = "ready> "


class Terminal(pexpect.spawn):
    """A command on the login host, with a terminal of its own; `seen` is all that it showed."""

    def __init__(self, user, *command):
        self.seen = ""
        super().__init__(
            # A dumb terminal, so that the shell marks no pasting and colours nothing.
            CLUSTER_IN, ["login", user, "--", "env", "TERM=dumb", *command], timeout=PATIENCE, encoding="utf-8",
            codec_errors="replace", dimensions=(30, 100))
        self.logfile_read = self

    def __str__(self):
        return f"the terminal showed: {self.seen}"

    def write(self, text):
        self.seen += text

    def flush(self):
        pass

    def shell(self):
        """Waits for the job's shell, and gives it a prompt that is easy to find."""
        # Typed with quotes, so that the echo is not taken for the prompt.
        self.sendline("unset PROMPT_COMMAND; PS1=re'ady> '")
        self.expect_exact(PROMPT)
        return self

    def ask(self, line):
        """Types a line; the lines that it showed."""
        self.sendline(line)
        # Prompts may come more often than asked for, after a change of size.
        self.sendline("echo E''ND")
        self.expect_exact("END\r\n")
        shown = self.before.replace("\r", "\n").split("\n")
        return [text for text in shown if text and PROMPT not in text and text != line]


def login(user, *command):
    """A command's output on the login host, whatever its exit status."""
    done = subprocess.run(
        [CLUSTER_IN, "login", user, "--", *command], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False)
    return done.stdout.decode()


def eventually(ask, wanted):
    """Asks until the answer is the wanted one."""
    end = time.monotonic() + PATIENCE
    while (got := ask()) != wanted:
        assert time.monotonic() < end, f"wanted {wanted!r}, got {got!r}"
        time.sleep(0.02)
