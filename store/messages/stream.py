"""Values between processes: over sockets, pipes and files, and as awaitables over asyncio's streams.

    from store import messages

    messages.send(conn, {"job": 7}, key=secret)
    job = messages.receive(conn, key=secret)

    await messages.send_async(writer, {"job": 7}, key=secret)
    job = await messages.receive_async(reader, key=secret)

With `key=` (as that of `Store`: bytes, str, the path of a key file, or several, newest first) a message is sealed,
and only one that a key of these sealed is decoded, in full. Without it no key is used, not even the user's own:
the seal is a checksum, and whoever sent the message, it is decoded with restraint: plain data, standard types, and
the classes in `allow` or declared with `store.allow`.

What the connection may be: a stream `socket.socket` (TLS too), a binary file (buffered or raw, a pipe's end,
BytesIO), a file descriptor, or a `multiprocessing` connection. The last is used by its descriptor, not by its
`send_bytes`: one format everywhere, and its own framing would believe any announced length. Between messages both
sides may use it as before.

One sender and one receiver at a time: where several threads use a connection, they lock, one lock for each
direction. Nothing here keeps anything of a connection between two calls.

After `Untrusted`, `Tampered` and `CodecUnavailable` the next message can be received, and after `NotSerializable`
the next one sent. After any other error (a timeout, an interrupt, a cancelled task, an EOFError, a message over the
limit) the two sides no longer agree on where a message begins: close the connection. The process is as it was.

Not promised: secrecy (use TLS), and that a message arrives once, in order, or at all. Who sees a sealed message can
send it again, later, on another connection, and back to its sender: where that matters, put a number and the
direction into the value. A sealed message is never valid as a record of a store, nor a record as a message.

Decoding a large value takes its time, which the asyncio functions spend in the event loop.

The format is in `store/messages/frame.py`.
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
"""How large a message may be unless `max_bytes` says otherwise."""

_TAKES = (
    "takes a stream socket, a binary file, a file descriptor or a multiprocessing connection, not {}; "
    "for the streams of asyncio there are send_async and receive_async"
)


def send(conn: Any, value: Any, *, key: KeySource = None, codec: Any = "pickle", protocol: int | None = None) -> None:
    """Send a value as one message; it has left this process when this returns.

    Raises:
        NotSerializable: the codec cannot hold it; nothing was sent. CodecUnavailable.
        OSError: BrokenPipeError where nobody receives any more, TimeoutError of a socket with a timeout,
            BlockingIOError where it does not block, and what else the connection raises.
        TypeError, ValueError: an argument can never be right.
    """
    write = _writer(conn)
    for part in outgoing(value, key, codec, protocol):
        write(part)


def receive(conn: Any, *, allow: Iterable[type | str] = (), key: KeySource = None, max_bytes: int = MAX_BYTES) -> Any:
    """The value of the next message, once all of it is there.

    Memory is taken as the bytes arrive, never for what was only announced; `max_bytes` is for the encoded value.

    Raises:
        EOFError: the connection was closed, before the message or in the middle of it, which the text tells.
        Untrusted: there is a key and it did not seal the message, or there is none and the message needs a
            class that is not allowed. Tampered: a key of these sealed something else.
        Corrupt: it is no message, or damaged, or over `max_bytes`; what is over is not read.
        UnknownProtocol, CodecUnavailable: it takes a newer release, or a library, to read it.
        OSError: TimeoutError, BlockingIOError and what else the connection raises.
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
        for start in range(0, len(view), CHUNK):  # the stream would copy all that it cannot send at once
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
    """What reads at most so many bytes of it. Raises: TypeError: it is no connection."""
    kind = _kind_of(conn, "receive")
    if kind == "descriptor":
        return partial(os.read, conn if isinstance(conn, int) else conn.fileno())
    read: Callable[[int], Any] = conn.recv if kind == "socket" else conn.read
    return read


def _writer(conn: Any) -> Callable[[bytes], None]:
    """What writes all of some bytes to it. Raises: TypeError: it is no connection."""
    kind = _kind_of(conn, "send")
    if kind == "socket":
        sendall: Callable[[bytes], None] = conn.sendall
        return sendall
    if kind == "descriptor":
        return partial(_write_all, partial(os.write, conn if isinstance(conn, int) else conn.fileno()))
    return partial(_write_file, conn)


def _write_file(file: Any, data: bytes) -> None:
    _write_all(file.write, data)
    if _has(file, "flush"):  # who waits for the message must not wait for the buffer to fill
        file.flush()


def _kind_of(conn: Any, function: str) -> str:
    if isinstance(conn, int) and not isinstance(conn, bool):
        return "descriptor"
    if _has(conn, "recv", "sendall"):
        if getattr(conn, "type", SOCK_STREAM) != SOCK_STREAM:  # what does not fit into one datagram is lost
            raise TypeError(f"{function} " + _TAKES.format(f"a socket of type {conn.type!r}"))
        return "socket"
    if _has(conn, "recv_bytes", "fileno"):
        return "descriptor"
    method = "read" if function == "receive" else "write"
    # An asyncio stream has methods of these names too, and a text file; neither takes or gives bytes then and there.
    if _has(conn, method) and not any(hasattr(conn, other) for other in ("encoding", "feed_eof", "drain")):
        return "file"
    what = "a text file" if hasattr(conn, "encoding") else type(conn).__name__
    raise TypeError(f"{function} " + _TAKES.format(what))


def _has(conn: Any, *methods: str) -> bool:
    return all(callable(getattr(conn, method, None)) for method in methods)


def _write_all(write: Callable[[memoryview], int | None], data: bytes) -> None:
    view = memoryview(data)
    while view:
        written = write(view)
        if not written:
            raise would_block("takes nothing more at the moment")
        view = view[written:]
