"""The login host: programs started as the user, processes looked at, ports, the plugin's line."""

import contextlib
import glob
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import tempfile
import time

USER = "user1"
SERVICE = [
    "/usr/bin/python3", "-B", "-I", "-S", str(pathlib.Path(__file__).with_name("service.py"))
]
# Seconds after which an expected event counts as failed.
PATIENCE = 20


class Unmeasurable(Exception):
    """Something did not work, so that there is no figure."""


def start(words, **options):
    """Starts a program as the user, in the user's home and away from root's environment."""
    account = pwd.getpwnam(USER)
    environment = {
        "PATH": os.environ["PATH"], "HOME": account.pw_dir, "USER": USER, "LOGNAME": USER,
        "LC_ALL": "C",
    } | options.pop("variables", {})
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen(
        words, user=account.pw_uid, group=account.pw_gid, extra_groups=[], cwd=account.pw_dir,
        env=environment, **options)


def run(words):
    """Runs a program as the user to its end. The result: what it wrote to either output."""
    with running(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        output, _ = process.communicate(timeout=PATIENCE)
    if process.returncode != 0:
        raise Unmeasurable(f"{' '.join(words)}: exit status {process.returncode}: {output.strip()}")
    return output


def root_output(words):
    """What a program writes that root runs; its exit status does not matter."""
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, timeout=PATIENCE).stdout


def seconds(words):
    """How long a program runs."""
    began = time.perf_counter()
    with running(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        code = process.wait(timeout=PATIENCE)
    if code != 0:
        raise Unmeasurable(f"{' '.join(words)}: exit status {code}")
    return time.perf_counter() - began


@contextlib.contextmanager
def running(words, **options):
    """A program that runs meanwhile, and is ended then as by Ctrl-C's harder sister."""
    process = start(words, **options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=PATIENCE)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()


def wait_until(condition, what):
    """Polls. The result: what the condition returned at last."""
    deadline = time.monotonic() + PATIENCE
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise Unmeasurable(f"{what}: not within {PATIENCE} s")
        time.sleep(0.001)
    return result


# --- The plugin ------------------------------------------------------------------------------------


def plug(prefix):
    """Puts the plugin of an installation into plugstack.conf of all hosts; None: no plugin at all.
    The file is replaced, as an srun may be reading it. root measures, and is let in."""
    with tempfile.NamedTemporaryFile("w", dir="/etc/slurm", delete=False) as file:
        if prefix:
            file.write(f"required {prefix}/lib/spunnel/spunnel.so access=owner+root\n")
        os.chmod(file.name, 0o644)
    os.replace(file.name, "/etc/slurm/plugstack.conf")


def settle():
    """Waits until nothing of an earlier run is left."""
    wait_until(lambda: not run(["squeue", "--noheader"]).strip(), "the queue gets empty")


# --- Ports -----------------------------------------------------------------------------------------


def free_ports(count):
    """Ports of this host that nobody has."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
            return True
        except OSError:
            return False


def answers(port):
    """Whether the echo service behind the port answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as stream:
            stream.sendall(b"?")
            return stream.recv(1) == b"?"
    except OSError:
        return False


# --- Processes -------------------------------------------------------------------------------------


def words_of(process):
    try:
        return pathlib.Path(f"/proc/{process}/cmdline").read_text().split("\0")
    except OSError:
        return []


def find(test):
    """Process ids whose argument vector passes the test."""
    numbers = (int(path.split("/")[2]) for path in glob.glob("/proc/[0-9]*"))
    return [number for number in numbers if test(words_of(number))]


def tunnel_processes():
    """Of all tunnels of this host: keepers, guardians and their ssh, by name."""
    found = {"keeper": [], "guardian": [], "ssh": []}
    for process in find(lambda words: words[0].endswith("/spunnel-keeper")):
        with contextlib.suppress(OSError):
            name = pathlib.Path(f"/proc/{process}/comm").read_text().strip()
            found["guardian" if name == "spunnel-guard" else "keeper"].append(process)
    found["ssh"] = find(
        lambda words: os.path.basename(words[0]) == "ssh" and
        any(word.startswith("/tmp/spunnel-") for word in words))
    return found


def cpu_seconds(processes):
    """Time on a processor so far, of all these (proc(5), schedstat: nanoseconds)."""
    return sum(
        int(pathlib.Path(f"/proc/{process}/schedstat").read_text().split()[0])
        for process in processes) / 1e9


def memory(process):
    """Resident and proportional size, in MB."""
    sizes = {}
    for line in pathlib.Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]:
        name, size, _ = line.split()
        sizes[name] = int(size) / 1024
    return {"rss": sizes["Rss:"], "pss": sizes["Pss:"]}
