#!/usr/bin/python3
"""What a stranger on the login host tries: hostile.py WHAT [ARGUMENT...], run as the attacker.

  race NAME STOP KIND TARGET      puts a thing of KIND (directory, link, file, fifo, socket, rename) at NAME,
                                  which leads to TARGET if it is a link, and takes it away, again and again, a
                                  thousand times at least and until STOP is there; prints how often, and what
                                  was found in it
  plant NAME KIND TARGET          puts it there and leaves it
  flood PORT COUNT                COUNT connections that send and close at once, with all their might
  ghosts PORT ADDRESS COUNT       COUNT connections that send and reset at once, from the source ports that
                                  the kernel is about to give to others; prints `leaving` and then `left`
  hold PORT COUNT                 COUNT connections that stay as long as they may; prints how many bytes came
  records                         records that are as large as they can be; prints `held` and holds one for a
                                  minute
  keepers JOB COUNT MODE ANSWER   COUNT steps' records of JOB with that MODE, held for a minute as by keepers that do
                                  not end; they answer whatever they are asked with ANSWER, with nothing if that
                                  is empty, and hang up if it is `-`; prints `held`
  crowd                           what is large to read and small on the disk: records with one long `host` in common,
                                  some with one of their own, thousands of empty ones, and thousands of directories
                                  of other users' names; prints `there`
  squat PORT ADDRESS              listens there in every way there is; prints `listening` or why not
  lend PORT PATH                  connects, and hands the socket to whoever connects to the unix socket PATH
  borrow PATH                     takes a socket from there and asks for the service's name; prints the answer
"""
import fcntl
import os
import selectors
import shutil
import socket
import struct
import sys
import time


def plant(name, kind, target):
    if kind == "directory":
        os.mkdir(name, 0o777)
        os.chmod(name, 0o777)
    elif kind == "link":
        os.symlink(target, name)
    elif kind == "file":
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    elif kind == "fifo":
        os.mkfifo(name, 0o666)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(name)
    elif kind == "hardlink":
        os.link(target, name)


def race(name, stop, kind, target):
    tries = taken = 0
    found = []
    spare = f"{name}.{os.getpid()}"
    while tries < 1000 or not os.path.exists(stop):
        tries += 1
        try:
            if kind == "rename":
                # Another race of the same attacker may have taken it away.
                os.makedirs(spare, 0o777, exist_ok=True)
                os.rename(spare, name)
                os.rename(name, spare)
                found += os.listdir(spare)
            else:
                plant(name, kind, target)
                if kind == "directory":
                    try:
                        os.rmdir(name)
                    except OSError:
                        # Not empty: here is what somebody has put into it.
                        found += os.listdir(name)
                        raise
                else:
                    os.unlink(name)
            taken += 1
        except OSError:
            # The owner's own, for now.
            continue
    if kind == "rename":
        # What another race had put there, a FIFO for one, which rmtree would wait at.
        if os.path.lexists(spare) and (os.path.islink(spare) or not os.path.isdir(spare)):
            os.unlink(spare)
        shutil.rmtree(spare, ignore_errors=True)
    print(f"tries {tries} taken {taken} found {found}")


def flood(port, count):
    for _ in range(int(count)):
        with socket.socket() as end:
            try:
                end.connect(("127.0.0.1", int(port)))
                end.send(b"name\n")
            except OSError:
                pass
    print("done")


def ghosts(port, address, count):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    low, high = map(int, open("/proc/sys/net/ipv4/ip_local_port_range").read().split())

    def ghost(source, line):
        with socket.socket(family) as one:
            one.settimeout(1)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if source:
                one.bind((address, source))
            one.connect((address, int(port)))
            one.send(line)
            return one.getsockname()[1]

    print("leaving", flush=True)
    left = 0
    while left < int(count):
        try:
            # Where the kernel is in its sequence.
            base = ghost(None, b"")
        except OSError:
            continue
        for source in range(base + 2, base + 82, 2):
            try:
                ghost(source if source <= high else low + source - high, b"name\n")
                left += 1
            except OSError:
                # Somebody has the port.
                continue
    print("left")


def hold(port, count):
    ends = []
    for _ in range(int(count)):
        end = socket.socket()
        end.settimeout(5)
        try:
            end.connect(("127.0.0.1", int(port)))
            end.send(b"name\n")
            ends.append(end)
        except OSError:
            end.close()
    total = 0
    for end in ends:
        try:
            total += len(end.recv(1000))
        except OSError:
            pass
    print(f"bytes {total}")


def records():
    os.umask(0o077)

    def record(step, **files):
        folder = f"/tmp/spunnel-{os.getuid()}/{step}"
        os.makedirs(folder)
        for name, lines in files.items():
            with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))
        return folder

    with open(record("1.0") + "/status", "wb") as file:
        file.truncate((1 << 63) - 1)
    record("2.0", host=["node n1", "waiting " + ",".join(f"/t/{n}:{n}" for n in range(1, 60000))])
    nodes = range(1024, 11024)
    folder = record("3.0", host=[f"forward local n{n} {n} localhost 8000" for n in nodes],
                    status=["state up"] + [f"far {('refused', 'listening')[n % 2]}" for n in nodes])
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    print("held", flush=True)
    time.sleep(60)


def keepers(job, count, mode, answer):
    os.umask(0o077)
    root = f"/tmp/spunnel-{os.getuid()}"
    os.mkdir(root)
    asked = selectors.DefaultSelector()
    held = []
    for step in range(int(count)):
        folder = f"{root}/{job}.{step}"
        os.mkdir(folder)
        with open(f"{folder}/host", "w", encoding="utf-8") as file:
            file.write("node n1\nforward local n1 8001 localhost 8000\n")
        end = socket.socket(socket.AF_UNIX)
        end.bind(f"{folder}/command")
        end.listen()
        asked.register(end, selectors.EVENT_READ)
        os.chmod(folder, int(mode, 8))
        lock = os.open(folder, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        held.append((end, lock))
    print("held", flush=True)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for key, _ in asked.select(1):
            connection, _ = key.fileobj.accept()
            if answer == "-":
                connection.close()
                continue
            held.append(connection)
            if answer:
                connection.send(f"{answer}\n".encode())


def crowd():
    os.umask(0o077)
    root = f"/tmp/spunnel-{os.getuid()}"
    os.mkdir(root)
    for step in range(5000):
        os.mkdir(f"{root}/7.{step}")
    lines = "waiting R:1024:1\n" * 9000
    with open(f"{root}/common", "w", encoding="utf-8") as file:
        file.write(lines)
    for step in range(400):
        os.link(f"{root}/common", f"{root}/7.{2 * step}/host")
        with open(f"{root}/7.{2 * step + 1}/host", "w", encoding="utf-8") as file:
            file.write(lines)
    for user in range(200000, 203000):
        os.mkdir(f"/tmp/spunnel-{user}")
    print("there", flush=True)


def squat(port, address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for option in (None, socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        end = socket.socket(family)
        try:
            if option:
                end.setsockopt(socket.SOL_SOCKET, option, 1)
            if family == socket.AF_INET6:
                end.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            end.bind((address, int(port)))
            end.listen()
            print("listening", flush=True)
            end.settimeout(20)
            while True:
                with end.accept()[0] as connection:
                    connection.settimeout(2)
                    print(f"got {connection.recv(1000)}", flush=True)
                    connection.send(b"stolen\n")
        except OSError as error:
            print(error, flush=True)
            end.close()


def lend(port, path):
    with socket.socket(socket.AF_UNIX) as listener, socket.socket() as end:
        listener.bind(path)
        os.chmod(path, 0o777)
        listener.listen()
        print("listening", flush=True)
        taker, _ = listener.accept()
        end.connect(("127.0.0.1", int(port)))
        socket.send_fds(taker, [b"x"], [end.fileno()])
        time.sleep(2)


def borrow(path):
    with socket.socket(socket.AF_UNIX) as giver:
        giver.connect(path)
        _, descriptors, _, _ = socket.recv_fds(giver, 1, 1)
    with socket.socket(fileno=descriptors[0]) as end:
        end.settimeout(5)
        try:
            end.send(b"name\n")
            answer = end.recv(1000)
        except OSError:
            answer = b""
        print(answer.decode().strip() or "closed before a byte")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
