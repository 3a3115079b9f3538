"""What torture does to tunnels, hosts and daemons. Each injection is a function of a round and a
random generator; it notes which tunnels may feel it, does it, and returns what it did in words."""
import os
import resource
import signal
import subprocess
import threading
import time

import hosts

# One change of daemons or of a host at a time: a host that starts again wants its daemons.
daemons = threading.Lock()
# One illness of a cable at a time, for each host.
cables = {host: threading.Lock() for host in hosts.HOSTS}


class Missed(Exception):
    """There was nobody to do it to."""


def pick(round_, chance, wanted=lambda tunnel: True):
    """A tunnel whose job runs and whose keeper lives."""
    now = time.monotonic()
    fit = [tunnel for tunnel in round_.tunnels
           if tunnel.until and not tunnel.gone and not tunnel.job_hit and now < tunnel.until - 0.3
           and wanted(tunnel)]
    if not fit:
        raise Missed()
    return chance.choice(fit)


def part(tunnel, name, among=None):
    found = tunnel.parts(among).get(name)
    if not found:
        raise Missed()
    return found


def srun_of(tunnel, among):
    found = tunnel.srun(among)
    if not found:
        raise Missed()
    return found


def is_srun(tunnel):
    return tunnel.kind == "srun"


# --- Killing ---------------------------------------------------------------------------------


def kill_srun(round_, chance):
    tunnel = pick(round_, chance, is_srun)
    targets = srun_of(tunnel, hosts.processes())
    # srun has a helper that only waits for it; the first is srun itself.
    tunnel.touch("kill srun", gone=True, job=True)
    hosts.send(signal.SIGKILL, targets[0])
    return f"kill -9 srun {targets[0].pid} of {tunnel.name}"


def kill_keeper(round_, chance):
    tunnel = pick(round_, chance)
    target = part(tunnel, "keeper")
    tunnel.touch("kill keeper", gone=True)
    hosts.send(signal.SIGKILL, target)
    return f"kill -9 keeper {target.pid} of {tunnel.name}"


def kill_guardian(round_, chance):
    tunnel = pick(round_, chance)
    target = part(tunnel, "guardian")
    tunnel.touch("kill guardian", gone=True)
    hosts.send(signal.SIGKILL, target)
    return f"kill -9 guardian {target.pid} of {tunnel.name}"


def kill_ssh(round_, chance):
    tunnel = pick(round_, chance)
    target = part(tunnel, "ssh")
    tunnel.touch("kill ssh")
    hosts.send(signal.SIGKILL, target)
    return f"kill -9 ssh {target.pid} of {tunnel.name}"


def kill_jobs_watch(round_, chance):
    tunnel = pick(round_, chance, lambda tunnel: not is_srun(tunnel))
    target = part(tunnel, "spunnel-jobs")
    # It is started again after two seconds, and may find the job's end only then.
    tunnel.touch("kill spunnel-jobs", slack=2.5)
    hosts.send(signal.SIGKILL, target)
    return f"kill -9 spunnel-jobs {target.pid} of {tunnel.name}"


def kill_client(round_, chance):
    tunnel = pick(round_, chance)
    targets = hosts.descendants(tunnel.client.pid, hosts.processes())
    if not targets:
        raise Missed()
    tunnel.client_hit = True
    hosts.send(signal.SIGKILL, *targets)
    return f"kill -9 client of {tunnel.name}"


def sessions(node, user, among):
    """The processes of a user's ssh sessions on a node, and their parents that are still root."""
    return [one for one in among if one.host == node and one.name == "sshd"
            and any(word in (f"sshd: {user}", f"sshd: {user} [priv]") for word in one.words)]


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
        pid = (hosts.root(host) / f"run/{daemon}/{daemon}.pid").read_text().strip()
        found = [one for one in hosts.processes() if one.host == host and one.name == daemon
                 and _inner_pid(one) == pid]
        hosts.send(signal.SIGKILL, *found)
        time.sleep(pause)
        started, said = hosts.tool("service", host, daemon, "start")
        if not started:
            round_.note(f"{daemon} on {host} came back late: {said}")


def _inner_pid(process):
    for line in open(f"/proc/{process.pid}/status"):
        if line.startswith("NSpid:"):
            return line.split()[-1]
    return ""


def kill_sshd_listener(round_, chance):
    node, pause = chance.choice(hosts.NODES), chance.uniform(0, 1.5)
    # Sessions go on without it; a tunnel that wants a new one waits.
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
        # Killed, it forgets jobs that are younger than some seconds; that is Slurm's own loss.
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


def pause_for(targets, seconds):
    stopped = hosts.send(signal.SIGSTOP, *targets)
    time.sleep(seconds)
    hosts.resume(stopped)


def stop_part(round_, chance, name):
    tunnel, seconds = pick(round_, chance), chance.uniform(0.2, 3)
    target = part(tunnel, name)
    tunnel.touch(f"stop {name}", slack=seconds)
    pause_for([target], seconds)
    return f"SIGSTOP of {name} {target.pid} of {tunnel.name} for {seconds:.1f} s"


def stop_keeper(round_, chance):
    return stop_part(round_, chance, "keeper")


def stop_ssh(round_, chance):
    return stop_part(round_, chance, "ssh")


def stop_guardian(round_, chance):
    return stop_part(round_, chance, "guardian")


def stop_srun(round_, chance):
    tunnel, seconds = pick(round_, chance, is_srun), chance.uniform(0.2, 3)
    targets = srun_of(tunnel, hosts.processes())
    tunnel.touch("stop srun", slack=seconds)
    pause_for(targets, seconds)
    return f"SIGSTOP of srun of {tunnel.name} for {seconds:.1f} s"


def suspend(round_, chance):
    host, seconds = chance.choice(hosts.HOSTS), chance.uniform(0.5, 3)
    round_.slack = max(round_.slack, 15.0)
    for tunnel in round_.tunnels:
        if host in ("login", tunnel.node):
            tunnel.touch(f"suspend {host}", slack=seconds)
        tunnel.quiet_until = max(tunnel.quiet_until, time.monotonic() + seconds)
    stopped = hosts.stop_all(host)
    try:
        time.sleep(seconds)
    finally:
        hosts.resume(stopped)
    return f"suspended {host} for {seconds:.1f} s ({len(stopped)} processes)"


# --- The network -------------------------------------------------------------------------------


def on_cable(round_, host, name, seconds):
    for tunnel in round_.tunnels:
        if host in ("login", tunnel.node):
            tunnel.touch(name, slack=seconds)
    # Commands of Slurm wait for answers, and are asked again after some seconds.
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


# --- Scarcity ----------------------------------------------------------------------------------


def fill_tmp(round_, chance):
    """No byte is left in /tmp of the login host, where the records are, for some seconds."""
    seconds, inodes = chance.uniform(0.5, 3), chance.random() < 0.3
    found = os.statvfs(hosts.root("login") / "tmp")
    used = found.f_blocks - found.f_bfree
    # A size of zero would be none at all.
    limit = (f"nr_inodes={max(1, found.f_files - found.f_ffree)}" if inodes
             else f"size={max(1, used) * found.f_frsize}")
    for tunnel in round_.tunnels:
        # A connection that is lost now comes back only once there is room for its socket.
        if tunnel.touches:
            tunnel.touch("/tmp full", slack=seconds)
    subprocess.run(hosts.enter("login", "mount", "-o", f"remount,{limit}", "/tmp"), check=False)
    try:
        time.sleep(seconds)
    finally:
        round_.free_tmp()
    return f"/tmp of login full ({limit}) for {seconds:.1f} s"


def limit(round_, chance, name, kind, spare):
    tunnel, seconds = pick(round_, chance), chance.uniform(0.5, 3)
    target = part(tunnel, name)
    tunnel.touch(f"limit {name}", slack=seconds)
    try:
        before = resource.prlimit(target.pid, kind)
        now = 1 + max(map(int, os.listdir(f"/proc/{target.pid}/fd"))) + spare
        if kind == resource.RLIMIT_NPROC:
            now = 1
        resource.prlimit(target.pid, kind, (now, before[1]))
        time.sleep(seconds)
        resource.prlimit(target.pid, kind, before)
    except (OSError, ValueError):
        raise Missed() from None
    return f"{name} of {tunnel.name} limited to {now} for {seconds:.1f} s"


def limit_keeper_files(round_, chance):
    return limit(round_, chance, "keeper", resource.RLIMIT_NOFILE, chance.randrange(4))


def limit_ssh_files(round_, chance):
    return limit(round_, chance, "ssh", resource.RLIMIT_NOFILE, chance.randrange(4))


def limit_keeper_processes(round_, chance):
    """ssh is killed while the keeper cannot start another one."""
    tunnel = pick(round_, chance)
    target = part(tunnel, "ssh")
    tunnel.touch("kill ssh")
    timer = threading.Timer(0.1, hosts.send, (signal.SIGKILL, target))
    timer.start()
    keeper = part(tunnel, "keeper")
    tunnel.touch("limit keeper", slack=1.5)
    try:
        before = resource.prlimit(keeper.pid, resource.RLIMIT_NPROC)
        resource.prlimit(keeper.pid, resource.RLIMIT_NPROC, (1, before[1]))
        time.sleep(1)
        resource.prlimit(keeper.pid, resource.RLIMIT_NPROC, before)
    except OSError:
        raise Missed() from None
    return f"keeper of {tunnel.name} may start nothing, its ssh {target.pid} killed"


# How often each is chosen.
WEIGHTS = {
    kill_srun: 4, kill_keeper: 4, kill_guardian: 3, kill_ssh: 12, kill_jobs_watch: 2,
    kill_client: 3, kill_sshd_session: 10, kill_sshd_listener: 4, kill_slurmd: 3,
    kill_slurmctld: 2, kill_slurmstepd: 3, scancel: 2, terminate_srun: 2, close_tunnel: 3,
    terminate_keeper: 2, stop_keeper: 6, stop_ssh: 6, stop_guardian: 3, stop_srun: 5, suspend: 3,
    cut_link: 5, flap_link: 4, delay_link: 4, lossy_link: 4, reboot: 1, fill_tmp: 4,
    limit_keeper_files: 5, limit_ssh_files: 5, limit_keeper_processes: 4,
}
BY_NAME = {function.__name__.replace("_", "-"): function for function in WEIGHTS}
