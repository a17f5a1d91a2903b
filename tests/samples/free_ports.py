"""Ports of 127.0.0.1 for servers that cannot be given a socket."""

from __future__ import annotations

import secrets
import socket

BUS = 10_000  # a node of a Redis cluster listens for other nodes on its port plus this
# Both ports are below 32,768, where Linux begins to take ports for outgoing connections: a server that starts a moment
# later, or is started again, finds its own port free.
PORTS = range(10_100, 32_768 - BUS)

_given: set[int] = set()  # a server that is killed needs its ports again


def free_port() -> int:
    """A port that nobody listens on, nor on that of its cluster bus; another one each time."""
    for _ in range(1000):
        port = secrets.choice(PORTS)
        pair = {port, port + BUS}
        if not pair & _given and all(map(_is_free, pair)):
            _given.update(pair)
            return port
    raise RuntimeError(f"no port of 127.0.0.1 is free between {PORTS.start} and {PORTS.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
