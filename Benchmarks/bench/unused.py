"""What the plugin costs those who do not use it: srun without --tunnel."""

import re

import figures
import host

# Prints which parts of the plugin slurmstepd, or srun, has mapped. It runs as root, because
# slurmstepd is root's.
MAPPED = "grep -E 'spunnel|swift' /proc/{}/maps"


def measure(options, report):
    report.part("Unused: srun true, without and with the plugin in plugstack.conf")
    wall_time(report, options.prefix, 30 if options.quick else 180)
    instructions(report, options.prefix, 2 if options.quick else 5)
    mapped(report, options.prefix)


def wall_time(report, prefix, rounds):
    def timed(plugged):
        host.plug(plugged)
        return host.seconds(["srun", "true"]) * 1000

    contestants = {"with": lambda: timed(prefix), "without": lambda: timed(None)}
    values = figures.interleave(rounds, contestants)
    report.compare("wall time, from start to end", "ms", values["with"], values["without"],
                   figures.at_most(1.01))


def instructions(report, prefix, rounds):
    """What srun itself executes hardly varies, while the wall time is mostly that of others."""
    def counted(plugged):
        host.plug(plugged)
        said = host.run(
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "srun", "true"])
        # srun forks a helper. The process that does the work executes the most instructions.
        return max(int(count) for count in re.findall(r"Collected : (\d+)", said)) / 1e6

    contestants = {"with": lambda: counted(prefix), "without": lambda: counted(None)}
    values = figures.interleave(rounds, contestants)
    report.compare("instructions of srun, in millions", "M", values["with"], values["without"],
                   figures.at_most(1.01), places=2)


def mapped(report, prefix):
    """The plugin in slurmstepd, which is the parent of the task, and in srun."""
    host.plug(prefix)
    in_stepd = host.root_output(["srun", "sh", "-c", MAPPED.format("$PPID")])
    with host.running(["srun", "sleep", "60"]) as srun:
        host.wait_until(lambda: host.run(["squeue", "--noheader", "--states=R"]), "srun's job runs")
        in_srun = host.root_output(["sh", "-c", MAPPED.format(srun.pid)])
    for name, maps in (("slurmstepd", in_stepd), ("srun", in_srun)):
        report.single(f"address space of the plugin in {name}", "KB", [size(maps)],
                      figures.at_most(64), places=0)
        swift = [line for line in maps.splitlines() if "swift" in line.lower() or "libSpunnel" in line]
        report.single(f"mappings of Swift in {name}", "", [len(swift)], figures.at_most(0), places=0)


def size(maps):
    """KB of address space in lines of proc_pid_maps(5)."""
    ranges = (line.split()[0].split("-") for line in maps.splitlines())
    return sum(int(end, 16) - int(begin, 16) for begin, end in ranges) // 1024
