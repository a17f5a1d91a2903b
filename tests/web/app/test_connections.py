"""Connections of slow and of many clients, with real sockets: each is closed in time, and none keeps others out."""

from __future__ import annotations

import asyncio
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="Starlette is not installed: `store web` was not tested")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: `store web` was not tested")

from asgi import join_workers
from web_requests import TOKEN

from store import Store
from store.web.app.connections import Connections, Waits
from store.web.app.door import Door
from store.web.app.listening import listen, resolved
from store.web.app.serving import Serving
from store.web.links import Links
from store.web.pages.layout import HEADERS
from store.web.site import Site

SECONDS = 60  # that a test waits for what happens at once
NEVER = 3600.0
PATIENT = Waits(NEVER, NEVER, NEVER, NEVER)
BRIEF_HEAD = Waits(0.05, NEVER, NEVER, NEVER)
MANY = 2000  # idle connections


class Served:
    """A server in a thread of its own."""

    def __init__(self, address: tuple[str, int], connections: Connections) -> None:
        self.address = address
        self.connections = connections

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, SECONDS)

    def request(self, path: str = f"/{TOKEN}/", more: str = "") -> bytes:
        host = f"{self.address[0]}:{self.address[1]}"
        return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()

    def page(self, path: str = f"/{TOKEN}/") -> bytes:
        """What a browser that comes now is answered."""
        with self.connect() as browser:
            browser.sendall(self.request(path, "Connection: close\r\n"))
            return rest(browser)


def rest(client: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    parts = bytearray()
    try:
        while part := client.recv(1 << 16):
            parts += part
    except ConnectionResetError:  # as it is closed with bytes that it did not read
        pass
    return bytes(parts)


def until(client: socket.socket, text: bytes) -> bytes:
    found = b""
    while text not in found:
        part = client.recv(1 << 16)
        assert part, f"closed after {found!r}"
        found += part
    return found


@contextmanager
def serving(place: Path | str, connections: Connections, values: dict[str, Any] | None = None) -> Iterator[Served]:
    """The pages of a store, served until the end of the block."""
    before = set(threading.enumerate())
    with Store[Any](place) as s:
        s.update({"a": 1} if values is None else values)
        sock, listening = listen(resolved("127.0.0.1", 0))
        site = Site(s, Links(f"/{TOKEN}"), live=True)
        made: list[Serving] = []
        is_made = threading.Event()

        async def serve() -> None:
            made.append(Serving(site, Door(TOKEN, listening), sock, connections))
            is_made.set()
            await made[0].run()

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        try:
            assert is_made.wait(SECONDS)
            yield Served((listening.address, listening.port), connections)
        finally:
            made[0].stop()
            thread.join(SECONDS)
            join_workers(before)
        assert not thread.is_alive()


@pytest.mark.parametrize("head", [b"", b"G", b"GET /x HTTP/1.1\r\nHost: a\r\n"])
def test_client_that_sends_half_a_request_is_closed(place: str, head: bytes) -> None:
    with serving(place, Connections(waits=Waits(head=0.05))) as server, server.connect() as client:
        client.sendall(head)
        assert rest(client) == b""


def test_each_byte_does_not_extend_the_time(place: str) -> None:
    with serving(place, Connections(waits=Waits(head=0.1))) as server, server.connect() as client:
        with pytest.raises(ConnectionError):
            while True:
                client.sendall(b"a")
                client.settimeout(0.01)
                try:
                    if not client.recv(1):
                        raise ConnectionResetError
                except TimeoutError:
                    pass


def test_half_a_second_request_is_closed(place: str) -> None:
    with serving(place, Connections(waits=PATIENT)) as server, server.connect() as client:
        client.sendall(server.request("/nothing"))
        assert until(client, b"Not found").startswith(b"HTTP/1.1 404")
        server.connections.waits = BRIEF_HEAD
        client.sendall(b"GET ")
        assert rest(client) == b""


def test_body_that_nobody_waits_for_does_not_keep_the_connection(place: str) -> None:
    with serving(place, Connections(waits=PATIENT)) as server, server.connect() as client:
        client.sendall(server.request("/nothing", "Content-Length: 99\r\n").replace(b"GET", b"POST"))
        until(client, b"Not found")
        server.connections.waits = BRIEF_HEAD
        client.sendall(b"x")
        assert rest(client) == b""


def test_connection_without_a_second_request_is_closed(place: str) -> None:
    with serving(place, Connections(waits=Waits(head=NEVER, idle=0.05))) as server, server.connect() as client:
        client.sendall(server.request("/nothing"))
        assert rest(client).endswith(b"Not found\n")


@pytest.mark.parametrize("seconds", [0.05])
def test_stream_lasts_longer_than_a_head_may(place: str, seconds: float) -> None:
    with serving(place, Connections()) as server:
        while True:
            server.connections.waits = Waits(seconds, seconds, NEVER, NEVER)
            with server.connect() as client:
                try:
                    client.sendall(server.request(f"/{TOKEN}/events?namespace="))
                    until(client, b"watching")
                except (ConnectionError, AssertionError):  # this machine is slow just now
                    seconds *= 2
                    continue
                with server.connect() as other:  # which has the same limit, from later on
                    assert rest(other) == b""
                with Store[Any](place) as s:
                    s["b"] = 1
                assert b'"b"' in until(client, b'"set"')
                return


def test_client_that_reads_no_answer_is_closed(place: str) -> None:
    waits = Waits(NEVER, NEVER, reading=0.05, closing=NEVER)
    with serving(place, Connections(waits=waits)) as server, closing(socket.socket()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(SECONDS)
        client.connect(server.address)
        with pytest.raises(ConnectionError):
            while True:  # the answers fill all buffers on the way
                client.sendall(server.request(f"/{TOKEN}/static/page.css") * 100)


def test_one_more_takes_the_place_of_the_longest_waiting(place: str) -> None:
    with serving(place, Connections(most=2, waits=PATIENT)) as server, ExitStack() as stack:
        first, second = stack.enter_context(server.connect()), stack.enter_context(server.connect())
        first.sendall(server.request("/nothing"))
        until(first, b"Not found")  # so that `second` waits for longer
        third = stack.enter_context(server.connect())
        assert rest(second) == b""
        for client in (first, third):
            client.sendall(server.request("/nothing"))
            until(client, b"Not found")


def test_one_more_is_closed_where_all_have_requests(place: str) -> None:
    with serving(place, Connections(most=1, waits=PATIENT)) as server, server.connect() as client:
        client.sendall(server.request(f"/{TOKEN}/events?namespace="))
        until(client, b"watching")
        with server.connect() as other:
            assert rest(other) == b""
        with Store[Any](place) as s:
            s["b"] = 1
        until(client, b'"set"')


@pytest.mark.slow
def test_many_idle_connections_keep_nobody_out(place: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * MANY), hard))  # the clients are in this process too
    try:
        with serving(place, Connections(waits=PATIENT)) as server, ExitStack() as stack:
            for number in range(MANY):
                stack.enter_context(server.connect()).sendall(b"GET " if number % 2 else b"")
            assert b"200 OK" in server.page()
            assert len(server.connections) <= 100
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("request_of", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"])
def test_what_is_no_http_is_answered_with_the_headers_of_all_pages(place: str, request_of: bytes) -> None:
    with serving(place, Connections(waits=Waits(head=1.0))) as server, server.connect() as client:
        client.sendall(request_of + b"\r\n\r\n")
        head, _, body = rest(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ") and b"Invalid" in body
    sent = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.decode().split("\r\n"))}
    assert {name: sent.get(name.lower()) for name in HEADERS} == HEADERS


def test_broken_body_behind_an_answer_ends_the_connection(place: str, caplog: pytest.LogCaptureFixture) -> None:
    with serving(place, Connections(waits=PATIENT)) as server, server.connect() as client:
        client.sendall(server.request("/nothing", "Transfer-Encoding: chunked\r\n").replace(b"GET", b"POST"))
        until(client, b"Not found")
        client.sendall(b"no chunk\r\n\r\n")
        assert rest(client) == b""
    assert "Traceback" not in caplog.text and not [one for one in caplog.records if one.exc_info]
