"""A tunnel through srun compared with a tunnel over ssh: bytes, connections, round trips, and the start."""

import contextlib
import re
import subprocess
import time

import figures
import host
import traffic


def measure(options, report):
    seconds = 1 if options.quick else 2
    rounds = 4 if options.quick else 12
    report.part("A tunnel through srun, compared with one over ssh")
    start(report, options, rounds)
    with contextlib.ExitStack() as stack:
        tunnels = open_both(stack, options.prefix)
        compare(report, tunnels, rounds, seconds)


def open_both(stack, prefix):
    """Two tunnels into one job, each by its own way."""
    ports = iter(host.free_ports(4))
    services = (traffic.ECHO_PORT, traffic.IPERF_PORT)
    tunnels = {}
    task, more = [*host.SERVICE, *(str(port) for port in services)], []
    for name, way in (("spunnel", "srun"), ("over ssh", "ssh")):
        tunnel = traffic.Tunnel(next(ports), next(ports), services)
        _, job = traffic.spunnel(stack, prefix, tunnel, more, task, {"SPUNNEL_TRANSPORT": way})
        more = [f"--jobid={job}", "--overlap"]
        task = ["sh", "-c", "echo $SLURMD_NODENAME $SLURM_JOB_ID; sleep 3600"]
        tunnels[name] = tunnel
        host.wait_until(lambda: host.answers(tunnel.echo), f"the service answers {way}")
        host.wait_until(lambda: traffic.iperf(tunnel, ["--bytes", "1K"]), "iperf3 answers")
    return tunnels


def compare(report, tunnels, rounds, seconds):
    traffic.throughput(report, tunnels, rounds, seconds, figures.at_least(0.9))
    traffic.compare_all(report, "connections", "/s", tunnels, rounds,
                        lambda tunnel: traffic.connections(tunnel, seconds), figures.at_least(0.9))
    traffic.compare_all(report, "round trip of 64 bytes", "us", tunnels, rounds,
                        lambda tunnel: traffic.round_trip(tunnel, seconds), figures.at_most(1.1))


def start(report, options, rounds):
    """From the command to the word that the tunnel is there, in a job that runs."""
    host.plug(options.prefix)
    output = host.run(["sbatch", "--parsable", "--output=/dev/null", "--wrap", "sleep 3600"])
    job = re.search(r"\d+", output).group()
    try:
        host.wait_until(lambda: "RUNNING" in host.run(
            ["squeue", "--noheader", "--jobs", job, "--format", "%T"]), "the job runs")
        values = figures.interleave(
            rounds, {"srun": lambda: once(job, "srun"), "ssh": lambda: once(job, "ssh")})
    finally:
        subprocess.run(["scancel", job], check=False, timeout=host.PATIENCE)
    report.compare("start: over ssh", "ms", values["srun"], values["ssh"], figures.at_most(1.5))
    host.settle()


def once(job, way):
    port = host.free_ports(1)[0]
    words = ["srun", f"--jobid={job}", "--overlap", "--tunnel", f"{port}:1", "true"]
    began = time.perf_counter()
    with host.running(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                      variables={"SPUNNEL_TRANSPORT": way}) as srun:
        for line in srun.stderr:
            if b"spunnel: localhost:" in line:
                return (time.perf_counter() - began) * 1000
    raise host.Unmeasurable(f"no tunnel by {way}")
