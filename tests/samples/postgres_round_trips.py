"""A proxy before a PostgreSQL server that counts round trips: how often a client waits for an answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

HEADER = 5  # the type of a message, and its length without that


class RoundTrips:
    """Forwards connections on loopback to a port; `count` is of all of them. Ends with `stop`."""

    def __init__(self, port: int) -> None:
        self.count = 0
        self._target = port
        self._mutex = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._run(self._accept)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            _end(each)
        for thread in self._threads:
            thread.join(30)
        for each in self._sockets:
            each.close()

    def _run(self, *what: object) -> None:
        thread = threading.Thread(target=what[0], args=what[1:], daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets += client, server
            self._run(self._count, client, server)
            self._run(_forward, server, client)

    def _count(self, client: socket.socket, server: socket.socket) -> None:
        """Forward what the client sends, and count the messages after which it waits: Query, Sync and Flush.

        A Flush right after a Sync is no wait of its own. The first message has no type, only its length.
        """
        pending, last, is_started = b"", b"", False
        while data := _received(client):
            pending += data
            while True:
                head = HEADER if is_started else HEADER - 1
                if len(pending) < head:
                    break
                size = int.from_bytes(pending[head - 4 : head], "big") + head - 4
                if len(pending) < size:
                    break
                kind = pending[:1] if is_started else b""
                if kind in (b"Q", b"S") or (kind == b"H" and last != b"S"):
                    with self._mutex:
                        self.count += 1
                pending, last, is_started = pending[size:], kind, True
            if not _sent(server, data):
                break
        _end(server)


def _forward(source: socket.socket, target: socket.socket) -> None:
    while (data := _received(source)) and _sent(target, data):
        pass
    _end(target)


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(65536)
    except OSError:
        return b""


def _sent(target: socket.socket, data: bytes) -> bool:
    try:
        target.sendall(data)
    except OSError:
        return False
    return True


def _end(each: socket.socket) -> None:
    try:
        each.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


@contextmanager
def round_trips(port: int) -> Iterator[RoundTrips]:
    proxy = RoundTrips(port)
    try:
        yield proxy
    finally:
        proxy.stop()
