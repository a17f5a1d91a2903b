"""A Redis server of the benchmark's own on loopback, which keeps nothing on disk."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

PROGRAM = "redis-server"
START_SECONDS = 30.0


@contextmanager
def redis_server() -> Iterator[int | None]:
    """The port of a server that ends with the block; None: no such program is installed."""
    program = shutil.which(PROGRAM)
    if program is None:
        yield None
        return
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="store-bench-") as folder:
        command = [
            program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", folder,
        ]  # fmt: skip
        running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            _await(port, running)
            yield port
        finally:
            running.terminate()
            running.wait()


def server_version() -> str:
    """Its name and version; empty where it is not installed."""
    program = shutil.which(PROGRAM)
    if program is None:
        return ""
    told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=START_SECONDS, check=True)
    found = re.search(r"v=(\S+)", told.stdout)
    return f"{PROGRAM} {found[1]}" if found else PROGRAM


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _await(port: int, running: subprocess.Popen[bytes]) -> None:
    """Returns once the server takes connections."""
    end = time.monotonic() + START_SECONDS
    while running.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise RuntimeError(f"{PROGRAM} did not start: it ended with {running.poll()}")
