"""Two processes that send each other objects: sealed where both have a key, and with restraint where not.

Run it from anywhere:

    python examples/messages.py
"""

import os
import socket
import subprocess
import sys
from dataclasses import dataclass

from store.errors import Tampered, Untrusted
from store.messages import stream as messages

WORKER = """
import socket, sys
from store import messages

with socket.socket(fileno=int(sys.argv[1])) as conn:
    while True:
        try:
            numbers = messages.receive(conn)
        except EOFError:
            break  # the other side is done
        messages.send(conn, {"count": len(numbers), "sum": sum(numbers)})
"""


@dataclass
class Job:
    name: str


def two_processes() -> None:
    """A message arrives whole, whatever its size, and as what it was."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            fd = theirs.fileno()
            worker = subprocess.Popen([sys.executable, "-c", WORKER, str(fd)], pass_fds=[fd])
        for numbers in ([1, 2, 3], list(range(100_000))):
            messages.send(ours, numbers)
            print("the worker says:", messages.receive(ours))
    print("the worker ended with", worker.wait(timeout=60))


def trust() -> None:
    """Who receives without a key makes nothing but plain data of a message, unless told which classes may be."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        messages.send(ours, Job("clean up"))
        try:
            messages.receive(theirs)
        except Untrusted as exc:
            print("without a key:", exc.missing, "was not made")
        messages.send(ours, Job("clean up"))
        print("allowed:", messages.receive(theirs, allow=[Job]))

        key = os.urandom(32)  # both sides have it, by a file or the environment
        messages.send(ours, Job("clean up"), key=key)
        print("with a key:", messages.receive(theirs, key=key))

        messages.send(ours, Job("clean up"), key=key)
        altered = theirs.recv(1000).replace(b"clean", b"break")
        ours.sendall(altered)
        try:
            messages.receive(theirs, key=key)
        except Tampered as exc:
            print("altered on its way:", type(exc).__name__)


if __name__ == "__main__":
    two_processes()
    trust()
