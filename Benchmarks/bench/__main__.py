"""Measures Spunnel on the login host of the test cluster, as root; Benchmarks/run starts it."""

import argparse
import subprocess
import sys

import end
import figures
import host
import small
import start
import traffic
import transport
import unused

PARTS = {"unused": unused, "start": start, "traffic": traffic, "small": small, "transport": transport,
         "end": end}


def arguments():
    parser = argparse.ArgumentParser(prog="run")
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--against")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--json")
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = [part for part in options.only if part not in PARTS]
    if unknown:
        parser.error(f"--only '{','.join(unknown)}': unknown, the parts are {', '.join(PARTS)}")
    return options


def main():
    options = arguments()
    report = figures.Report()
    host.settle()
    for name in PARTS:
        if name in options.only:
            PARTS[name].measure(options, report)
    report.summary()
    if options.json:
        report.write_json(options.json)


try:
    main()
except (host.Unmeasurable, OSError, subprocess.TimeoutExpired) as reason:
    sys.exit(f"run: {reason}")
