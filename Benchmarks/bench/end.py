"""The end of a tunnel, and what it holds in memory while it lives."""

import contextlib
import subprocess
import time

import figures
import host


def measure(options, report):
    rounds = 5 if options.quick else 20
    host.plug(options.prefix)
    report.part("End: from the task's end to nothing left, compared with srun without --tunnel")
    values = figures.interleave(rounds, {"tunnel": tunnel_end, "plain": plain_end})
    srun = [times["srun"] for times in values["tunnel"]]
    report.compare("srun's end", "ms", srun, values["plain"])
    report.single("then until the port is free", "ms", [one["port"] for one in values["tunnel"]])
    report.single("then until no process is left", "ms",
                  [one["processes"] for one in values["tunnel"]])
    report.part("Memory of an idle tunnel")
    memory(report, 1 if options.quick else 5)


@contextlib.contextmanager
def waiting(options=()):
    """An srun whose task ends when it is told to."""
    words = ["srun", *options, "sh", "-c", "echo; read -r line || :"]
    with host.running(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                      stderr=subprocess.DEVNULL) as srun:
        if srun.stdout.readline() != b"\n":
            raise host.Unmeasurable(f"{' '.join(words)}: no output of the task")
        yield srun


def finish(srun):
    """Ends the task. The result: milliseconds until srun has ended."""
    began = time.perf_counter()
    srun.stdin.close()
    if srun.wait(timeout=host.PATIENCE) != 0:
        raise host.Unmeasurable(f"srun: exit status {srun.returncode}")
    return (time.perf_counter() - began) * 1000


def plain_end():
    with waiting() as srun:
        return finish(srun)


def tunnel_end():
    [port] = host.free_ports(1)
    with waiting(["--tunnel", f"{port}:5330"]) as srun:
        times = {"srun": finish(srun)}
        began = time.perf_counter()
        host.wait_until(lambda: host.is_free(port), f"port {port} is free")
        times["port"] = (time.perf_counter() - began) * 1000
        host.wait_until(lambda: not any(host.tunnel_processes().values()), "no process is left")
        times["processes"] = (time.perf_counter() - began) * 1000
        return times


def memory(report, rounds):
    sizes = {"keeper": [], "guardian": [], "ssh": []}
    for _ in range(rounds):
        [port] = host.free_ports(1)
        with waiting(["--tunnel", f"{port}:5330"]) as srun:
            # By then ssh and the keeper have given back the pages that only their start needed.
            time.sleep(0.3)
            for name, found in host.tunnel_processes().items():
                if len(found) != 1:
                    raise host.Unmeasurable(f"{len(found)} processes are the tunnel's {name}")
                sizes[name].append(host.memory(found[0]))
            finish(srun)
    for name, ones in sizes.items():
        report.single(f"{name}: resident", "MB", [one["rss"] for one in ones],
                      figures.at_most(4) if name == "keeper" else None, places=2)
        report.single(f"{name}: its share (Pss)", "MB", [one["pss"] for one in ones], places=2)
