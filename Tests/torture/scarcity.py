"""What torture takes from a tunnel for some seconds, descriptors, processes and room in /tmp, and
what it does to the clock. Each tells its round whether it was felt."""
import contextlib
import os
import pathlib
import random
import signal
import subprocess
import threading
import time

import hosts
from targets import CRASHES, Missed, is_srun, part, pick, sessions, srun_of

# The messages of programs for EMFILE and EAGAIN.
NO_DESCRIPTOR = "Too many open files"
NO_PROCESS = "Resource temporarily unavailable"
# The number of simultaneous connections to a tunnel that is short of descriptors.
CROWD = 8
# Steps of the clock in seconds: munge refuses credentials that are five minutes old.
STEPS = (30, 100)

_limited = set()
_guard = threading.Lock()


# --- Limits ----------------------------------------------------------------------------------


def _soft(pid, title):
    for line in open(f"/proc/{pid}/limits"):
        if line.startswith(title):
            return line[len(title):].split()[0]
    raise Missed()


def _set(process, option, value):
    # Runs as the process's own user: root would need CAP_SYS_RESOURCE, which containers lack.
    done = subprocess.run(
        ["prlimit", "--pid", str(process.pid), f"--{option}={value}:"], user=process.uid,
        group=process.uid, extra_groups=[], text=True, capture_output=True, check=False)
    if done.returncode == 0:
        return True
    if os.path.exists(f"/proc/{process.pid}/limits"):
        raise PermissionError(done.stderr.strip())
    return False


@contextlib.contextmanager
def limited(process, option, value):
    """Within, a process has a low soft limit. One that ends meanwhile needs none given back."""
    with _guard:
        if process.pid in _limited:
            raise Missed()
        _limited.add(process.pid)
    try:
        title = {"nofile": "Max open files", "nproc": "Max processes"}[option]
        before = _soft(process.pid, title)
        if not _set(process, option, value):
            raise Missed()
        try:
            yield
        finally:
            _set(process, option, before)
    except (FileNotFoundError, ProcessLookupError):
        raise Missed() from None
    finally:
        _limited.discard(process.pid)


def free_descriptor(pid):
    """The lowest number that is not in use: with a limit of that much nothing can be opened."""
    try:
        used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    except (FileNotFoundError, ProcessLookupError):
        raise Missed() from None
    return next(number for number in range(1 << 20) if number not in used)


def limit_files(round_, chance, tunnel, name, target, complaint=NO_DESCRIPTOR):
    """Descriptors run out while a crowd comes."""
    spare, seconds = chance.randrange(4), chance.uniform(1, 3)
    tunnel.touch(f"limit {name}", slack=seconds)
    said = tunnel.complaints(complaint)
    limit = free_descriptor(target.pid) + spare
    with limited(target, "nofile", limit):
        began = time.monotonic()
        tunnel.crowd(CROWD, chance.getrandbits(32))
        time.sleep(seconds)
        held = not tunnel.serves_between(began + 0.3, time.monotonic())
    said = heard(tunnel, complaint, said)
    # OpenSSH stalls too: poll(2) refuses more descriptors than the limit allows.
    round_.felt(said > 0 or held)
    return (f"{name} {target.pid} of {tunnel.name} limited to {limit} descriptors for "
            f"{seconds:.1f} s: {said} complaints{', nobody served' if held else ''}")


def heard(tunnel, complaint, before):
    """How many complaints have come; a keeper without descriptors can write its log only later."""
    for _ in range(15):
        if (more := tunnel.complaints(complaint) - before) > 0:
            return more
        time.sleep(0.1)
    return 0


def limit_keeper_files(round_, chance):
    tunnel = pick(round_, chance)
    return limit_files(round_, chance, tunnel, "keeper", part(tunnel, "keeper"))


def limit_ssh_files(round_, chance):
    tunnel = pick(round_, chance)
    return limit_files(round_, chance, tunnel, "ssh", part(tunnel, "ssh"))


def limit_sshd_files(round_, chance):
    tunnel = pick(round_, chance)
    mine = tunnel.sshd(hosts.processes())
    for other in round_.tunnels:
        if (other.node, other.user) == (tunnel.node, tunnel.user):
            other.touch("limit sshd")
    return limit_files(round_, chance, tunnel, "sshd", mine,
                       # Without a descriptor ssh cannot read /etc/hosts either, and says so.
                       complaint="open failed")


def limit_srun_files(round_, chance):
    """srun cannot take a message of slurmctld; its tunnel has nothing to do with that."""
    tunnel, seconds = pick(round_, chance, is_srun), chance.uniform(0.5, 2)
    target = srun_of(tunnel, hosts.processes())[0]
    tunnel.touch("limit srun", slack=seconds)
    limit = free_descriptor(target.pid)
    with limited(target, "nofile", limit):
        hosts.ask("login", "root", "scontrol", "notify", str(tunnel.job), "torture")
        time.sleep(seconds)
        said = tunnel.said().count(NO_DESCRIPTOR)
    round_.felt(said > 0)
    return (f"srun {target.pid} of {tunnel.name} limited to {limit} descriptors for "
            f"{seconds:.1f} s: {said} complaints")


def limit_keeper_processes(round_, chance):
    """ssh is killed while the keeper cannot start another one."""
    tunnel, seconds = pick(round_, chance), chance.uniform(0.5, 2)
    parts = tunnel.parts()
    if not {"keeper", "ssh"} <= set(parts):
        raise Missed()
    tunnel.touch("limit keeper and kill ssh", slack=seconds)
    said = tunnel.complaints(NO_PROCESS)
    # The guardian is one process already, so the user is always above this limit.
    with limited(parts["keeper"], "nproc", 1):
        hosts.send(signal.SIGKILL, parts["ssh"])
        time.sleep(seconds)
        said = tunnel.complaints(NO_PROCESS) - said
    round_.felt(said > 0)
    return (f"keeper of {tunnel.name} may start nothing for {seconds:.1f} s, its ssh "
            f"{parts['ssh'].pid} killed: {said} complaints")


def starve_start(round_, chance):
    """One more srun begins with few descriptors or processes; whatever it comes to, it is in order."""
    user, node = chance.choice(list(hosts.USERS)), chance.choice(hosts.NODES)
    port = 8900 + chance.randrange(90)
    if chance.random() < 0.5:
        # Slurm's own programs raise the soft limit as far as they can.
        limit = f"-n {chance.randrange(4, 30)}"
    else:
        limit = f"-u {threads_of(hosts.USERS[user]) + chance.randrange(16)}"

    def start(*option):
        words = ["timeout", "20", "bash", "-c",
                 f"ulimit {limit}; exec srun --immediate=5 -w {node} {' '.join(option)} sleep 0.5"]
        return subprocess.run(hosts.inside("login", user, *words), stdin=subprocess.DEVNULL,
                              text=True, errors="replace", stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)

    def is_slurms():
        return any(start().returncode in CRASHES for _ in range(5))

    done = start("--tunnel", f"{port}:{port + 1000}")
    round_.judge_starved(limit, port, done, is_slurms)
    round_.felt(NO_DESCRIPTOR in done.stdout or NO_PROCESS in done.stdout)
    return f"srun started with ulimit {limit}: exit {done.returncode}: {done.stdout.strip()[:200]!r}"


def threads_of(uid):
    """How many processes a user has by the kernel's count, which is the machine's and of threads."""
    count = 0
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if folder.stat().st_uid == uid:
                count += len(os.listdir(folder / "task"))
        except OSError:
            pass
    return count


# --- /tmp ------------------------------------------------------------------------------------


def fill_tmp(round_, chance):
    """No byte is left in /tmp of the login host, where the records are, for some seconds."""
    seconds, inodes = chance.uniform(0.5, 3), chance.random() < 0.3
    found = os.statvfs(hosts.root("login") / "tmp")
    used = found.f_blocks - found.f_bfree
    # A size of zero would mean no limit.
    limit = (f"nr_inodes={max(1, found.f_files - found.f_ffree)}" if inodes
             else f"size={max(1, used) * found.f_frsize}")
    for tunnel in round_.tunnels:
        # A connection that is lost now can only come back once there is room for its socket.
        if tunnel.touches:
            tunnel.touch("/tmp full", slack=seconds)
    subprocess.run(hosts.enter("login", "mount", "-o", f"remount,{limit}", "/tmp"), check=False)
    try:
        round_.felt(_is_full(hosts.root("login") / "tmp"))
        time.sleep(seconds)
    finally:
        round_.free_tmp()
    return f"/tmp of login full ({limit}) for {seconds:.1f} s"


def _is_full(folder):
    name = folder / f"torture.{random.getrandbits(32):x}"
    try:
        name.write_bytes(bytes(1 << 14))
        return False
    except OSError:
        return True
    finally:
        name.unlink(missing_ok=True)


# --- The clock -------------------------------------------------------------------------------


def clock_can_be_set():
    """Whether the machine lets us; a container often does not."""
    try:
        time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME))
        return True
    except PermissionError:
        return False


def step_clock(round_, chance):
    """The clock of the whole machine; no tunnel is expected to feel it, so none is noted."""
    step, seconds = chance.uniform(*STEPS) * chance.choice((1, -1)), chance.uniform(1, 3)
    # Slurm measures its waits by this clock, and repeats messages that it takes for lost.
    round_.slack = max(round_.slack, 25.0)
    round_.clock_stepped = True
    # The cluster's own commands measure their deadlines by it too.
    with hosts.daemons:
        done = subprocess.Popen([str(hosts.HERE / "clock.py"), f"{step:.1f}", f"{seconds:.1f}"],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                start_new_session=True)
        said = done.stdout.read().strip()
        done.wait()
    round_.felt(done.returncode == 0)
    return f"clock stepped by {said or 'nothing'} for {seconds:.1f} s"
