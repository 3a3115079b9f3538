#!/usr/bin/python3
"""The service of a job in the system tests: service.py [ADDRESS:|[ADDRESS6]:]PORT|PATH... answers on each port
and unix socket.

A connection begins with a line that says what is wanted:
  name       the host's name, and the port or path
  source N   N bytes of the pattern
  sum        reads to the end of file, then answers with the SHA-256 of what came
  tardy      answers "held", and the same, but reads nothing before the first `begin`
  greet      answers "hello", ends its own direction, and reads to the end of file
  last       the SHA-256 of what the last `greet` read
  echo       every line back, until end of file
  hold       answers "held" and waits for the client's end
  ended      how each `hold` has ended: "closed" in order, or "reset"
Anything else is met with silence.
"""
import hashlib
import os
import socket
import socketserver
import sys
import threading

CHUNK = 1 << 16


def pattern(length):
    """The same bytes at both ends, with no period that could hide a lost or doubled part."""
    return hashlib.shake_128(b"spunnel").digest(length)


class Handler(socketserver.StreamRequestHandler):
    begun = threading.Event()
    greeted = "none"
    ends = []

    def handle(self):
        words = self.rfile.readline().decode().split()
        if words:
            getattr(self, words[0], self.silence)(*words[1:])

    def silence(self, *_):
        self.rfile.read()

    def name(self):
        self.answer(f"{socket.gethostname()}:{self.server.end}")

    def source(self, length):
        self.wfile.write(pattern(int(length)))

    def sum(self):
        self.answer(self.digest())

    def tardy(self):
        self.answer("held")
        Handler.begun.wait()
        self.sum()

    def begin(self):
        Handler.begun.set()
        self.answer("begun")

    def greet(self):
        self.answer("hello")
        self.connection.shutdown(socket.SHUT_WR)
        Handler.greeted = self.digest()

    def last(self):
        self.answer(Handler.greeted)

    def echo(self):
        for line in self.rfile:
            self.wfile.write(line)

    def hold(self):
        self.answer("held")
        try:
            self.rfile.read()
            Handler.ends.append("closed")
        except OSError:
            Handler.ends.append("reset")

    def ended(self):
        self.answer(" ".join(Handler.ends))

    def digest(self):
        digest = hashlib.sha256()
        while chunk := self.rfile.read(CHUNK):
            digest.update(chunk)
        return digest.hexdigest()

    def answer(self, text):
        self.wfile.write(f"{text}\n".encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, end):
        address, _, self.end = end.rpartition(":")
        if end.startswith("/"):
            self.address_family, place = socket.AF_UNIX, end
        elif address.startswith("["):
            self.address_family, place = socket.AF_INET6, (address.strip("[]"), int(self.end))
        else:
            place = (address or "127.0.0.1", int(self.end))
        super().__init__(place, Handler)

    def handle_error(self, request, client_address):
        """A connection that breaks is what some tests are about."""


def main(ends):
    for end in ends:
        threading.Thread(target=Server(end).serve_forever, daemon=True).start()
    step = "{}.{}".format(os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURM_STEP_ID"))
    print("serving", step, "on", socket.gethostname(), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1:])
