"""What was measured, beside what it is compared with and what is wanted of it."""

import json
import statistics


def interleave(rounds, contestants):
    """Runs every contestant once a round, every other round in reverse order, so that whatever else the
    machine does falls on all of them alike.

    contestants: name -> function that measures once; the result: name -> values, a round each."""
    values = {name: [] for name in contestants}
    for number in range(rounds):
        names = list(contestants)
        for name in reversed(names) if number % 2 else names:
            values[name].append(contestants[name]())
    return values


class Bound:
    """What is wanted: at most, or at least, so much."""

    def __init__(self, sign, limit):
        self.sign = sign
        self.limit = limit

    def met(self, value):
        return value <= self.limit if self.sign == "≤" else value >= self.limit

    def __str__(self):
        return f"{self.sign} {self.limit:g}"


def at_most(limit):
    return Bound("≤", limit)


def at_least(limit):
    return Bound("≥", limit)


class Report:
    WIDTHS = (48, 16, 16, 8, 8)

    def __init__(self):
        self.figures = []

    def part(self, title):
        print(f"\n{title}", flush=True)
        self.row("", "spunnel", "compared with", "ratio", "wanted")

    def row(self, what, *columns):
        texts = [what.ljust(self.WIDTHS[0])]
        texts += [text.rjust(width) for text, width in zip(columns, self.WIDTHS[1:])]
        print("  " + " ".join(texts + list(columns[4:])).rstrip(), flush=True)

    def compare(self, what, unit, ours, theirs, bound=None, places=1):
        """Two lists of values of the same rounds. The ratio is the median of the rounds' own ratios:
        slow changes of the machine's speed cancel out."""
        ratio = statistics.median(our / their for our, their in zip(ours, theirs))
        columns = [f"{statistics.median(values):.{places}f} {unit}" for values in (ours, theirs)]
        self.add(what, unit, ours, theirs, ratio, bound, columns + [f"{ratio:.3f}"])

    def single(self, what, unit, values, bound=None, places=1):
        """A figure that is compared with nothing but its bound."""
        value = statistics.median(values)
        self.add(what, unit, values, [], value, bound, [f"{value:.{places}f} {unit}", "", ""])

    def add(self, what, unit, ours, theirs, decisive, bound, columns):
        met = None if bound is None else bound.met(decisive)
        verdict = {None: "", True: "met", False: "MISSED"}[met]
        self.row(what, *columns, str(bound or ""), verdict)
        self.figures.append(
            dict(what=what, unit=unit, spunnel=ours, compared_with=theirs, decisive=decisive,
                 wanted=str(bound or ""), met=met))

    def summary(self):
        bounded = [figure for figure in self.figures if figure["met"] is not None]
        met = sum(figure["met"] for figure in bounded)
        print(f"\n{met} of {len(bounded)} bounds are met")

    def write_json(self, path):
        with open(path, "w") as file:
            json.dump(self.figures, file, indent=1)
            file.write("\n")
