"""A TCP proxy between a client and a server, PostgreSQL or another, which does something before the n-th message."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

CLIENT, SERVER = "client", "server"  # whose message it is
BUFFER = 65536


class Link:
    """One connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.sockets = {CLIENT: client, SERVER: server}
        self.threads: list[threading.Thread] = []
        self.is_cut = False

    def cut(self) -> None:
        """End both connections, as a network does that resets them."""
        self.is_cut = True
        for end in self.sockets.values():
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Proxy:
    """Listens on a port of its own. `plan` says what happens before which message; `stall` stops all forwarding.

    `size_of(data, is_first)` is the size of the first message in some bytes, None while its end is not there. An
    action that returns a number has so many bytes of its message forwarded; then it cuts the connection.
    """

    def __init__(self, port: int, size_of: Callable[[bytes, bool], int | None] | None = None) -> None:
        self._size_of = size_of or _size
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.counts = {CLIENT: 0, SERVER: 0}
        self._plan: tuple[str, int, Callable[[Link], Any]] | None = None
        self._mutex = threading.Lock()
        self._flowing = threading.Event()
        self._flowing.set()
        self._released = threading.Event()
        self._links: list[Link] = []
        self._is_refusing = False
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._flowing.set()
        self._released.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for link in self._links:
            link.cut()
            for thread in link.threads:
                thread.join()
            for end in link.sockets.values():
                end.close()

    def plan(self, whose: str, number: int, action: Callable[[Link], Any]) -> None:
        """Call `action` before the n-th message from now on, the first is 1; 0: never."""
        with self._mutex:
            self.counts = {CLIENT: 0, SERVER: 0}
            self._plan = (whose, number, action)

    def count(self) -> None:
        """Begin to count the messages."""
        self.plan(CLIENT, 0, Link.cut)

    def stall(self, link: Link | None = None) -> None:
        """Forward nothing any more, and keep all connections open; new ones are accepted too."""
        self._flowing.clear()

    def hold(self, link: Link) -> None:
        """As an action: the one side of this one connection waits with its message until `release`."""
        self._released.wait()

    def delay(self, link: Link) -> None:
        """As an action: end the client's connection now; its message reaches the server after `release`."""
        link.is_cut = True
        link.sockets[CLIENT].shutdown(socket.SHUT_RDWR)
        self._released.wait()

    def release(self) -> None:
        self._released.set()

    def rearm(self) -> None:
        """After `release`: actions wait for the next one."""
        self._released.clear()

    def ended(self) -> list[Link]:
        """The connections whose client's side has ended."""
        return [link for link in self._links if link.is_cut]

    def refuse(self, is_refusing: bool = True) -> None:
        """Close new connections at once, as if nobody listened."""
        self._is_refusing = is_refusing

    def resume(self) -> None:
        """Forward what came meanwhile, and go on."""
        self._flowing.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(client, server)
            self._links.append(link)
            for whose, other in ((CLIENT, SERVER), (SERVER, CLIENT)):
                thread = threading.Thread(target=self._forward, args=(link, whose, other))
                link.threads.append(thread)
                thread.start()

    def _forward(self, link: Link, whose: str, other: str) -> None:
        data, is_first = b"", whose == CLIENT  # the first message of a client has no type
        try:
            while more := link.sockets[whose].recv(BUFFER):
                data += more
                while (size := self._size_of(data, is_first)) is not None:
                    message, data, is_first = data[:size], data[size:], False
                    part = self._before(link, whose)
                    self._flowing.wait()
                    link.sockets[other].sendall(message if part is None else message[:part])
                    if part is not None:
                        link.cut()
        except OSError:
            pass
        self._flowing.wait()  # a partition hides the end of a connection too
        link.cut()

    def _before(self, link: Link, whose: str) -> int | None:
        with self._mutex:
            self.counts[whose] += 1
            planned = self._plan
            if planned is None or planned[:2] != (whose, self.counts[whose]):
                return None
            self._plan = None
        found: int | None = planned[2](link)
        return found


def _size(data: bytes, is_first: bool) -> int | None:
    """The size of the first message, if all of it has come."""
    start = 0 if is_first else 1
    if len(data) < start + 4:
        return None
    size = start + int.from_bytes(data[start : start + 4], "big")
    return size if len(data) >= size else None
