"""Listeners on loopback that are no Redis server, or one that says of itself what a test wants."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redis_proxy import resp_size


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a listener that calls `serve` with each connection, in a thread of its own."""
    listener, threads, conns = socket.create_server(("127.0.0.1", 0)), [], []

    def accept() -> None:
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            conns.append(conn)
            threads.append(threading.Thread(target=_served, args=(serve, conn)))
            threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
        for conn in conns:
            try:
                conn.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in threads:
            thread.join()


def _served(serve: Callable[[socket.socket], None], conn: socket.socket) -> None:
    with conn:
        try:
            serve(conn)
        except OSError:
            pass


def http(conn: socket.socket) -> None:
    conn.recv(65536)
    conn.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


def ending(conn: socket.socket) -> None:
    """Ends the connection at the first bytes, as PostgreSQL does where they are no packet of its protocol."""
    conn.recv(65536)


def silent(conn: socket.socket) -> None:
    """Takes all, and answers nothing."""
    while conn.recv(65536):
        pass


def protected(conn: socket.socket) -> None:
    """As a server in protected mode, for a client of another machine."""
    conn.sendall(b"-DENIED Redis is running in protected mode because protected mode is enabled and no password\r\n")
    conn.recv(65536)


def saying(**info: str) -> Callable[[socket.socket], None]:
    """A server that answers INFO with those fields, and all else as a server without keys."""
    text = "".join(f"{name}:{value}\r\n" for name, value in info.items()).encode()

    def serve(conn: socket.socket) -> None:
        data = b""
        while more := conn.recv(65536):
            data += more
            while size := resp_size(data):
                word = data[:size].split(b"\r\n")[2].upper()
                data = data[size:]
                conn.sendall({
                    b"INFO": b"$%d\r\n%b\r\n" % (len(text), text),
                    b"HMGET": b"*2\r\n$-1\r\n$-1\r\n",
                    b"SRANDMEMBER": b"*0\r\n",
                    b"CONFIG": b"-NOPERM this user has no permissions\r\n",
                    b"EVALSHA": b"*2\r\n$16\r\n0123456789abcdef\r\n$1\r\n1\r\n",
                }.get(word, b"+OK\r\n"))  # fmt: skip

    return serve
