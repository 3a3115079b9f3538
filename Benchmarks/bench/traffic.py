"""Bytes through a tunnel, compared with plain ssh -L; small.py measures small messages by the same tunnels.

All tunnels lead to one service in one job and exist all the time; an idle one costs nothing."""

import contextlib
import json
import socket
import subprocess
import time

import figures
import host

ECHO_PORT = 5320
IPERF_PORT = 5321
SAME_CIPHER = ["-o", "Ciphers=^aes128-gcm@openssh.com"]


class Tunnel:
    """One way to the services: its local ports, and the processes that carry the bytes."""

    def __init__(self, echo, other, services):
        self.echo = echo
        # The local port of iperf3, or of another service that is measured.
        self.other = other
        self.services = services
        self.processes = []
        self.job = None

    def forwards(self):
        return list(zip((self.echo, self.other), self.services))


def measure(options, report):
    seconds = 1 if options.quick else 2
    rounds = 4 if options.quick else 12
    with contextlib.ExitStack() as stack:
        tunnels = open_tunnels(stack, options)
        for name, tunnel in tunnels.items():
            host.wait_until(lambda: iperf(tunnel, ["--bytes", "1K"]),
                            f"iperf3 answers through {name}")
        report.part("Bytes through a tunnel, compared with ssh -L")
        throughput(report, tunnels, rounds, seconds)


# --- Tunnels ---------------------------------------------------------------------------------------


def open_tunnels(stack, options, services=(ECHO_PORT, IPERF_PORT)):
    """The tunnel first, then those that it is compared with, in the order of the report."""
    ports = iter(host.free_ports(8))

    def tunnel():
        return Tunnel(next(ports), next(ports), services)

    # iperf3 is started beside the echo service if its port is in the list.
    service = [*host.SERVICE, *(str(port) for port in services if port in (ECHO_PORT, IPERF_PORT))]
    tunnels = {"spunnel": tunnel()}
    node, job = spunnel(stack, options.prefix, tunnels["spunnel"], [], service)
    tunnels["spunnel"].job = job
    plain = {"ssh -L, same cipher": SAME_CIPHER, "ssh -L as it comes": []}
    for name, cipher in plain.items():
        tunnels[name] = tunnel()
        ssh(stack, node, tunnels[name], cipher)
    if options.against:
        tunnels["the other"] = tunnel()
        spunnel(stack, options.against, tunnels["the other"], [f"--jobid={job}", "--overlap"],
                ["sh", "-c", "echo $SLURMD_NODENAME $SLURM_JOB_ID; sleep 3600"])
    for name, tunnel in tunnels.items():
        host.wait_until(lambda: host.answers(tunnel.echo), f"the service answers through {name}")
    return tunnels


def spunnel(stack, prefix, tunnel, options, task, variables=None):
    spec = ",".join(f"{here}:{there}" for here, there in tunnel.forwards())
    before = processes()
    host.plug(prefix)
    srun = stack.enter_context(host.running(
        ["srun", *options, "--tunnel", spec, *task], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, variables=variables or {}))
    words = srun.stdout.readline().decode().split()
    if len(words) != 2:
        raise host.Unmeasurable(f"srun --tunnel {spec} of {prefix}: no output of the task")
    tunnel.processes = sorted(processes() - before)
    return words


def processes():
    found = host.tunnel_processes()
    return {*found["keeper"], *found["ssh"]}


def ssh(stack, node, tunnel, cipher):
    words = ["ssh", "-N", "-o", "ExitOnForwardFailure=yes", *cipher]
    for here, there in tunnel.forwards():
        words += ["-L", f"{here}:localhost:{there}"]
    process = stack.enter_context(host.running([*words, node], stderr=subprocess.DEVNULL))
    tunnel.processes = [process.pid]


# --- Measures --------------------------------------------------------------------------------------


def throughput(report, tunnels, rounds, seconds, bound=figures.at_least(0.95)):
    for way, flags in (("to the service", []), ("from the service", ["--reverse"])):
        def transfer(tunnel):
            # The server takes one client at a time, and may still be busy with the last one.
            host.wait_until(lambda: iperf(tunnel, ["--bytes", "1K"]), "iperf3 is ready")
            before = host.cpu_seconds(tunnel.processes)
            moved, took = iperf(tunnel, ["--time", str(seconds), *flags]) or unmeasurable(tunnel)
            cost = host.cpu_seconds(tunnel.processes) - before
            return {"rate": moved * 8 / took / 1e9, "cost": cost / moved * 1e9}

        values = interleaved(tunnels, rounds, transfer)
        rates = {name: [one["rate"] for one in ones] for name, ones in values.items()}
        costs = {name: [one["cost"] for one in ones] for name, ones in values.items()}
        rows(report, f"{way}", "Gbit/s", rates, bound, places=2)
        rows(report, f"{way}, processor time here", "s/GB", costs, None, places=2)


def unmeasurable(tunnel):
    raise host.Unmeasurable(f"iperf3 through port {tunnel.other}: no result")


def compare_all(report, what, unit, tunnels, rounds, sample, bound):
    rows(report, what, unit, interleaved(tunnels, rounds, sample), bound)


def interleaved(tunnels, rounds, sample):
    return figures.interleave(
        rounds, {name: lambda tunnel=tunnel: sample(tunnel) for name, tunnel in tunnels.items()})


def rows(report, what, unit, values, bound, places=1):
    ours = values.pop("spunnel")
    for name, theirs in values.items():
        # Another installation is only a comparison, not a standard to reach.
        wanted = None if name == "the other" else bound
        report.compare(f"{what}: {name}", unit, ours, theirs, wanted, places)


def iperf(tunnel, flags):
    """Bytes that arrived and the seconds that they took; None when iperf3 is not ready."""
    words = ["iperf3", "--client", "127.0.0.1", "--port", str(tunnel.other), "--json", *flags]
    with host.running(words, stdout=subprocess.PIPE) as client:
        result = json.loads(client.communicate(timeout=host.PATIENCE)[0] or "{}")
    if "end" not in result or "sum_received" not in result["end"]:
        return None
    total = result["end"]["sum_received"]
    return total["bytes"], total["seconds"]


def connections(tunnel, seconds):
    """Connections a second, each with one byte there and back."""
    count, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        if not host.answers(tunnel.echo):
            raise host.Unmeasurable(f"port {tunnel.echo}: a connection failed")
        count += 1
    return count / passed


def round_trip(tunnel, seconds):
    """The median time of a request and its answer on one connection, in microseconds."""
    times = []
    with socket.create_connection(("127.0.0.1", tunnel.echo)) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        deadline = time.perf_counter() + seconds
        while (began := time.perf_counter()) < deadline:
            stream.sendall(b"." * 64)
            received = 0
            while received < 64:
                received += len(stream.recv(64)) or unmeasurable(tunnel)
            times.append((time.perf_counter() - began) * 1e6)
    return sorted(times)[len(times) // 2]
