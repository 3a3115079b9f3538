"""Asks a VNC server on the login host whether a password is right (RFC 6143, section 7.2.2)."""
import os
import subprocess

from terminal import CLUSTER_IN

# A program of its own, as it must run as the user on the login host. openssl has the cipher; VNC takes the bits of
# each byte of the key the other way round.
PROGRAM = r"""
import socket, subprocess, sys
port, password = int(sys.argv[1]), sys.argv[2]
s = socket.create_connection(("localhost", port)); s.settimeout(10)
def get(n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more: sys.exit(print("cut"))
        data += more
    return data
get(12); s.sendall(b"RFB 003.008\n")
kinds = get(get(1)[0])
assert list(kinds) == [2], kinds
s.sendall(b"\2"); challenge = get(16)
key = bytes(int(f"{b:08b}"[::-1], 2) for b in password.encode()[:8].ljust(8, b"\0"))
done = subprocess.run(["openssl", "enc", "-des-ede3", "-nopad", "-K", (key * 3).hex()], input=challenge,
                      capture_output=True, check=True)
s.sendall(done.stdout)
print("in" if get(4) == b"\0\0\0\0" else "refused")
"""


def attempt(port, password, user="user1"):
    done = subprocess.run([CLUSTER_IN, "login", user, "--", "python3", "-c", PROGRAM, port, password],
                          capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]
