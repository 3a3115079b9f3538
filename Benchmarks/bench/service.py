"""The service on the exec host: says the node's name and the job's number, then echoes what it gets on a port.

usage: service.py ECHO_PORT [IPERF_PORT]: with a second port, iperf3 listens there as well."""

import os
import selectors
import socket
import sys


def listen(port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(1024)
    return listener


def echo(listener):
    selector = selectors.EpollSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                stream, _ = listener.accept()
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(stream, selectors.EVENT_READ)
            elif not answer(key.fileobj):
                selector.unregister(key.fileobj)
                key.fileobj.close()


def answer(stream):
    try:
        data = stream.recv(65536)
        if data:
            stream.sendall(data)
        return data
    except OSError:
        return b""


os.write(1, "{SLURMD_NODENAME} {SLURM_JOB_ID}\n".format(**os.environ).encode())
if len(sys.argv) > 2:
    if os.fork() == 0:
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 1)
        os.execvp("iperf3", ["iperf3", "--server", "--bind", "127.0.0.1", "--port", sys.argv[2]])
echo(listen(int(sys.argv[1])))
