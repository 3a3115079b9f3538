#!/usr/bin/python3
"""The user's side of the load tests: client.py WHAT PORT ARGUMENT... prints a line of JSON. The service
is that of the system tests."""
import json
import os
import resource
import socket
import statistics
import sys
import threading
import time

sys.path.insert(0, "/home/tools")


def connect(port, what, patience=60):
    end = socket.create_connection(("127.0.0.1", int(port)), patience)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    end.sendall(f"{what}\n".encode())
    return end


def read_all(end):
    total = 0
    while got := end.recv(1 << 20):
        total += len(got)
    return total


def crowd(port, count):
    """Connections, all open at once; each says a line of its own and hears it again, twice."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    began = time.monotonic()
    ends = [connect(port, "echo") for _ in range(int(count))]
    connected = time.monotonic() - began
    right = 0
    for turn in range(2):
        for number, end in enumerate(ends):
            end.sendall(f"{turn} {number}\n".encode())
        for number, end in enumerate(ends):
            wanted = f"{turn} {number}\n".encode()
            got = b""
            try:
                while len(got) < len(wanted) and (part := end.recv(100)):
                    got += part
            except OSError:
                pass
            right += got == wanted
    # The connections stay open until a line arrives on standard input, so that the caller can
    # count.
    print(json.dumps({"connected": connected, "right": right}), flush=True)
    sys.stdin.readline()
    for end in ends:
        end.close()


def row(port, count):
    """Short connections, one after the other: a question, an answer, the end. The service's own end of
    file is not waited for: sshd keeps it back for 40 ms (Nagle's algorithm), with plain ssh as well."""
    times = []
    wrong = 0
    for _ in range(int(count)):
        began = time.monotonic()
        try:
            with connect(port, "name") as end:
                wrong += not end.makefile("rb").readline().endswith(b":8000\n")
        except OSError:
            wrong += 1
        times.append(time.monotonic() - began)
    times.sort()
    return {"seconds": sum(times), "wrong": wrong, "median_ms": 1e3 * times[len(times) // 2],
            "p99_ms": 1e3 * times[len(times) * 99 // 100], "longest_ms": 1e3 * times[-1]}


def rate(port, length):
    began = time.monotonic()
    with connect(port, f"source {length}") as end:
        got = read_all(end)
    return got / (time.monotonic() - began) / 1e6, got == int(length)


def echoes(port, seconds):
    """Round trips of a line; milliseconds."""
    times = []
    until = time.monotonic() + seconds
    with connect(port, "echo") as end:
        while time.monotonic() < until:
            began = time.monotonic()
            end.sendall(b"x\n")
            end.recv(10)
            times.append(1e3 * (time.monotonic() - began))
            time.sleep(0.01)
    return statistics.median(times), sorted(times)[len(times) * 99 // 100]


def slow(port, length, seconds):
    """A reader of a byte a second beside one at full speed and one who echoes."""
    quiet = echoes(port, 2)
    alone, whole = rate(port, length)
    read = []

    over = threading.Event()

    def crawl():
        with connect(port, f"source {length}") as end:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            while not over.wait(1):
                read.append(end.recv(1))

    crawler = threading.Thread(target=crawl, daemon=True)
    crawler.start()
    time.sleep(1)
    beside = echoes(port, 2)
    rates = []
    answers = []
    echo = threading.Thread(target=lambda: answers.append(echoes(port, 2)), daemon=True)
    echo.start()
    until = time.monotonic() + int(seconds)
    # At least one stream runs to its end. If the slow reader blocks it, it times out.
    while not rates or time.monotonic() < until:
        rates.append(rate(port, length))
    echo.join()
    over.set()
    crawler.join()
    return {"alone_MBs": alone, "beside_MBs": statistics.median(one for one, _ in rates),
            "whole": whole and all(one for _, one in rates), "crawled": len(read),
            "echo_ms": quiet, "echo_beside_crawler_ms": beside,
            "echo_beside_full_speed_ms": answers[0]}


def name(port):
    with connect(port, "name", 30) as end:
        return {"name": end.makefile("rb").read().decode().strip()}


if __name__ == "__main__":
    found = globals()[sys.argv[1]](*sys.argv[2:])
    if found is not None:
        print(json.dumps(found), flush=True)
    os._exit(0)
