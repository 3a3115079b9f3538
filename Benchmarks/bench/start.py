"""How long until a service in a job can be used: srun --tunnel, and the same by hand.

By hand means what a quick user who knows how would do, by a script that never hesitates: start srun,
read the node's name from its first output, run `ssh -f -N -L` to it, fetch when ssh has gone to the
background. The service says the node's name and begins to listen at once, both times."""

import os
import select
import signal
import subprocess
import time

import figures
import host

SERVICE_PORT = 5310


def measure(options, report):
    rounds = 6 if options.quick else 30
    report.part("Start: srun --tunnel, compared with srun, then ssh -f -N -L by hand")
    host.plug(options.prefix)
    contestants = {"spunnel": with_tunnel, "by hand": by_hand}
    values = figures.interleave(rounds, contestants)
    ours, theirs = values["spunnel"], values["by hand"]
    # With --tunnel the task starts once the tunnel is up; by hand, ssh starts once the task runs.
    report.compare("first output (by hand there is no tunnel yet)", "ms", pick(ours, "output"),
                   pick(theirs, "output"))
    report.compare("first output seen and the tunnel there", "ms", pick(ours, "ready"),
                   pick(theirs, "ready"), figures.at_most(1.05))
    report.compare("first byte through the port", "ms", pick(ours, "byte"), pick(theirs, "byte"),
                   figures.at_most(1.05))
    beside(rounds, report)


def beside(rounds, report):
    """SPUNNEL_WAIT=0: the tasks start at once, the handshake runs beside them."""
    values = figures.interleave(rounds, {"tunnel": without_waiting, "plain": plain})
    report.compare("first output, not waiting for the tunnel, and without one", "ms",
                   pick(values["tunnel"], "output"), pick(values["plain"], "output"),
                   figures.at_most(1.05))


def pick(rounds, name):
    return [times[name] for times in rounds]


class Stopwatch:
    """Milliseconds of named moments since the beginning."""

    def __init__(self):
        self.began = time.perf_counter()
        self.times = {}

    def mark(self, name):
        self.times[name] = (time.perf_counter() - self.began) * 1000


def job(options=(), variables=None):
    """A job with the service, as a context."""
    return host.running(["srun", *options, *host.SERVICE, str(SERVICE_PORT)],
                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                        variables=variables or {})


def first_line(srun, watch):
    ready, _, _ = select.select([srun.stdout], [], [], host.PATIENCE)
    words = srun.stdout.readline().decode().split() if ready else []
    if len(words) != 2:
        raise host.Unmeasurable("srun: no output of the task")
    watch.mark("output")
    return words


def fetch(port, watch):
    host.wait_until(lambda: host.answers(port), f"the service behind port {port} answers")
    watch.mark("byte")
    return watch.times


def with_tunnel():
    [port] = host.free_ports(1)
    watch = Stopwatch()
    with job(["--tunnel", f"{port}:{SERVICE_PORT}"]) as srun:
        first_line(srun, watch)
        watch.mark("ready")
        return fetch(port, watch)


def without_waiting():
    [port] = host.free_ports(1)
    watch = Stopwatch()
    with job(["--tunnel", f"{port}:{SERVICE_PORT}"], {"SPUNNEL_WAIT": "0"}) as srun:
        first_line(srun, watch)
        return fetch(port, watch)


def plain():
    watch = Stopwatch()
    with job() as srun:
        first_line(srun, watch)
        return watch.times


def by_hand():
    [port] = host.free_ports(1)
    watch = Stopwatch()
    with job() as srun:
        node, _ = first_line(srun, watch)
        forward = f"{port}:localhost:{SERVICE_PORT}"
        host.run(["ssh", "-f", "-N", "-o", "ExitOnForwardFailure=yes", "-L", forward, node])
        watch.mark("ready")
        times = fetch(port, watch)
        for process in host.find(lambda words: words[0] == "ssh" and forward in words):
            os.kill(process, signal.SIGTERM)
        return times
