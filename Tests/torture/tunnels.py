"""A tunnel under torture: its job, the traffic through it, what was done to it, and the verdict."""
import json
import random
import subprocess
import threading
import time

import hosts
from targets import CRASHES, Missed, sessions

# Seconds by which any part of a tunnel may outlive its job.
OUTLIVE = 5.0
# Seconds from the end of its service to the end of an undisturbed job.
DELAY = 4.0
WHOLE_JOB = 0xfffffffc
TOOLS = "/home/torture"


class Tunnel:
    def __init__(self, kind, number, user, node, port, exec_port, seconds, seed, round_):
        self.kind = kind
        self.user = user
        self.node = node
        self.port = port
        self.exec_port = exec_port
        self.seconds = seconds
        self.code = random.Random(seed).randrange(0, 40)
        self.seed = seed
        self.name = f"r{round_.number}t{number}"
        self.round = round_
        self.report = f"/home/{user}/{round_.folder.name}.{self.name}"
        self.files = hosts.STATE / "home" / user
        self.output = round_.folder / f"{self.name}.output"
        self.traffic = round_.folder / f"{self.name}.traffic"
        self.process = None
        self.client = None
        self.job = None
        self.until = None
        # The injections that hit this tunnel, as (time, name), and what follows from them.
        self.touches = []
        self.job_hit = None
        self.service_hit = None
        self.gone = None
        self.slack = 0.0
        self.quiet_until = 0.0
        self.client_hit = False
        self.crowds = []
        self.sick = None

    # --- Start -------------------------------------------------------------------------------

    @property
    def step(self):
        return f"{self.job}.{0 if self.kind == 'srun' else WHOLE_JOB}"

    def begin(self):
        service = [f"{TOOLS}/service.py", self.report, str(self.exec_port), str(self.seconds),
                   str(self.code)]
        forward = f"{self.port}:{self.exec_port}"
        self.begun = time.monotonic()
        if self.kind == "srun":
            self.process = hosts.start("login", self.user, "srun", "-w", self.node, "--tunnel",
                                       forward, *service, output=self.output)
            return
        words = ["sbatch", "--parsable", "--no-requeue", "-w", self.node, "-o", "/dev/null"]
        if self.kind == "sbatch":
            words += ["--tunnel", forward]
        words += ["--wrap", " ".join(service)]
        said = hosts.ask("login", self.user, *words, errors=subprocess.STDOUT)
        self.output.write_text(said)
        lines = [line for line in said.splitlines() if line.strip().isdigit()]
        if not lines:
            self.sick = f"sbatch said '{said.strip()}'"
            return
        self.job = int(lines[-1])
        if self.kind == "open":
            self.open(forward)

    def open(self, forward):
        done = subprocess.run(
            hosts.inside("login", self.user, "spunnelctl", "open", "--wait", "--background",
                         str(self.job), forward),
            stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=40)
        self.output.write_text(done.stdout)
        if done.returncode != 0:
            self.sick = f"spunnelctl open: {done.stdout.strip()}"

    def reports(self):
        try:
            text = (self.files / f"{self.round.folder.name}.{self.name}").read_text()
        except OSError:
            return []
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def serves(self):
        """Whether the job's service has begun; its traffic begins then."""
        if self.until:
            return True
        for report in self.reports():
            if report["event"] == "serving":
                self.job = report["job"]
                self.until = report["until"]
                self.client = hosts.start(
                    "login", self.user, f"{TOOLS}/client.py", str(self.port), self.seed,
                    str(self.until - 0.6), output=self.traffic)
                return True
        return False

    # --- What is done to it --------------------------------------------------------------------

    def touch(self, name, gone=False, job=False, service=False, slack=0.0, quiet=0.0):
        """Notes an injection that this tunnel may feel.

        gone: the tunnel ends by it. job: the job itself may end, or its exit code change. service:
        its service may be killed, so that an early end of file is the service's own. slack: seconds
        for which it may hold everything up. quiet: the same, but the job has that time to spare.
        """
        now = time.monotonic()
        self.touches.append((now, name))
        if gone and not self.gone:
            self.gone = now
            threading.Thread(target=self.expect_gone, args=(now, name), daemon=True).start()
        if job:
            self.job_hit = self.job_hit or now
        if service:
            self.service_hit = self.service_hit or now
        self.slack += slack
        if slack or quiet:
            self.quiet_until = max(self.quiet_until, now + slack + quiet)

    def parts(self, among=None):
        """The keeper, its guardian, ssh and spunnel-jobs."""
        among = among if among is not None else hosts.processes()
        found = {}
        for one in among:
            if one.host != "login" or one.name not in ("spunnel-keeper", "spunnel-guard"):
                continue
            if len(one.words) > 1 and one.words[1] == self.step:
                found["guardian" if one.name == "spunnel-guard" else "keeper"] = one
        if "keeper" in found:
            for one in among:
                if one.parent == found["keeper"].pid and one.name in ("ssh", "spunnel-jobs"):
                    found[one.name] = one
        return found

    def srun(self, among):
        """srun itself: the only child of `in`, and that one's helper."""
        if not self.process:
            return []
        return [one for one in hosts.descendants(self.process.pid, among) if one.name == "srun"]

    def sshd(self, among):
        """The user's own process at the far end of ssh's connection."""
        ssh = self.parts(among).get("ssh")
        ports = {near for near, far in hosts.connections(ssh) if far == 22} if ssh else set()
        # Through srun this process is in a step of the job and has no port.
        steps = [one for stepd in self.stepds(among) for one in hosts.descendants(stepd.pid, among)]
        for one in sessions(self.node, self.user, among):
            if one.uid == 0 or one.words[0].endswith("[priv]"):
                continue
            if one in steps or any(far in ports for near, far in hosts.connections(one) if near == 22):
                return one
        raise Missed()

    def complaints(self, text):
        """How often the tunnel's log has a text."""
        log = hosts.root("login") / f"tmp/spunnel-{hosts.USERS[self.user]}/{self.step}/log"
        try:
            return log.read_text(errors="replace").count(text)
        except OSError:
            return 0

    def serves_between(self, start, end):
        """Whether a stream came to its end in that time."""
        return any(event.get("outcome") == "whole" and start < event["time"] < end
                   for event in self.events())

    def crowd(self, count, seed):
        """Connects many clients at once, beside those that are always there."""
        output = self.round.folder / f"{self.name}.crowd{len(self.crowds)}"
        self.crowds.append((hosts.start(
            "login", self.user, f"{TOOLS}/client.py", str(self.port), str(seed),
            str(self.until - 0.6), str(count), output=output), output))

    def stepds(self, among):
        return [one for one in among if one.name == "slurmstepd"
                and f"[{self.job}." in " ".join(one.words) and "extern" not in " ".join(one.words)]

    # --- The end -------------------------------------------------------------------------------

    def remains(self):
        """What is there of the tunnel, in words."""
        found = [f"{name} {one.pid}" for name, one in self.parts().items()]
        if (hosts.USERS[self.user], self.step) in hosts.records():
            found.append(f"record {self.step}")
        if self.port in hosts.listening("login"):
            found.append(f"port {self.port}")
        return found

    def expect_gone(self, since, why):
        """Watches that nothing of the tunnel is left in time."""
        while True:
            found = self.remains()
            # A stopped process cannot act. The time counts from when it goes on.
            late = time.monotonic() - max(since, self.quiet_until)
            if not found:
                self.round.outlived.append(max(0.0, late))
                return
            if late > OUTLIVE:
                self.fail(f"{', '.join(found)} {late:.1f} s after: {why}")
                return
            time.sleep(0.1)

    def fail(self, what):
        self.round.fail(f"{self.describe()}: {what}")

    def describe(self):
        done = ", ".join(f"{name}@{when - self.round.began:.1f}" for when, name in self.touches)
        return (f"{self.name} ({self.kind}, {self.user}, {self.node}, {self.port}:{self.exec_port}, "
                f"job {self.job}; {done or 'left alone'})")

    def ending(self):
        for report in self.reports():
            if report["event"] == "ended":
                return report
        return None

    def judge_job(self):
        """Waits for the job's end and says whether it was as it would have been without a tunnel."""
        if self.sick or not self.until:
            return
        if self.kind == "srun":
            self.judge_srun()
        else:
            self.judge_batch()

    def limit(self):
        """When the job is over at the latest. One that was hit may hang in Slurm; it is cancelled."""
        if self.job_hit:
            return max(self.until, self.quiet_until) + 1
        return self.until + DELAY + self.slack + self.round.slack + self.round.spare

    def judge_srun(self):
        limit = self.limit()
        try:
            code = self.process.wait(max(1, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            if not self.job_hit:
                self.fail(f"srun has not ended {time.monotonic() - self.until:.1f} s after its time")
            hosts.ask("login", "root", "scancel", str(self.job))
            try:
                code = self.process.wait(15)
            except subprocess.TimeoutExpired:
                hosts.send(9, *self.srun(hosts.processes()))
                code = self.process.wait()
        ended = time.monotonic()
        if not self.gone:
            self.gone = ended
            self.expect_gone(ended, "srun ended")
        self.judge_code(code)

    def judge_code(self, code):
        if code in CRASHES and self.kind == "srun":
            self.fail(f"srun crashed: exit {code}: {self.said()}")
        if self.job_hit:
            return
        if not self.ending():
            self.fail(f"the job did not run to its end: exit {code}: {self.said()}")
        elif code != self.code:
            self.fail(f"exit {code} in place of {self.code}: {self.said()}")
        else:
            self.round.finished += 1

    def said(self):
        try:
            return self.output.read_text(errors="replace").strip()[-600:].replace("\n", " | ")
        except OSError:
            return ""

    def judge_batch(self):
        limit = self.limit()
        while True:
            state, code = self.ask_state()
            if state and state not in ("RUNNING", "PENDING", "COMPLETING"):
                break
            if time.monotonic() > limit:
                if not state and self.round.controllers_killed:
                    # Slurm has lost the job: a killed slurmctld forgets what it had not saved.
                    self.job_hit = self.job_hit or time.monotonic()
                    break
                if not self.job_hit:
                    self.fail(f"the job is {state} {time.monotonic() - self.until:.1f} s after its time")
                hosts.ask("login", "root", "scancel", str(self.job))
                limit = time.monotonic() + 10
                self.job_hit = self.job_hit or time.monotonic()
            time.sleep(0.3)
        ended = time.monotonic()
        if not self.gone:
            self.gone = ended
            self.expect_gone(ended, f"the job is {state}")
        self.judge_code(code)

    def ask_state(self):
        said = hosts.ask("login", "root", "scontrol", "--oneliner", "show", "job", str(self.job))
        words = dict(word.split("=", 1) for word in said.split() if "=" in word)
        code = words.get("ExitCode", "0:0").split(":")
        return words.get("JobState"), int(code[0]) or (128 + int(code[1]) if int(code[1]) else 0)

    # --- Traffic -------------------------------------------------------------------------------

    def judge_traffic(self):
        """Every byte right, in order, and a cut that cannot be taken for an end."""
        if not self.client:
            return
        try:
            self.client.wait(max(1, self.until - time.monotonic() + 5 + self.round.spare))
        except subprocess.TimeoutExpired:
            if not self.client_hit:
                self.fail("the client hangs")
            self.client.kill()
            self.client.wait()
        for crowd, _ in self.crowds:
            try:
                crowd.wait(max(1, self.until - time.monotonic() + 5 + self.round.spare))
            except subprocess.TimeoutExpired:
                self.fail("a crowd hangs")
                crowd.kill()
        whole, bad = [], []
        for event in self.events():
            if "totals" in event:
                self.round.count(event["totals"])
            elif event["outcome"] == "whole":
                whole.append(event)
            else:
                bad.append(self.judge_event(event))
        bad = [what for what in bad if what]
        if bad:
            self.fail(f"{bad[0]}; {len(bad) - 1} more like it; {self.said()}")
        self.judge_healing(whole)
        for report in self.reports():
            if report["event"] == "wrong":
                self.fail(f"the service read a wrong byte: {report}")

    def events(self):
        for output in [self.traffic] + [output for _, output in self.crowds]:
            for line in output.read_text(errors="replace").splitlines():
                try:
                    yield json.loads(line)
                except ValueError:
                    # A killed client may have printed half a line.
                    continue

    def judge_event(self, event):
        """Returns what is wrong with a stream that did not come to its end."""
        when, outcome = event["time"], event["outcome"]
        if outcome == "open":
            return None
        text = f"{outcome} {event.get('more', '')} of {event.get('kind')} {event.get('seed')} " \
               f"from {event['began'] - self.round.began:.2f} to {when - self.round.began:.2f}"
        if outcome == "wrong":
            return f"the client read a wrong byte: {text}"
        if not any(touched - 0.3 < when for touched, _ in self.touches):
            return f"without a reason: {text}"
        if outcome in ("short", "empty") and not (
                self.service_hit and self.service_hit - 0.3 < when):
            return f"a cut looks like an end: {text}"
        return None

    def judge_healing(self, whole):
        """A tunnel that lives has served again after what was done to it."""
        if self.gone and self.gone < self.until - 0.5 or self.service_hit or self.client_hit:
            return
        if not self.touches:
            return
        last = max([self.quiet_until] + [when for when, _ in self.touches])
        again = [event["time"] - last for event in whole if event["began"] > last]
        if again:
            self.round.healed.append(min(again))
        elif self.until - last > self.round.patience:
            self.fail(f"served nobody in the {self.until - last:.1f} s after {self.touches[-1][1]}")
