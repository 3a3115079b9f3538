"""What torture does to tunnels, hosts and daemons. Each injection is a function of a round and a
random generator; it notes which tunnels may feel it, does it, and returns what it did in words."""
import contextlib
import signal
import subprocess
import threading
import time

import hosts
import scarcity
from hosts import daemons
from targets import Missed, is_srun, part, pick, sessions, srun_of

# Only one fault on the cable of each host at a time.
cables = {host: threading.Lock() for host in hosts.HOSTS}


# --- Killing ---------------------------------------------------------------------------------


def kill_srun(round_, chance):
    tunnel = pick(round_, chance, is_srun)
    targets = srun_of(tunnel, hosts.processes())
    # srun has a helper process that only waits for it. The first process is srun itself.
    tunnel.touch("kill srun", gone=True, job=True)
    hosts.send(signal.SIGKILL, targets[0])
    return f"kill -9 srun {targets[0].pid} of {tunnel.name}"


def kill_part(round_, chance, name, wanted=lambda tunnel: True, **touch):
    tunnel = pick(round_, chance, wanted)
    target = part(tunnel, name)
    tunnel.touch(f"kill {name}", **touch)
    hosts.send(signal.SIGKILL, target)
    return f"kill -9 {name} {target.pid} of {tunnel.name}"


def kill_keeper(round_, chance):
    return kill_part(round_, chance, "keeper", gone=True)


def kill_guardian(round_, chance):
    return kill_part(round_, chance, "guardian", gone=True)


def kill_ssh(round_, chance):
    return kill_part(round_, chance, "ssh")


def kill_jobs_watch(round_, chance):
    # The keeper restarts it after two seconds, and may learn of the job's end only then.
    return kill_part(round_, chance, "spunnel-jobs", lambda tunnel: not is_srun(tunnel), slack=2.5)


def kill_client(round_, chance):
    tunnel = pick(round_, chance)
    targets = hosts.descendants(tunnel.client.pid, hosts.processes())
    if not targets:
        raise Missed()
    tunnel.client_hit = True
    hosts.send(signal.SIGKILL, *targets)
    return f"kill -9 client of {tunnel.name}"


def kill_sshd_session(round_, chance):
    tunnel = pick(round_, chance)
    found = sessions(tunnel.node, tunnel.user, hosts.processes())
    if not found:
        raise Missed()
    target = chance.choice(found)
    for other in round_.tunnels:
        if (other.node, other.user) == (tunnel.node, tunnel.user):
            other.touch("kill sshd session")
    hosts.send(signal.SIGKILL, target)
    return f"kill -9 '{target.words[0]}' {target.pid} on {tunnel.node}"


def kill_daemon(round_, host, daemon, pause):
    """Kills a daemon and starts it again after a pause."""
    with daemons:
        try:
            pid = (hosts.root(host) / f"run/{daemon}/{daemon}.pid").read_text().strip()
        except FileNotFoundError:
            # The daemon has not come back from an earlier injection.
            raise Missed() from None
        found = [one for one in hosts.processes() if one.host == host and one.name == daemon
                 and _inner_pid(one) == pid]
        hosts.send(signal.SIGKILL, *found)
        time.sleep(pause)
        started, said = hosts.tool("service", host, daemon, "start")
        if not started:
            round_.note(f"{daemon} on {host} came back late: {said}")


def _inner_pid(process):
    try:
        for line in open(f"/proc/{process.pid}/status"):
            if line.startswith("NSpid:"):
                return line.split()[-1]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return ""


def kill_sshd_listener(round_, chance):
    node, pause = chance.choice(hosts.NODES), chance.uniform(0, 1.5)
    # Sessions go on without sshd. A tunnel that needs a new session waits.
    for tunnel in round_.tunnels:
        if tunnel.node == node and tunnel.touches:
            tunnel.touch("kill sshd", slack=pause)
    kill_daemon(round_, node, "sshd", pause)
    return f"kill -9 sshd on {node}, back after {pause:.1f} s"


def kill_slurmd(round_, chance):
    node, pause = chance.choice(hosts.NODES), chance.uniform(0, 1.5)
    round_.slack = max(round_.slack, 15.0)
    kill_daemon(round_, node, "slurmd", pause)
    return f"kill -9 slurmd on {node}, back after {pause:.1f} s"


def kill_slurmctld(round_, chance):
    pause = chance.uniform(0, 1.5)
    round_.slack = max(round_.slack, 20.0)
    round_.controllers_killed += 1
    for tunnel in round_.tunnels:
        # A killed slurmctld forgets jobs that are only seconds old. This loss is Slurm's own.
        if time.monotonic() - tunnel.begun < 8:
            tunnel.touch("kill slurmctld", job=True, service=True)
        tunnel.quiet_until = max(tunnel.quiet_until, time.monotonic() + pause + 12)
    kill_daemon(round_, "login", "slurmctld", pause)
    return f"kill -9 slurmctld, back after {pause:.1f} s"


def kill_slurmstepd(round_, chance):
    tunnel = pick(round_, chance)
    among = hosts.processes()
    targets = [one for stepd in tunnel.stepds(among) for one in hosts.descendants(stepd.pid, among)]
    if not targets:
        raise Missed()
    tunnel.touch("kill slurmstepd", job=True, service=True)
    hosts.send(signal.SIGKILL, *targets)
    return f"kill -9 slurmstepd {targets[0].pid} of {tunnel.name} with its tasks"


# --- Ends in order -----------------------------------------------------------------------------


def scancel(round_, chance):
    tunnel = pick(round_, chance)
    tunnel.touch("scancel", job=True, service=True)
    hosts.ask("login", tunnel.user, "scancel", str(tunnel.job))
    return f"scancel {tunnel.name}"


def terminate_srun(round_, chance):
    tunnel = pick(round_, chance, is_srun)
    number = chance.choice([signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    targets = srun_of(tunnel, hosts.processes())
    tunnel.touch(f"{number.name} to srun", job=True, service=True)
    hosts.send(number, targets[0])
    return f"{number.name} to srun of {tunnel.name}"


def close_tunnel(round_, chance):
    tunnel = pick(round_, chance)
    tunnel.touch("spunnelctl close", gone=True)
    hosts.ask("login", tunnel.user, "spunnelctl", "close", tunnel.step)
    return f"spunnelctl close {tunnel.name}"


def terminate_keeper(round_, chance):
    tunnel = pick(round_, chance)
    target = part(tunnel, "keeper")
    tunnel.touch("SIGTERM to the keeper", gone=True)
    hosts.send(signal.SIGTERM, target)
    return f"SIGTERM to keeper {target.pid} of {tunnel.name}"


# --- Stopping ----------------------------------------------------------------------------------


# A process that is stopped for a minute delays its job. The jobs of such a round run this many
# seconds longer.
MINUTE = 60.0


def pause_for(targets, seconds):
    stopped = hosts.send(signal.SIGSTOP, *targets)
    try:
        time.sleep(seconds)
    finally:
        hosts.resume(stopped)


def stop(tunnel, name, targets, seconds):
    if seconds >= MINUTE:
        tunnel.touch(f"stop {name}", quiet=seconds)
    else:
        tunnel.touch(f"stop {name}", slack=seconds)
    pause_for(targets, seconds)
    return f"SIGSTOP of {name} {targets[0].pid} of {tunnel.name} for {seconds:.1f} s"


def lasting(seconds):
    """Wants a tunnel that is still there when something of so many seconds is over."""
    return lambda tunnel: seconds < MINUTE or tunnel.until > time.monotonic() + seconds + 5


def stop_part(round_, chance, name, seconds=0.0):
    seconds = seconds or chance.uniform(0.2, 3)
    tunnel = pick(round_, chance, lasting(seconds))
    return stop(tunnel, name, [part(tunnel, name)], seconds)


def stop_keeper(round_, chance, seconds=0.0):
    return stop_part(round_, chance, "keeper", seconds)


def stop_ssh(round_, chance, seconds=0.0):
    return stop_part(round_, chance, "ssh", seconds)


def stop_guardian(round_, chance, seconds=0.0):
    return stop_part(round_, chance, "guardian", seconds)


def stop_srun(round_, chance, seconds=0.0):
    seconds = seconds or chance.uniform(0.2, 3)
    fits = lasting(seconds)
    tunnel = pick(round_, chance, lambda tunnel: is_srun(tunnel) and fits(tunnel))
    return stop(tunnel, "srun", srun_of(tunnel, hosts.processes()), seconds)


def stop_sshd(round_, chance, seconds=0.0):
    seconds = seconds or chance.uniform(0.2, 3)
    tunnel = pick(round_, chance, lasting(seconds))
    return stop(tunnel, "sshd", [tunnel.sshd(hosts.processes())], seconds)


def stop_client(round_, chance):
    """The other side of a suspend; for the tunnel it is a client that does not read for a while."""
    tunnel, seconds = pick(round_, chance), chance.uniform(0.2, 3)
    targets = hosts.descendants(tunnel.client.pid, hosts.processes())
    if not targets:
        raise Missed()
    # The tunnel is not marked: nothing in it may break, and only its streams are late.
    tunnel.quiet_until = max(tunnel.quiet_until, time.monotonic() + seconds)
    pause_for(targets, seconds)
    return f"SIGSTOP of the client of {tunnel.name} for {seconds:.1f} s"


def suspend(round_, chance, seconds=0.0):
    """A host goes to sleep with all that it runs, half of the time with its network as well."""
    seconds = seconds or chance.uniform(0.5, 3)
    host = chance.choice(("login", pick(round_, chance, lasting(seconds)).node))
    unplugged = chance.random() < 0.5
    round_.slack = max(round_.slack, 25.0 if unplugged else 15.0)
    with contextlib.ExitStack() as stack:
        if unplugged:
            stack.enter_context(cables[host])
        for tunnel in round_.tunnels:
            touched = {"quiet" if seconds >= MINUTE else "slack": seconds}
            if host in ("login", tunnel.node):
                tunnel.touch(f"suspend {host}", **touched)
            tunnel.quiet_until = max(tunnel.quiet_until, time.monotonic() + seconds)
        stopped = hosts.stop_all(host)
        try:
            if unplugged:
                hosts.tool("link", host, "down")
            time.sleep(seconds)
        finally:
            if unplugged:
                hosts.tool("link", host, "up")
            hosts.resume(stopped)
    return (f"suspended {host} for {seconds:.1f} s ({len(stopped)} processes"
            f"{', unplugged' if unplugged else ''})")


def for_a_minute(function):
    def minute(round_, chance):
        return function(round_, chance, MINUTE)
    minute.__name__ = f"{function.__name__}_minute"
    return minute


# --- The network -------------------------------------------------------------------------------


def on_cable(round_, host, name, seconds):
    for tunnel in round_.tunnels:
        if host in ("login", tunnel.node):
            tunnel.touch(name, slack=seconds)
    # Slurm's commands wait for an answer, and ask again after some seconds.
    round_.slack = max(round_.slack, 25.0)


def cut_link(round_, chance):
    host, seconds = chance.choice(hosts.HOSTS), chance.uniform(0.1, 3)
    with cables[host]:
        on_cable(round_, host, f"cut {host}", seconds)
        hosts.tool("link", host, "down")
        try:
            time.sleep(seconds)
        finally:
            hosts.tool("link", host, "up")
    return f"link of {host} cut for {seconds:.1f} s"


def flap_link(round_, chance):
    host, times = chance.choice(hosts.HOSTS), chance.randrange(2, 6)
    with cables[host]:
        on_cable(round_, host, f"flap {host}", 1)
        for _ in range(times):
            hosts.tool("link", host, "down")
            time.sleep(chance.uniform(0.01, 0.1))
            hosts.tool("link", host, "up")
            time.sleep(chance.uniform(0.01, 0.1))
    return f"link of {host} cut and mended {times} times"


def bad_link(round_, chance, delay, loss):
    host, seconds = chance.choice(hosts.HOSTS), chance.uniform(1, 3)
    with cables[host]:
        on_cable(round_, host, f"bad cable {host}", seconds + 1)
        switch = int((hosts.STATE / "switch/init").read_text().split()[0])
        subprocess.run(["nsenter", "--target", str(switch), "--net", str(hosts.HERE / "cable.py"),
                        host, f"{delay:.0f}", f"{loss:.1f}", f"{seconds:.1f}"], check=False)
    return f"link of {host}: {delay:.0f} ms, {loss:.1f} % lost, for {seconds:.1f} s"


def delay_link(round_, chance):
    return bad_link(round_, chance, chance.uniform(20, 300), 0)


def lossy_link(round_, chance):
    return bad_link(round_, chance, 1, chance.uniform(1, 15))


def reboot(round_, chance):
    """A node loses its power and comes back: everything on it is killed, and nobody is told."""
    node = chance.choice(hosts.NODES)
    round_.slack = max(round_.slack, 25.0)
    with daemons, cables[node]:
        for tunnel in round_.tunnels:
            if tunnel.node == node:
                tunnel.touch(f"reboot {node}", job=True, service=True, slack=3)
        hosts.tool("link", node, "down")
        for _ in range(3):
            hosts.send(signal.SIGKILL, *hosts.everything(node))
        for name in ("munged", "sshd"):
            hosts.tool("service", node, name, "start")
        hosts.tool("link", node, "up")
        started, said = hosts.tool("service", node, "slurmd", "start")
        if not started:
            round_.note(f"slurmd on {node} came back late: {said}")
    return f"reboot of {node}"


# The weight of each injection in the random choice.
WEIGHTS = {
    kill_srun: 4, kill_keeper: 4, kill_guardian: 3, kill_ssh: 12, kill_jobs_watch: 2,
    kill_client: 3, kill_sshd_session: 10, kill_sshd_listener: 4, kill_slurmd: 3,
    kill_slurmctld: 2, kill_slurmstepd: 3, scancel: 2, terminate_srun: 2, close_tunnel: 3,
    terminate_keeper: 2, stop_keeper: 5, stop_ssh: 5, stop_guardian: 3, stop_srun: 4, stop_sshd: 4,
    stop_client: 3, suspend: 3, cut_link: 5, flap_link: 4, delay_link: 4, lossy_link: 4, reboot: 1,
    scarcity.fill_tmp: 4, scarcity.limit_keeper_files: 6, scarcity.limit_ssh_files: 5,
    scarcity.limit_sshd_files: 4, scarcity.limit_srun_files: 3, scarcity.limit_keeper_processes: 5,
    scarcity.starve_start: 5, scarcity.step_clock: 3,
}
# A round of a minute begins with the first of these, or with some of the others.
SLEEP = for_a_minute(suspend)
STOPS = [for_a_minute(one) for one in (stop_keeper, stop_ssh, stop_guardian, stop_srun, stop_sshd)]


def named(function):
    return function.__name__.replace("_", "-")


BY_NAME = {named(function): function for function in WEIGHTS}
