"""How long `spunnelctl status` takes with many records, made by hand, stale and locked."""
import fcntl
import os
import resource
import statistics
import subprocess
import tempfile
import time

HOST = "node n{0}\n" + "forward local n{0} {1} localhost 8000\nforward local n{0} {2} localhost 8888\n"
STATUS = """state up
since 1763700000000
started 1763699990000
connections 1
accepted 12
refused 0
sent 123456
received 9876543
keeper 4711
ssh 4712
far listening
far refused
"""


def make(folder, count):
    """Makes the records; every second one is held by this process, as a keeper would."""
    held = []
    os.mkdir(folder, 0o700)
    for number in range(count):
        record = f"{folder}/{number + 1}.0"
        os.mkdir(record, 0o700)
        with open(record + "/host", "w") as file:
            file.write(HOST.format(number % 64 + 1, 10000 + number, 20000 + number))
        with open(record + "/status", "w") as file:
            file.write(STATUS)
        if number % 2:
            lock = os.open(record, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            held.append(lock)
    return held


def measure(command, runs=21):
    """The medians in milliseconds: by the clock, and on a processor."""
    times, processor = [], []
    for _ in range(runs):
        start, used = time.perf_counter(), processor_time()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append(1000 * (time.perf_counter() - start))
        processor.append(1000 * (processor_time() - used))
    return statistics.median(times), statistics.median(processor)


def processor_time():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def status(program, count, runs=21):
    """Yields what was typed and its medians, for each form of `status` with so many records."""
    with tempfile.TemporaryDirectory(dir="/tmp") as base:
        held = make(f"{base}/spunnel-{os.getuid()}", count)
        try:
            for words in (["status"], ["status", "--json"]):
                yield " ".join(words), *measure([program, *words, "--state-dir", base], runs)
        finally:
            for lock in held:
                os.close(lock)
