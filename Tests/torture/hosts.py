"""The test cluster as torture sees it: its hosts, their processes, and commands on them."""
import collections
import os
import pathlib
import signal
import subprocess
import threading

HERE = pathlib.Path(__file__).resolve().parent
CLUSTER = HERE.parent / "cluster"
STATE = pathlib.Path(os.environ.get("SPUNNEL_CLUSTER_DIR", "/run/spunnel-cluster"))
HOSTS = ("login", "n1", "n2")
NODES = ("n1", "n2")
USERS = {"user1": 70001, "user2": 70002}
# Only one change of daemons or of a host at a time: a host that restarts needs its daemons.
daemons = threading.Lock()

Process = collections.namedtuple("Process", "pid parent name host uid words")


def first_process(host):
    """The machine's number of a host's first process."""
    return int((STATE / host / "init").read_text().split()[0])


def inside(host, user, *words):
    """The command that runs words on a host as a user."""
    return [str(CLUSTER / "in"), host, user, "--", *words]


def start(host, user, *words, output):
    with open(output, "ab") as file:
        return subprocess.Popen(inside(host, user, *words), stdin=subprocess.DEVNULL, stdout=file,
                                stderr=subprocess.STDOUT)


def ask(host, user, *words, seconds=20, errors=subprocess.DEVNULL):
    """What a command prints; nothing when it takes too long."""
    try:
        return subprocess.run(inside(host, user, *words), stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=errors, timeout=seconds).stdout
    except subprocess.TimeoutExpired:
        return ""


def tool(name, *words, seconds=60):
    """One of Tests/cluster's own commands. Returns whether it succeeded, and what it said."""
    try:
        done = subprocess.run([str(CLUSTER / name), *words], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
    except subprocess.TimeoutExpired:
        return False, f"{name} {' '.join(words)}: not within {seconds} s"
    return done.returncode == 0, done.stdout.strip()


def enter(host, *words):
    """The command that runs words on a host as root, with little ado."""
    return ["nsenter", "--target", str(first_process(host)), "--mount", "--uts", "--ipc", "--net",
            "--pid", "--", *words]


def root(host):
    """A host's file system, as the machine sees it."""
    return pathlib.Path(f"/proc/{first_process(host)}/root")


def processes():
    """All processes of the cluster that have not ended."""
    spaces = {os.readlink(f"/proc/{first_process(host)}/ns/pid"): host for host in HOSTS}
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            one = _process(int(name), spaces)
            if one:
                found.append(one)
    return found


def _process(pid, spaces):
    try:
        host = spaces.get(os.readlink(f"/proc/{pid}/ns/pid"))
        if not host:
            return None
        stat = open(f"/proc/{pid}/stat").read()
        words = open(f"/proc/{pid}/cmdline").read().split("\0")
        uid = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2:].split()
    if fields[0] in "ZX":
        return None
    return Process(pid, int(fields[1]), stat[stat.index("(") + 1:stat.rindex(")")], host, uid, words)


def descendants(pid, among):
    """Of a process, itself included if it is of the cluster."""
    found = [one for one in among if one.pid == pid]
    found += [one for one in among if one.parent == pid]
    for one in found:
        found += [child for child in among if child.parent == one.pid and child not in found]
    return found


def send(number, *targets):
    """Sends a signal. Returns those whom it reached."""
    reached = []
    for one in targets:
        try:
            os.kill(one.pid, number)
            reached.append(one)
        except ProcessLookupError:
            pass
    return reached


def everything(host):
    """All processes of a host but the two that hold its namespaces."""
    init = first_process(host)
    return [one for one in processes() if one.host == host and one.pid != init
            and not (one.parent == init and one.words[:2] == ["sleep", "infinity"])]


def stop_all(host):
    """Stops everything on a host, as a machine that goes to sleep."""
    stopped = {}
    while True:
        new = [one for one in everything(host) if one.pid not in stopped]
        if not new:
            return list(stopped.values())
        stopped.update({one.pid: one for one in send(signal.SIGSTOP, *new)})
        if len(stopped) > 5000:
            return list(stopped.values())


def resume(stopped):
    """Lets stopped processes go on, and each nsenter(1) that has stopped itself with its child."""
    send(signal.SIGCONT, *stopped)
    for one in stopped:
        try:
            if open(f"/proc/{one.parent}/comm").read().strip() == "nsenter":
                os.kill(one.parent, signal.SIGCONT)
        except OSError:
            pass


def listening(host):
    """The TCP ports on which somebody listens on a loopback address of a host."""
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in open(f"/proc/{first_process(host)}/net/{table}"):
            words = line.split()
            address, _, port = words[1].partition(":")
            if words[3] == "0A" and address in ("0100007F", "00000000000000000000000001000000"):
                ports.add(int(port, 16))
    return ports


def connections(process):
    """The TCP connections of a process, as (near port, far port)."""
    sockets = set()
    try:
        for name in os.listdir(f"/proc/{process.pid}/fd"):
            sockets.add(os.readlink(f"/proc/{process.pid}/fd/{name}"))
        lines = [line.split() for line in open(f"/proc/{process.pid}/net/tcp")][1:]
    except OSError:
        return set()
    return {tuple(int(end.partition(":")[2], 16) for end in words[1:3]) for words in lines
            if f"socket:[{words[9]}]" in sockets}


def records():
    """The records on the login host, as (user id, job.step)."""
    found = set()
    for directory in (root("login") / "tmp").glob("spunnel-*"):
        try:
            uid = int(directory.name.partition("-")[2])
            names = os.listdir(directory)
        except (ValueError, OSError):
            continue
        found |= {(uid, name) for name in names} or {(uid, "")}
    return found
