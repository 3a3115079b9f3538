#!/usr/bin/python3
"""A bad cable between a host of the test cluster and its switch:
cable.py HOST DELAY-MS LOSS-PERCENT SECONDS, in the switch's network namespace.

The host's port leaves the switch for a wire of its own: a second bridge whose two ports keep or lose
what leaves them, by tc-netem(8). On a kernel without netem every frame passes through this process
instead. The virtio header before each frame (packet(7), PACKET_VNET_HDR) carries what was left to the
hardware: checksums and segmentation.
"""
import heapq
import itertools
import random
import select
import socket
import struct
import subprocess
import sys
import time

SOL_PACKET = 263
PACKET_VNET_HDR = 15
ETH_P_ALL = 3
PACKET_OUTGOING = 4
LONGEST = 1 << 17


def ip(words, check=True):
    subprocess.run(["ip", *words.split()], check=check, stderr=subprocess.DEVNULL)


def netem(port, delay, loss):
    """What leaves by a port is late by half the delay to half as much again, or lost; false where the kernel
    cannot."""
    words = f"qdisc add dev {port} root netem delay {delay}ms {delay / 2}ms loss {loss}% limit 100000"
    return subprocess.run(["tc", *words.split()], stderr=subprocess.DEVNULL).returncode == 0


def tap(name):
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    end.setsockopt(SOL_PACKET, PACKET_VNET_HDR, struct.pack("i", 1))
    end.bind((name, ETH_P_ALL))
    end.setblocking(False)
    return end


class Cable:
    def __init__(self, one, other, delay, loss):
        self.ends = {one: other, other: one}
        self.delay = delay
        self.loss = loss
        self.waiting = []
        self.order = itertools.count()

    def run(self, until):
        while (now := time.monotonic()) < until:
            while self.waiting and self.waiting[0][0] <= now:
                _, _, end, frame = heapq.heappop(self.waiting)
                self.send(end, frame)
            due = self.waiting[0][0] if self.waiting else until
            ready, _, _ = select.select(list(self.ends), [], [], max(0, min(due, until) - now))
            for end in ready:
                self.take(end)

    def take(self, end):
        try:
            frame, address = end.recvfrom(LONGEST)
        except OSError:
            return
        if address[2] == PACKET_OUTGOING or random.random() < self.loss:
            return
        due = time.monotonic() + self.delay * random.uniform(0.5, 1.5)
        heapq.heappush(self.waiting, (due, next(self.order), self.ends[end], frame))

    @staticmethod
    def send(end, frame):
        try:
            end.send(frame)
        except OSError:
            pass


def main(host, delay, loss, seconds):
    near, far, wire = f"{host}-bad", f"{host}-sw", f"{host}-wire"
    delay, loss, seconds = float(delay), float(loss), float(seconds)
    try:
        ip(f"link add {near} type veth peer name {far}")
        ip(f"link set {near} up")
        ip(f"link set {host} nomaster")
        ip(f"link set {far} master switch up")
        if netem(host, delay, loss) and netem(near, delay, loss):
            ip(f"link add {wire} type bridge")
            ip(f"link set {wire} up")
            ip(f"link set {host} master {wire}")
            ip(f"link set {near} master {wire}")
            time.sleep(seconds)
        else:
            cable = Cable(tap(host), tap(near), delay / 1000, loss / 100)
            cable.run(time.monotonic() + seconds)
    finally:
        subprocess.run(["tc", "qdisc", "del", "dev", host, "root"], stderr=subprocess.DEVNULL)
        ip(f"link del {wire}", check=False)
        ip(f"link del {near}", check=False)
        ip(f"link set {host} master switch", check=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
