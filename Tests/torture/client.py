#!/usr/bin/python3
"""The user at the submit port in a torture round: client.py PORT SEED UNTIL [CROWD] keeps several
checked streams going, both ways, until the time UNTIL, and prints what became of them as JSON lines.
With CROWD it is so many at once, each of which ends soon.

Every connection ends as one of: `whole`, `reset` (any error of a socket), `refused` (nobody
listens), `short` (an end of file that came too early), `empty` (the same before the first byte),
`wrong` (a byte that should not be there), `open` (still under way at the end).
"""
import collections
import json
import os
import random
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stream import Pattern  # noqa: E402

END = b"whole"


class Out:
    lock = threading.Lock()

    @classmethod
    def say(cls, **words):
        with cls.lock:
            print(json.dumps(words), flush=True)


class Stream:
    """One connection through the tunnel."""

    def __init__(self, port, seed, until, up, down, pause):
        self.port = port
        self.seed = seed
        self.until = until
        self.up = up
        self.down = down
        self.pause = pause
        self.got = 0

    def run(self):
        """Returns the outcome, and what more there is to say of it."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
                connection.settimeout(max(0.05, self.until - time.monotonic()))
                return self.talk(connection)
        except TimeoutError:
            return "open", ""
        except ConnectionRefusedError:
            return "refused", ""
        except OSError as error:
            return ("open" if time.monotonic() >= self.until else "reset"), str(error)

    def talk(self, connection):
        connection.sendall(f"{self.up} {self.down} {self.seed} {self.pause}\n".encode())
        writer = threading.Thread(target=self.write, args=(connection,), daemon=True)
        writer.start()
        outcome = self.read(connection)
        if outcome[0] != "whole":
            # Ends the writer, even if it is blocked in a send.
            connection.shutdown(socket.SHUT_RDWR)
        writer.join()
        return outcome

    def write(self, connection):
        pattern = Pattern(f"{self.seed}/up", self.up)
        try:
            while pattern.left:
                connection.sendall(pattern.take(1 << 16 if not self.pause else 1 << 12))
                if self.pause:
                    time.sleep(self.pause / 1000)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def read(self, connection):
        pattern = Pattern(f"{self.seed}/down", self.down)
        tail = b""
        while got := connection.recv(1 << 16):
            self.got += len(got)
            body = got[:pattern.left]
            wrong = pattern.check(body)
            tail += got[len(body):]
            if wrong is not None or not END.startswith(tail):
                return "wrong", f"at {wrong if wrong is not None else self.got} of {self.down}"
            if time.monotonic() >= self.until:
                return "open", ""
        if tail == END:
            return "whole", ""
        if time.monotonic() >= self.until:
            return "open", ""
        return ("short" if self.got else "empty"), f"{self.got} of {self.down + len(END)} bytes"


class Worker:
    """One stream after the other, all of a kind."""

    def __init__(self, kind, port, seed, until, totals):
        self.kind = kind
        self.random = random.Random(f"{seed}/{kind}")
        self.port = port
        self.until = until
        self.totals = totals

    def run(self):
        number = 0
        while time.monotonic() < self.until - 0.3:
            number += 1
            self.one(number)

    def one(self, number):
        up, down, pause, rest = self.sizes()
        seed = f"{self.random.getrandbits(32):08x}"
        began = time.monotonic()
        stream = Stream(self.port, seed, self.until, up, down, pause)
        outcome, more = stream.run()
        self.totals[outcome] += 1
        self.totals["bytes"] += stream.got
        if outcome in ("whole", "open"):
            Out.say(outcome=outcome, began=began, time=time.monotonic())
        else:
            Out.say(outcome=outcome, began=began, time=time.monotonic(), kind=self.kind, seed=seed,
                    more=more)
            rest = 0.1
        time.sleep(rest)

    def sizes(self):
        chance = self.random
        if self.kind == "bulk":
            return chance.randrange(2 << 20), chance.randrange(2 << 20), 0, 0.1
        if self.kind == "crowd":
            return chance.randrange(1 << 15), chance.randrange(1 << 15), 100, 0
        if self.kind == "slow":
            return chance.randrange(1 << 17), chance.randrange(1 << 17), 60, 0
        return chance.randrange(2000), chance.randrange(2000), 0, 0.04


def main(port, seed, until, crowd="0"):
    totals = collections.Counter()
    until = float(until)
    if int(crowd):
        threads = [threading.Thread(
            target=Worker("crowd", int(port), f"{seed}/{number}", until, totals).one, args=(number,),
            daemon=True) for number in range(int(crowd))]
    else:
        threads = [threading.Thread(
            target=Worker(kind, int(port), seed, until, totals).run, daemon=True)
            for kind in ("bulk", "slow", "short")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, until + 1 - time.monotonic()))
    Out.say(totals=totals)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
