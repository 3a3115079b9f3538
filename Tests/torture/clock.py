#!/usr/bin/python3
"""Steps the machine's clock and puts it back: clock.py STEP SECONDS. A process of its own, which
ends early when its standard input does: whoever dies meanwhile, no step stays."""
import fcntl
import select
import signal
import sys
import time

# All clusters on a machine share its clock. Two overlapping steps would leave it wrong.
LOCK = "/run/lock/spunnel-clock"


def difference():
    """What the steps of the clock change, and the time that passes does not."""
    return time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_BOOTTIME)


def put(wanted):
    time.clock_settime(time.CLOCK_REALTIME, wanted + time.clock_gettime(time.CLOCK_BOOTTIME))


def main(step, seconds):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with open(LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = difference()
        try:
            put(before + step)
            seen = difference() - before
            select.select([sys.stdin], [], [], seconds)
        finally:
            put(before)
        print(f"{seen:+.1f} s, and {(difference() - before) * 1000:+.1f} ms left of it")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
