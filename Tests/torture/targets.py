"""Whom torture does something to: a tunnel that can feel it, and the processes that make it up."""
import time

import hosts

# The exit statuses of a crashed program: SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP.
CRASHES = {128 + number for number in (4, 5, 6, 7, 8, 11)} | {-4, -5, -6, -7, -8, -11}


class Missed(Exception):
    """There was nobody to do it to."""


def pick(round_, chance, wanted=lambda tunnel: True):
    """A tunnel whose job runs and whose keeper lives."""
    now = time.monotonic()
    fit = [tunnel for tunnel in round_.tunnels
           if tunnel.until and not tunnel.gone and not tunnel.job_hit and now < tunnel.until - 0.3
           and wanted(tunnel)]
    if not fit:
        raise Missed()
    return chance.choice(fit)


def part(tunnel, name, among=None):
    found = tunnel.parts(among).get(name)
    if not found:
        raise Missed()
    return found


def srun_of(tunnel, among):
    found = tunnel.srun(among)
    if not found:
        raise Missed()
    return found


def is_srun(tunnel):
    return tunnel.kind == "srun"


def sessions(node, user, among):
    """The processes of a user's ssh sessions on a node, and their parents that are still root."""
    return [one for one in among if one.host == node and one.name == "sshd"
            and any(word in (f"sshd: {user}", f"sshd: {user} [priv]") for word in one.words)]
