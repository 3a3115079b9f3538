"""The figures of torture: what was done, what came of it, and whether it was done as it should be."""
import collections
import statistics

# An injection that ran this often and that no tunnel ever felt does not work as intended.
FUTILE = 10


class Figures:
    def __init__(self):
        self.done = collections.Counter()
        self.missed = 0
        self.felt = collections.Counter()
        self.streams = collections.Counter()
        self.outlived = []
        self.healed = []
        self.jobs = 0
        self.finished = 0
        self.failures = []

    def judge(self):
        """Of the injections that can tell whether they were felt, each was at some time."""
        for name, done in sorted(self.done.items()):
            if done >= FUTILE and self.felt[name, False] and not self.felt[name, True]:
                self.failures.append(f"{name} was done {done} times and never felt")
                print(f"FAILED {self.failures[-1]}", flush=True)

    def tell(self, seed, rounds, seconds):
        streams, felt = self.streams, self.felt
        print(f"seed {seed}: {sum(self.done.values())} injections in {rounds} rounds, "
              f"{seconds / 60:.1f} minutes; {self.missed} found nobody")
        print("  " + ", ".join(f"{name} {count}" for name, count in sorted(self.done.items())))
        for name in sorted({name for name, _ in felt}):
            print(f"  {name} was felt {felt[name, True]} times of {felt[name, True] + felt[name, False]}")
        print(f"  jobs: {self.jobs}, of which {self.finished} were left alone and ended with their "
              "own exit code")
        print(f"  streams: {streams['whole']} whole, {streams['reset']} reset, {streams['refused']} "
              f"refused, {streams['short'] + streams['empty']} ended by their service's death, "
              f"{streams['open']} open at the end, {streams['wrong']} wrong; "
              f"{streams['bytes'] / 1e6:.0f} MB checked")
        print(f"  gone after the end: {spread(self.outlived)} ({len(self.outlived)} tunnels)")
        print(f"  served again after an injection: {spread(self.healed)} ({len(self.healed)})")
        print(f"  failures: {len(self.failures)}")


def spread(values):
    if not values:
        return "none"
    ordered = sorted(values)
    return (f"median {statistics.median(ordered):.2f} s, "
            f"95 % {ordered[int(len(ordered) * 0.95)]:.2f} s, longest {ordered[-1]:.2f} s")
