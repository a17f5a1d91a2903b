"""Messages over the streams of asyncio: between coroutines, and with a blocking process on the other side."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from store.errors import Corrupt, NotSerializable, Tampered, Untrusted
from store.messages import stream as messages

KEY = b"the key of these tests"
WAIT_SECONDS = 60
HEADER_BYTES = 50 + len("pickle")

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def stream(sock: socket.socket) -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()  # what is still to be sent is for nobody
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass


@asynccontextmanager
async def streams() -> AsyncIterator[tuple[Stream, Stream]]:
    """Both ends of a socket pair."""
    ours, theirs = socket.socketpair()
    async with stream(ours) as one, stream(theirs) as other:
        yield one, other


def run(main: Any) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(WAIT_SECONDS):
            return await main

    return asyncio.run(bounded())


def fed(data: bytes, *, ended: bool = True) -> asyncio.StreamReader:
    """A stream that these bytes came in on."""
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    if ended:
        reader.feed_eof()
    return reader


def frame(value: Any, **options: Any) -> bytes:
    """What a blocking `send` writes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        messages.send(ours, value, **options)
        return theirs.recv(100_000)


def test_values_of_all_sizes_come_and_go_over_tcp() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await messages.send_async(writer, await messages.receive_async(reader, key=KEY), key=KEY)
        except EOFError as exc:
            ended.set_result(str(exc))
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        nonlocal ended
        ended = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            for value in (None, {"a": [1]}, "x" * 65_536, os.urandom(3_000_000)):
                await messages.send_async(writer, value, key=KEY)
                assert await messages.receive_async(reader, key=KEY) == value
            writer.close()
            await writer.wait_closed()
            assert await ended == "the connection was closed"

    ended: asyncio.Future[str]
    run(main())


@pytest.mark.parametrize("key", [None, KEY])
def test_frame_is_that_of_the_blocking_calls(key: bytes | None) -> None:
    value = {"big": "x" * 700_000}
    problems: list[BaseException] = []

    def blocking(conn: socket.socket) -> None:
        try:
            messages.send(conn, messages.receive(conn, key=key), key=key)
        except BaseException as exc:
            problems.append(exc)

    async def main() -> None:
        async with stream(ours) as (reader, writer):
            await messages.send_async(writer, value, key=key)
            assert await messages.receive_async(reader, key=key) == value

    ours, theirs = socket.socketpair()
    with theirs:
        theirs.settimeout(WAIT_SECONDS)
        thread = threading.Thread(target=blocking, args=(theirs,))
        thread.start()
        try:
            run(main())
        finally:
            thread.join(WAIT_SECONDS)
    assert problems == []


def test_options_are_those_of_the_blocking_calls() -> None:
    async def main() -> None:
        async with streams() as ((reader, _), (_, writer)):
            await messages.send_async(writer, [1], codec="json")
            assert await messages.receive_async(reader) == [1]
            await messages.send_async(writer, [1])
            with pytest.raises(Untrusted, match="not sealed with a key"):
                await messages.receive_async(reader, key=KEY)
            await messages.send_async(writer, ValueError("x"), protocol=2)
            assert repr(await messages.receive_async(reader)) == "ValueError('x')"
            await messages.send_async(writer, Allowed())
            assert type(await messages.receive_async(reader, allow=[Allowed])) is Allowed
            with pytest.raises(NotSerializable):
                await messages.send_async(writer, writer)
            with pytest.raises(ValueError, match="unknown codec"):
                await messages.send_async(writer, [1], codec="none-such")
            await messages.send_async(writer, [2])  # neither sent anything
            assert await messages.receive_async(reader) == [2]

    run(main())


class Allowed:
    pass


def test_stream_that_ends_anywhere_is_a_plain_eof_error() -> None:
    data = frame([1, 2])

    async def main() -> None:
        for size in range(len(data)):
            with pytest.raises(EOFError) as caught:
                await messages.receive_async(fed(data[:size]))
            assert type(caught.value) is EOFError  # not asyncio.IncompleteReadError
            assert str(size) in str(caught.value) or not size
        assert await messages.receive_async(fed(data)) == [1, 2]

    run(main())


def test_stream_that_is_reset_is_an_eof_error() -> None:
    async def main() -> None:
        reader = fed(frame([1])[:-1], ended=False)
        waiting = asyncio.ensure_future(messages.receive_async(reader))
        await asyncio.sleep(0)
        reader.set_exception(ConnectionResetError())
        with pytest.raises(EOFError, match="in the middle of a message") as caught:
            await waiting
        assert isinstance(caught.value.__cause__, ConnectionResetError)

    run(main())


def test_bytes_that_come_one_by_one_are_a_message() -> None:
    async def main() -> None:
        reader = asyncio.StreamReader()
        waiting = asyncio.ensure_future(messages.receive_async(reader, key=KEY))
        for byte in frame(["a", "b"], key=KEY):
            assert not waiting.done()
            reader.feed_data(bytes([byte]))
            await asyncio.sleep(0)
        assert await waiting == ["a", "b"]

    run(main())


def test_refusals_are_those_of_the_blocking_calls() -> None:
    async def main() -> None:
        with pytest.raises(Corrupt, match="max_bytes=10: it was not read"):
            await messages.receive_async(fed(frame(b"x" * 100)[:HEADER_BYTES], ended=False), max_bytes=10)
        with pytest.raises(Corrupt, match="this is no message"):
            await messages.receive_async(fed(b"GET", ended=False))
        with pytest.raises(Tampered):
            await messages.receive_async(fed(frame(["a"], key=KEY).replace(b"a", b"b")), key=KEY)

    run(main())


@pytest.mark.parametrize("wrong", [None, 5, "name"])
def test_anything_else_is_a_type_error(wrong: Any) -> None:
    async def main() -> None:
        async with streams() as ((reader, writer), _):
            for target in (wrong, reader):
                with pytest.raises(TypeError, match=r"^send_async takes an asyncio.StreamWriter, not "):
                    await messages.send_async(target, [1])
            for source in (wrong, writer):
                with pytest.raises(TypeError, match=r"^receive_async takes an asyncio.StreamReader, not "):
                    await messages.receive_async(source)

    run(main())


@pytest.mark.slow
def test_large_message_waits_for_the_receiver_and_is_not_copied() -> None:
    """`drain` is awaited: a receiver that is slow does not make the sender's memory grow."""
    size = 20_000_000
    value = b"x" * size

    async def main() -> None:
        async with streams() as ((reader, _), (_, writer)):
            tracemalloc.start()
            try:
                sending = asyncio.ensure_future(messages.send_async(writer, value))
                for _ in range(100):  # the event loop's turns
                    await asyncio.sleep(0)
                assert not sending.done()
                assert tracemalloc.get_traced_memory()[0] < 1.2 * size
                tracemalloc.reset_peak()
                assert await messages.receive_async(reader) == value
                await sending
            finally:
                tracemalloc.stop()

    run(main())


def test_message_that_is_only_announced_takes_no_memory() -> None:
    data = bytearray(frame(b"x" * 100))
    data[42:50] = (2**40).to_bytes(8, "little")

    async def main() -> None:
        tracemalloc.start()
        try:
            with pytest.raises(EOFError, match=r"of its 1\d{12} bytes"):
                await messages.receive_async(fed(bytes(data)), max_bytes=2**41)
            assert tracemalloc.get_traced_memory()[1] < 2_000_000
        finally:
            tracemalloc.stop()

    run(main())


def test_receive_that_is_cancelled_leaves_the_rest_of_the_message() -> None:
    """Why the connection is to be closed: what was read of the message is gone."""

    async def main() -> None:
        data = frame([1])
        reader = fed(data[:30], ended=False)
        waiting = asyncio.ensure_future(messages.receive_async(reader))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        reader.feed_data(data[30:])
        with pytest.raises(Corrupt, match="this is no message"):
            await messages.receive_async(reader)

    run(main())


def test_peer_that_has_gone_is_a_connection_error_to_the_sender() -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        async with stream(ours) as (_, writer):
            theirs.close()
            with pytest.raises(ConnectionError):
                await messages.send_async(writer, b"x" * 5_000_000)

    run(main())
