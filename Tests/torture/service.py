#!/usr/bin/python3
"""The job of a torture round: service.py REPORT PORT SECONDS CODE serves checked streams for some
seconds and ends with its own exit code. REPORT is a file of JSON lines.

A connection begins with a line `UP DOWN SEED PAUSE`: so many bytes will come, so many are wanted;
PAUSE milliseconds pass between two writes. When all has come, and the end of file, it answers
`whole` behind the bytes that were wanted.
"""
import json
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stream import Pattern  # noqa: E402


class Report:
    def __init__(self, path):
        self.file = open(path, "a", buffering=1)

    def say(self, **words):
        self.file.write(json.dumps({"time": time.monotonic(), **words}) + "\n")


class Served:
    """One connection; its reader and its writer are threads."""

    def __init__(self, connection, report, totals):
        self.connection = connection
        self.report = report
        self.totals = totals
        self.whole = threading.Event()

    def run(self):
        try:
            with self.connection:
                self.talk()
        except OSError:
            # Broken connections are what this test provokes.
            self.totals["broken"] += 1

    def talk(self):
        heard = self.connection.makefile("rb")
        words = heard.readline().decode().split()
        if len(words) != 4:
            return
        up, down, seed, pause = int(words[0]), int(words[1]), words[2], int(words[3])
        writer = threading.Thread(target=self.write, args=(Pattern(f"{seed}/down", down), pause))
        writer.start()
        try:
            self.read(heard, Pattern(f"{seed}/up", up), seed)
        finally:
            self.whole.set()
            writer.join()

    def read(self, heard, pattern, seed):
        while got := heard.read1(1 << 16):
            self.totals["bytes"] += len(got)
            wrong = pattern.check(got)
            if wrong is not None:
                self.report.say(event="wrong", seed=seed, position=wrong)
                self.totals["wrong"] += 1
                return
        # ssh passes a reset on as an end of file, so this end only sees a short stream.
        self.totals["whole" if pattern.left == 0 else "short"] += 1
        self.is_whole = pattern.left == 0

    def write(self, pattern, pause):
        try:
            while pattern.left:
                self.connection.sendall(pattern.take(1 << 16 if not pause else 1 << 12))
                if pause:
                    time.sleep(pause / 1000)
            self.whole.wait()
            if getattr(self, "is_whole", False):
                self.connection.sendall(b"whole")
            self.connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def serve(listener, report, totals):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=Served(connection, report, totals).run, daemon=True).start()


def main(path, port, seconds, code):
    report = Report(path)
    totals = {"whole": 0, "short": 0, "broken": 0, "wrong": 0, "bytes": 0}
    until = time.monotonic() + float(seconds)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(port)))
    listener.listen(256)
    threading.Thread(target=serve, args=(listener, report, totals), daemon=True).start()
    report.say(event="serving", job=int(os.environ["SLURM_JOB_ID"]),
               step=os.environ.get("SLURM_STEP_ID", ""), until=until)
    while (left := until - time.monotonic()) > 0:
        time.sleep(left)
    report.say(event="ended", code=int(code), **totals)
    # os._exit, because the interpreter's own exit waits for threads.
    os._exit(int(code))


if __name__ == "__main__":
    main(*sys.argv[1:])
