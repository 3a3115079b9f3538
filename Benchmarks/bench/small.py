"""Small messages and short connections through a tunnel: time beside ssh -L, and the keeper's system calls.

Redis without pipelining is measured where redis-server is installed."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import figures
import host
import traffic

REDIS_PORT = 5322
CALLS = 500


def measure(options, report):
    seconds = 0.5 if options.quick else 1
    rounds = 4 if options.quick else 12
    with contextlib.ExitStack() as stack:
        tunnels = traffic.open_tunnels(stack, options, SERVICES)
        report.part("Small messages through a tunnel, compared with ssh -L")
        traffic.compare_all(report, "round trip of 64 bytes", "µs", tunnels, rounds,
                            lambda tunnel: traffic.round_trip(tunnel, seconds),
                            figures.at_most(1.15))
        traffic.compare_all(report, "connections, one after the other", "/s", tunnels, rounds,
                            lambda tunnel: traffic.connections(tunnel, seconds),
                            figures.at_least(0.95))
        if shutil.which("redis-server"):
            redis(report, stack, tunnels, options, rounds)
        keeper = keeper_of(tunnels["spunnel"])
        report.single("the keeper's system calls for a round trip", "",
                      [calls(keeper, RoundTrips(tunnels["spunnel"].echo))], figures.at_most(6.0))
        report.single("the keeper's system calls for a connection", "",
                      [calls(keeper, Connections(tunnels["spunnel"].echo))], figures.at_most(22))


SERVICES = [traffic.ECHO_PORT, REDIS_PORT]


# --- System calls ----------------------------------------------------------------------------------


class RoundTrips:
    """Requests and answers on one connection that stands before."""

    def __init__(self, port):
        self.stream = socket.create_connection(("127.0.0.1", port))
        self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.once()

    def once(self):
        self.stream.sendall(b"." * 64)
        received = 0
        while received < 64:
            received += len(self.stream.recv(64))


class Connections:
    def __init__(self, port):
        self.port = port

    def once(self):
        if not host.answers(self.port):
            raise host.Unmeasurable(f"port {self.port}: a connection failed")


def calls(keeper, work):
    """System calls of a process for each piece of work, without those that it makes for its status once a
    second, which are the files' (strace's class %file) and their descriptors'."""
    with tempfile.TemporaryDirectory() as folder:
        counts = pathlib.Path(folder) / "counts"
        # strace writes calls as they happen, so that this program can see when it has attached.
        with subprocess.Popen(["strace", "-qq", "-o", str(counts), "-p", str(keeper)],
                              stderr=subprocess.DEVNULL) as tracer:
            host.wait_until(lambda: traced(keeper, tracer.pid), f"strace of process {keeper} begins")
            for _ in range(CALLS):
                work.once()
            time.sleep(0.2)
            tracer.send_signal(signal.SIGINT)
        lines = counts.read_text().splitlines()
    # One decimal hides the calls of the keeper's own timers, one or two in all.
    return round(count(lines) / CALLS, 1)


def traced(process, tracer):
    status = pathlib.Path(f"/proc/{process}/status").read_text()
    return re.search(rf"^TracerPid:\t{tracer}$", status, re.MULTILINE)


def count(lines):
    """Calls in a trace but for those of writing a file: from opening it to naming it."""
    total, is_writing = 0, False
    for line in lines:
        name = line.split("(", 1)[0]
        if name == "openat":
            is_writing = True
        elif name in ("renameat", "renameat2", "rename"):
            is_writing = False
        elif not is_writing and name not in ("newfstatat", "faccessat2"):
            total += 1
    return total


def keeper_of(tunnel):
    for process in tunnel.processes:
        if process in host.tunnel_processes()["keeper"]:
            return process
    raise host.Unmeasurable("the tunnel has no keeper")


# --- Redis -----------------------------------------------------------------------------------------


def redis(report, stack, tunnels, options, rounds):
    """SET without pipelining, over one connection."""
    job = tunnels["spunnel"].job
    pid_file = f"/tmp/redis-{os.getpid()}"
    stack.enter_context(host.running(
        ["srun", f"--jobid={job}", "--overlap", "redis-server", "--port", str(REDIS_PORT), "--bind",
         "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "/tmp", "--pidfile", pid_file],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    for name, tunnel in tunnels.items():
        host.wait_until(lambda: is_redis(tunnel.other), f"redis answers through {name}")
    count = 2000 if options.quick else 10000
    traffic.compare_all(report, "Redis: SET, one after the other", "/s", tunnels, rounds // 2,
                        lambda tunnel: requests(tunnel.other, count), figures.at_least(0.87))
    traffic.compare_all(report, "Redis: SET, 50 clients", "/s", tunnels, rounds // 2,
                        lambda tunnel: requests(tunnel.other, count * 3, clients=50), None)


def is_redis(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=host.PATIENCE) as stream:
            stream.sendall(b"PING\r\n")
            return stream.recv(7) == b"+PONG\r\n"
    except OSError:
        return False


def requests(port, count, clients=1):
    output = host.run(["redis-benchmark", "-p", str(port), "-c", str(clients), "-n", str(count),
                       "-t", "set", "--csv"])
    rates = re.findall(r'^"SET","([0-9.]+)"', output, re.MULTILINE)
    if not rates:
        raise host.Unmeasurable(f"redis-benchmark: {output.strip()}")
    return float(rates[-1])
