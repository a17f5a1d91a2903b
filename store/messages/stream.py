"""`send` and `receive`: values between processes over sockets, pipes and files, and asyncio's streams.

    from store import messages

    messages.send(conn, {"job": 7}, key=secret)
    job = messages.receive(conn, key=secret)

    await messages.send_async(writer, {"job": 7}, key=secret)
    job = await messages.receive_async(reader, key=secret)

`store/messages/README.md` describes what is promised, and after which errors a connection can still be used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from socket import SOCK_STREAM
from typing import TYPE_CHECKING, Any

from store.messages.frame import CHUNK, Incoming, outgoing, would_block

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

    from store.trust.keys.ring import KeySource

__all__ = ["MAX_BYTES", "receive", "receive_async", "send", "send_async"]

MAX_BYTES = 256 * 1024 * 1024
"""The default of `max_bytes`."""

_TAKES = (
    "takes a stream socket, a binary file, a file descriptor or a multiprocessing connection, not {}; "
    "for the streams of asyncio there are send_async and receive_async"
)


def send(conn: Any, value: Any, *, key: KeySource = None, codec: Any = "pickle", protocol: int | None = None) -> None:
    """Send a value as one message; it has left this process when this returns.

    `conn` is a stream socket (TLS too), a binary file (buffered or raw, a pipe's end, BytesIO), a file descriptor, or
    a `multiprocessing` connection. `key` seals the message, as `key` of `Store`; None: it is not sealed.

    Raises:
        NotSerializable: the codec cannot hold it; nothing was sent. CodecUnavailable.
        OSError: BrokenPipeError: the other side was closed. TimeoutError: the socket's own. BlockingIOError: the
            connection does not block. And other errors of the connection.
        TypeError, ValueError: an argument can never be right.
    """
    write = _writer(conn)
    for part in outgoing(value, key, codec, protocol):
        write(part)


def receive(conn: Any, *, allow: Iterable[type | str] = (), key: KeySource = None, max_bytes: int = MAX_BYTES) -> Any:
    """Wait for the next message, and return its value.

    With a `key` (as of `Store`) only messages that it sealed are decoded, in full. Without one, any message is
    decoded with restraint: plain data, standard types, and the classes in `allow` or declared with `store.allow`.
    Memory is taken as the bytes arrive, never for an announced size; `max_bytes` limits the encoded value.

    Raises:
        EOFError: the connection was closed, before the message or in the middle of it; the text says which.
        Untrusted: there is a key and it did not seal the message, or there is none and the message needs a
            class that is not allowed. Tampered: a key of these sealed something else.
        Corrupt: it is no message, or damaged, or over `max_bytes`, and then not read.
        UnknownProtocol, CodecUnavailable: it takes a newer release, or a library, to read it.
        OSError: TimeoutError, BlockingIOError and other errors of the connection.
        TypeError, ValueError: an argument can never be right.
    """
    read = _reader(conn)
    incoming = Incoming(max_bytes, key, allow)
    while incoming.wanted:
        try:
            data = read(incoming.wanted)
        except ConnectionError as exc:
            raise incoming.lost() from exc
        incoming.feed(data)
    return incoming.value()


async def send_async(
    writer: StreamWriter, value: Any, *, key: KeySource = None, codec: Any = "pickle", protocol: int | None = None
) -> None:
    """As `send`, on a stream of asyncio; returns when the stream has room again. Raises: as `send`."""
    if not (callable(getattr(writer, "drain", None)) and callable(getattr(writer, "write", None))):
        raise TypeError(f"send_async takes an asyncio.StreamWriter, not {type(writer).__name__}")
    for part in outgoing(value, key, codec, protocol):
        view = memoryview(part)
        for start in range(0, len(view), CHUNK):  # the stream copies what it cannot send at once
            writer.write(view[start : start + CHUNK])
            await writer.drain()


async def receive_async(
    reader: StreamReader, *, allow: Iterable[type | str] = (), key: KeySource = None, max_bytes: int = MAX_BYTES
) -> Any:
    """As `receive`, on a stream of asyncio; the stream's own limit does not matter. Raises: as `receive`."""
    if not (callable(getattr(reader, "at_eof", None)) and callable(getattr(reader, "read", None))):
        raise TypeError(f"receive_async takes an asyncio.StreamReader, not {type(reader).__name__}")
    incoming = Incoming(max_bytes, key, allow)
    while incoming.wanted:
        try:
            data = await reader.read(incoming.wanted)
        except ConnectionError as exc:
            raise incoming.lost() from exc
        incoming.feed(data)
    return incoming.value()


# -- the connection


def _reader(conn: Any) -> Callable[[int], Any]:
    """The function that reads at most so many bytes. Raises: TypeError: it is no connection."""
    kind = _kind_of(conn, "receive")
    if kind == "descriptor":
        return partial(os.read, conn if isinstance(conn, int) else conn.fileno())
    read: Callable[[int], Any] = conn.recv if kind == "socket" else conn.read
    return read


def _writer(conn: Any) -> Callable[[bytes], None]:
    """The function that writes all of some bytes. Raises: TypeError: it is no connection."""
    kind = _kind_of(conn, "send")
    if kind == "socket":
        sendall: Callable[[bytes], None] = conn.sendall
        return sendall
    if kind == "descriptor":
        return partial(_write_all, partial(os.write, conn if isinstance(conn, int) else conn.fileno()))
    return partial(_write_all, conn.write, flush=conn.flush if _has(conn, "flush") else None)


def _kind_of(conn: Any, function: str) -> str:
    if isinstance(conn, int) and not isinstance(conn, bool):
        return "descriptor"
    if _has(conn, "recv", "sendall"):
        if getattr(conn, "type", SOCK_STREAM) != SOCK_STREAM:  # a datagram is cut to the size that is read
            raise TypeError(f"{function} " + _TAKES.format(f"a socket of type {conn.type!r}"))
        return "socket"
    if _has(conn, "recv_bytes", "fileno"):
        return "descriptor"
    method = "read" if function == "receive" else "write"
    # The streams of asyncio and text files have methods of these names too, which do not read or write bytes.
    if _has(conn, method) and not any(hasattr(conn, other) for other in ("encoding", "feed_eof", "drain")):
        return "file"
    what = "a text file" if hasattr(conn, "encoding") else type(conn).__name__
    raise TypeError(f"{function} " + _TAKES.format(what))


def _has(conn: Any, *methods: str) -> bool:
    return all(callable(getattr(conn, method, None)) for method in methods)


def _write_all(
    write: Callable[[memoryview], int | None], data: bytes, flush: Callable[[], object] | None = None
) -> None:
    view = memoryview(data)
    while view:
        written = write(view)
        if not written:
            raise would_block("takes nothing more at the moment")
        view = view[written:]
    if flush is not None:  # a message must not wait in a buffer
        flush()
