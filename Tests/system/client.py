#!/usr/bin/python3
"""The client of the system tests: client.py [-6] PORT|PATH WHAT [ARGUMENT], see service.py.

  name              prints the answer, or "closed before a byte"
  source N          fetches N bytes, prints "same" when they are the pattern
  sum N             sends N bytes, ends its direction, prints "same" when the answer is their sum
  urgent N          sends N bytes, one of urgent data and N bytes, and ends its direction; prints "same" when
                    the answer is the sum of the others
  urgently          prints the lines that came back of three with urgent data in each and behind the last
  greet N           reads the greeting to its end, then sends N bytes; prints "hello"
  last N            prints "same" when the last `greet` read N bytes of the pattern
  hold              prints "held", then "closed" or "reset" when the other end does it
  pulse             prints "back" for each of the lines that it has echoed, for ever
  ended             how each `hold` has ended for the service: "closed" or "reset"
  many N            N connections, all open at once, each with a text of its own; prints how many
  each N            N short connections, ten at a time; prints how many were right
  slow N            fetches N bytes that it does not read while another connection fetches N
  tardy COUNT N     sends N bytes on each of COUNT connections that nobody reads; prints "stuck" when they go no
                    further, and after a `begin` how many were answered with the sum
  begin             has each `tardy` read
"""
import concurrent.futures
import hashlib
import select
import socket
import sys
import time

from service import CHUNK, pattern

PATIENCE = 120


class Client:
    def __init__(self, address):
        self.address = address

    def connect(self, what):
        if isinstance(self.address, str):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(PATIENCE)
            connection.connect(self.address)
        else:
            connection = socket.create_connection(self.address, PATIENCE)
        connection.sendall(f"{what}\n".encode())
        return connection

    def read(self, connection):
        parts = []
        while part := connection.recv(CHUNK):
            parts.append(part)
        return b"".join(parts)

    def ask(self, what):
        with self.connect(what) as connection:
            return self.read(connection)

    def name(self):
        try:
            answer = self.ask("name").decode().strip()
        except (ConnectionResetError, BrokenPipeError):
            answer = ""
        return answer or "closed before a byte"

    def source(self, length):
        return same(self.ask(f"source {length}"), pattern(int(length)))

    def ended(self):
        return self.ask("ended").decode().strip()

    def sum(self, length):
        with self.connect("sum") as connection:
            connection.sendall(pattern(int(length)))
            connection.shutdown(socket.SHUT_WR)
            return same(self.read(connection), digest(length))

    def urgent(self, length):
        half = pattern(int(length))
        with self.connect("sum") as connection:
            connection.sendall(half)
            connection.send(b"!", socket.MSG_OOB)
            connection.sendall(half)
            connection.shutdown(socket.SHUT_WR)
            return same(self.read(connection), hashlib.sha256(2 * half).hexdigest().encode() + b"\n")

    def urgently(self):
        with self.connect("echo") as connection, connection.makefile("rb") as answers:
            came = b""
            for line in b"!first\n", b"sec!ond\n", b"third!\n":
                before, after = line.split(b"!")
                connection.sendall(before)
                connection.send(b"!", socket.MSG_OOB)
                connection.sendall(after)
                came += answers.readline()
            connection.send(b"!", socket.MSG_OOB)
            connection.shutdown(socket.SHUT_WR)
            return (came + answers.read()).decode().split()

    def greet(self, length):
        with self.connect("greet") as connection:
            greeting = self.read(connection)
            connection.sendall(pattern(int(length)))
            connection.shutdown(socket.SHUT_WR)
            return greeting.decode().strip()

    def last(self, length):
        return same(self.ask("last"), digest(length))

    def hold(self):
        with self.connect("hold") as connection:
            print(connection.recv(CHUNK).decode().strip(), flush=True)
            connection.settimeout(None)
            try:
                return "closed" if connection.recv(CHUNK) == b"" else "bytes"
            except ConnectionResetError:
                return "reset"

    def pulse(self):
        with self.connect("echo") as connection:
            while True:
                connection.sendall(b"pulse\n")
                if connection.recv(CHUNK) == b"":
                    return "closed"
                print("back", flush=True)
                time.sleep(0.01)

    def many(self, count):
        connections = [self.connect("echo") for _ in range(int(count))]
        for number, connection in enumerate(connections):
            connection.sendall(f"connection {number}\n".encode())
        right = 0
        for number, connection in enumerate(connections):
            connection.shutdown(socket.SHUT_WR)
            right += self.read(connection) == f"connection {number}\n".encode()
            connection.close()
        return right

    def each(self, count):
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(self.ask, ["name"] * int(count)))
        return sum(answer == answers[0] != b"" for answer in answers)

    def tardy(self, count, length):
        rest = {}
        for _ in range(int(count)):
            connection = self.connect("tardy")
            rest[connection] = memoryview(pattern(int(length)))
            connection.recv(CHUNK)
        connections, is_stuck = list(rest), False
        while rest:
            ready = select.select([], rest, [], 1)[1]
            if not ready and not is_stuck:
                is_stuck = True
                print("stuck", flush=True)
            for connection in ready:
                rest[connection] = rest[connection][connection.send(rest[connection][:CHUNK]):]
                if not rest[connection]:
                    del rest[connection]
                    connection.shutdown(socket.SHUT_WR)
        return sum(self.read(connection) == digest(length) for connection in connections)

    def begin(self):
        return self.ask("begin").decode().strip()

    def slow(self, length):
        with self.connect(f"source {length}") as slow:
            fast = self.source(length)
            if fast != "same":
                return f"fast {fast}"
            return same(self.read(slow), pattern(int(length)))


def digest(length):
    return hashlib.sha256(pattern(int(length))).hexdigest().encode() + b"\n"


def same(got, wanted):
    return "same" if got == wanted else f"other: {len(got)} bytes, {len(wanted)} wanted"


def main(words):
    host = "127.0.0.1"
    if words[0] == "-6":
        host = "::1"
        words = words[1:]
    client = Client(words[0] if words[0].startswith("/") else (host, int(words[0])))
    try:
        print(getattr(client, words[1])(*words[2:]), flush=True)
    except OSError as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
