"""Messages between processes: the frame, what is refused, and what may be a connection."""

from __future__ import annotations

import asyncio
import io
import multiprocessing
import os
import pickle
import socket
import struct
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import store
from store.codecs import codecs
from store.codecs.pickle import PickleCodec
from store.errors import (
    CodecUnavailable,
    Corrupt,
    NotSerializable,
    RecordError,
    StorageError,
    Tampered,
    UnknownProtocol,
    Untrusted,
)
from store.messages import stream as messages
from store.rows.row import Row
from store.trust.keys.key import Key
from store.trust.keys.ring import Keyring, NoKeys
from store.trust.seal import Sealer

KEY = b"the key of these tests"
OTHER = b"the key of somebody else"
FIXED = struct.Struct("<4sBBqI24sQ")  # written out here too: what is on the wire may not change unnoticed
VALUE = {"job": 7, "names": ["a", "b"], "raw": b"\0" * 1000}

ran: list[str] = []


@dataclass
class Plain:
    number: int


def run_code() -> None:
    ran.append("it ran")


class Runs:
    def __reduce__(self) -> Any:
        return run_code, ()


def frame(value: Any, **options: Any) -> bytes:
    """The message of a value."""
    file = io.BytesIO()
    messages.send(file, value, **options)
    return file.getvalue()


def value_of(data: bytes, **options: Any) -> Any:
    return messages.receive(io.BytesIO(data), **options)


def changed(data: bytes, **fields: Any) -> bytes:
    """The message with other fields in its header."""
    names = ("magic", "version", "codec_bytes", "protocol", "crc", "seal", "body_bytes")
    values = dict(zip(names, FIXED.unpack_from(data), strict=True)) | fields
    return FIXED.pack(*values.values()) + data[FIXED.size :]


def hostile(codec: bytes, body: bytes, protocol: int = 5) -> bytes:
    """A message whose checksums fit, as anybody can make it."""
    row = Row(None, "", "\0message", codec.decode(), protocol, None, None, body, None, b"", 0, 1, 0.0, 0.0, None)
    row = Sealer(NoKeys(), b"store.messages.1", b"store.message.v1").seal(row)
    return FIXED.pack(b"\x9bmsg", 1, len(codec), protocol, row.crc, row.seal, len(body)) + codec + body


class OneByteFile(io.RawIOBase):
    """Reads and writes one byte at a time."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        taken = self.data[: min(1, len(buffer))]
        buffer[: len(taken)] = taken
        del self.data[: len(taken)]
        return len(taken)

    def write(self, data: Any) -> int:
        self.data += data[:1]
        return 1


class OneByteSocket(socket.socket):
    """One `recv` is not a message."""

    def recv(self, size: int, flags: int = 0) -> bytes:
        return super().recv(min(1, size), flags)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(30)
        theirs.settimeout(30)
        yield ours, theirs


# -- the frame


@pytest.mark.parametrize("options", [{}, {"key": KEY}, {"codec": "json"}, {"protocol": 2}, {"protocol": -1}], ids=str)
@pytest.mark.parametrize("value", [None, 0, "ü", [1, [2.5, {"a": None}]], "x" * 700_000], ids=lambda value: repr(value)[:9])
def test_value_comes_back_as_it_was_sent(value: Any, options: dict[str, Any]) -> None:
    assert value_of(frame(value, **options), key=options.get("key")) == value


def test_frame_is_what_the_format_says() -> None:
    for key in (None, KEY):
        data = frame([1], key=key, protocol=4)
        magic, version, codec_bytes, protocol, _, seal, body_bytes = FIXED.unpack_from(data)
        assert (magic, version, codec_bytes, protocol) == (b"\x9bmsg", 1, 6, 4)
        assert data[FIXED.size :] == b"pickle" + pickle.dumps([1], 4)
        assert body_bytes == len(pickle.dumps([1], 4))
        assert seal[:8] == (Key(KEY).id if key else bytes(8))


@pytest.mark.parametrize(
    "key, seal",
    [
        (None, "0000000000000000247da97aef6db0aafaf2a669512e38e6"),
        (KEY, "daa0b8befc22c7c1f863d6273ddb76878c7e763e295bcd3c"),
    ],
)
def test_message_that_an_earlier_release_sent_is_read(key: bytes | None, seal: str) -> None:
    """Bytes as the first release sends them: how they are sealed may not change either."""
    start, rest = "9b6d73670106050000000000000089e0195e", "17000000000000007069636b6c65"
    body = "8005950c000000000000007d948c036a6f62944b07732e"
    assert value_of(bytes.fromhex(start + seal + rest + body), key=key) == {"job": 7}


def test_messages_are_read_one_after_another() -> None:
    values = [None, "a" * 300_000, {"b": [1]}, "", b"\x9bmsg"]
    file = io.BytesIO()
    for value in values:
        messages.send(file, value)
    for _ in range(2):
        file.seek(0)
        assert [messages.receive(file) for _ in values] == values
        with pytest.raises(EOFError, match=r"^the connection was closed$"):
            messages.receive(file)


def test_messages_leave_what_follows_them_alone() -> None:
    file = io.BytesIO(frame([1]) + b"rest")
    assert (messages.receive(file), file.read()) == ([1], b"rest")


@pytest.mark.parametrize("key", [None, KEY])
def test_connection_that_gives_and_takes_one_byte_at_a_time(key: bytes | None) -> None:
    with OneByteFile() as file:
        messages.send(file, VALUE, key=key)
        messages.send(file, "more", key=key)
        assert bytes(file.data) == frame(VALUE, key=key) + frame("more", key=key)
        assert (messages.receive(file, key=key), messages.receive(file, key=key)) == (VALUE, "more")
    ours, theirs = socket.socketpair()
    with ours, OneByteSocket(fileno=theirs.detach()) as slow:
        messages.send(ours, VALUE, key=key)
        assert messages.receive(slow, key=key) == VALUE


def test_connection_that_ends_anywhere_is_an_eof_error_with_the_numbers() -> None:
    data = frame([1, 2, 3])
    with pytest.raises(EOFError, match=r"^the connection was closed$"):
        value_of(b"")
    for size in range(1, len(data)):
        total = "the 50 bytes of its header" if size < FIXED.size else f"its {len(data)} bytes"
        with pytest.raises(EOFError, match=rf"in the middle of a message: {size} of {total} came$") as caught:
            value_of(data[:size])
        assert type(caught.value) is EOFError


def test_connection_that_is_reset_is_an_eof_error(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(frame([1])[:60])
    ours.sendall(b"not read by the other side, which resets the connection for it")
    theirs.close()
    with pytest.raises(EOFError, match="60 of its") as caught:
        messages.receive(ours)
    assert isinstance(caught.value.__cause__, ConnectionResetError)
    with pytest.raises(BrokenPipeError):
        messages.send(ours, [1])


# -- the limit


def test_message_over_the_limit_is_refused_before_it_is_read() -> None:
    data = frame(b"x" * 1000)
    size = FIXED.unpack_from(data)[-1]
    file = io.BytesIO(data)
    with pytest.raises(Corrupt, match=rf"^the message announces {size} bytes, and max_bytes={size - 1}: it was not read"):
        messages.receive(file, max_bytes=size - 1)
    assert file.tell() == FIXED.size
    assert value_of(data, max_bytes=size) == b"x" * 1000
    with pytest.raises(Corrupt, match=f"max_bytes={messages.MAX_BYTES}"):
        value_of(changed(data, body_bytes=messages.MAX_BYTES + 1))
    with pytest.raises(EOFError):
        value_of(changed(data, body_bytes=messages.MAX_BYTES))


def test_message_that_is_only_announced_takes_no_memory() -> None:
    data = changed(frame([1]), body_bytes=2**40)
    tracemalloc.start()
    try:
        with pytest.raises(EOFError, match=rf"{len(data)} of its {2**40 + FIXED.size + 6} bytes"):
            value_of(data, max_bytes=2**41)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_large_message_takes_its_size_once(tmp_path: Path) -> None:
    size = 20_000_000
    (tmp_path / "message").write_bytes(frame(b"x" * size, key=KEY))
    with open(tmp_path / "message", "rb", buffering=0) as file:
        tracemalloc.start()
        try:
            value = messages.receive(file, key=KEY)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert value == b"x" * size
    assert peak < 2.3 * size  # the value, and the message with an eighth of room to grow


def test_large_message_is_not_copied_to_be_sent() -> None:
    value = b"x" * 20_000_000
    with open(os.devnull, "wb", buffering=0) as file:
        tracemalloc.start()
        try:
            messages.send(file, value)
            assert tracemalloc.get_traced_memory()[1] < 1.7 * len(value)
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    "max_bytes, error", [(-1, ValueError), (None, TypeError), (1.5, TypeError), (True, TypeError), ("9", TypeError)]
)
def test_limit_that_is_none_is_refused_unread(max_bytes: Any, error: type[Exception]) -> None:
    file = io.BytesIO(frame([1]))
    with pytest.raises(error, match="max_bytes"):
        messages.receive(file, max_bytes=max_bytes)
    assert file.tell() == 0


# -- what is no message


@pytest.mark.parametrize("start", [b"G", b"GET / HTTP/1.0", b"\x80\x05K\x01.", b"\x9bmsx", b"\0" * 100], ids=repr)
def test_other_protocol_is_refused_at_its_first_wrong_byte(pair: tuple[socket.socket, socket.socket], start: bytes) -> None:
    ours, theirs = pair
    theirs.sendall(start)  # and now it waits for an answer: no further byte comes
    with pytest.raises(Corrupt, match=r"^this is no message, it begins with b"):
        messages.receive(ours)


def test_version_of_a_later_release_is_refused_at_once(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"\x9bmsg\x02")
    with pytest.raises(UnknownProtocol, match=r"^the message has version 2 .* knows 1; upgrade") as caught:
        messages.receive(ours)
    assert caught.value.protocol == 2


@pytest.mark.parametrize(
    "data, error, text",
    [
        (hostile(b"pickle", b"N.", 99), UnknownProtocol, "the message: it was written with pickle protocol 99"),
        (hostile(b"pickle", b"N.", -1), UnknownProtocol, "the message: it was written with pickle protocol -1"),
        (hostile(b"none-such", b"N."), CodecUnavailable, "the message was written with the codec 'none-such'"),
        (hostile(b"", b""), CodecUnavailable, "the message was written with the codec ''"),
        (hostile(b"x" * 255, b""), CodecUnavailable, "the message was written with the codec 'xxx"),
        (hostile(b"pickle", b""), Corrupt, "the message: its bytes cannot be decoded"),
        (hostile(b"pickle", b"."), Corrupt, "the message: an opcode takes more"),
        (hostile(b"pickle", b"N.N."), Corrupt, "the message: bytes follow its end"),
        (hostile(b"pickle", b"\x8b\xff\xff\xff\x7f"), Corrupt, "the message: "),
        (hostile(b"json", b"{", 1), Corrupt, "the message: the bytes are not JSON"),
        (changed(frame([1]), crc=1), Corrupt, "the message: its bytes do not match their checksum: damaged on its way"),
        (changed(frame([1]), seal=bytes(24)), Corrupt, "the message: its bytes do not match their checksum"),
        (changed(frame([1]), codec_bytes=5), Corrupt, "the message: its bytes do not match their checksum"),
        (frame([1])[:50] + b"\xff" * 6 + b"N.", Corrupt, "the message is damaged: the name of its codec"),
    ],
)  # fmt: skip
def test_hostile_message_is_refused_in_words_of_messages(data: bytes, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        value_of(data)
    assert str(caught.value).startswith(text)
    assert_speaks_of_messages(caught.value)


def assert_speaks_of_messages(error: BaseException) -> None:
    for word in ("record", "backup", "at rest", "intact", "stays as", "STORE_KEY", "open the store", "\\x00"):
        assert word not in str(error)
    assert error.args == (str(error),)
    if isinstance(error, RecordError):
        assert (error.name, error.namespace) == (None, None)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_next_message_is_there_after_one_that_was_refused() -> None:
    file = io.BytesIO(frame(Plain(1)) + hostile(b"none-such", b"") + frame("next"))
    for error in (Untrusted, CodecUnavailable):
        with pytest.raises(error):
            messages.receive(file)
    assert messages.receive(file) == "next"


# -- trust


def test_message_without_a_key_is_decoded_with_restraint() -> None:
    data = frame(Runs())
    with pytest.raises(Untrusted, match=r"^the message takes '.*run_code', which is not plain data") as caught:
        value_of(data)
    assert_speaks_of_messages(caught.value)
    assert ran == []
    with pytest.raises(Untrusted, match=r"receive with allow=\['.*Plain'\]; or give both sides the same key=") as caught:
        value_of(frame(Plain(1)))
    assert caught.value.missing == f"{Plain.__module__}.Plain"
    assert_speaks_of_messages(caught.value)
    assert value_of(frame(Plain(1)), allow=[Plain]) == Plain(1)


def test_class_that_was_declared_is_received() -> None:
    program = """
        import io, store
        from store import messages
        @store.allow
        class Point:
            x = 1
        file = io.BytesIO()
        messages.send(file, Point())
        file.seek(0)
        print(messages.receive(file).x)
    """
    assert run(program) == "1\n"


def test_key_opens_what_it_sealed_and_decodes_it_in_full() -> None:
    assert value_of(frame(Plain(1), key=KEY), key=KEY) == Plain(1)
    assert value_of(frame(Plain(1), key=OTHER), key=[KEY, OTHER]) == Plain(1)
    assert FIXED.unpack_from(frame(1, key=[KEY, OTHER]))[5][:8] == Key(KEY).id
    assert value_of(frame(Runs(), key=KEY), key=KEY.decode()) is None
    assert ran.pop() == "it ran"


@pytest.mark.parametrize("sealed_with", [None, OTHER])
@pytest.mark.parametrize("value", [[1], Plain(1), Runs()], ids=["plain", "class", "code"])
def test_key_refuses_what_it_did_not_seal(value: Any, sealed_with: bytes | None) -> None:
    with pytest.raises(Untrusted, match=r"^the message was not sealed with a key that was given as key=") as caught:
        value_of(frame(value, key=sealed_with), key=KEY, allow=[Plain])
    assert_speaks_of_messages(caught.value)
    assert ran == []


def test_sealed_message_is_plain_data_to_a_receiver_without_the_key() -> None:
    assert value_of(frame([1], key=KEY)) == [1]
    with pytest.raises(Untrusted):
        value_of(frame(Plain(1), key=KEY))


def test_altered_message_is_tampered_and_not_decoded() -> None:
    data = frame(Runs(), key=KEY)
    altered = [
        data[:-2] + bytes([data[-2] ^ 1]) + data[-1:],
        changed(data, protocol=4),
        changed(data, seal=Key(KEY).id + bytes(16)),
        changed(data, codec_bytes=4, body_bytes=len(data) - FIXED.size - 4),  # the same bytes, divided otherwise
        data[:50] + b"PICKLE" + data[56:],
    ]
    for one in altered:
        with pytest.raises(Tampered, match=r"^the message was altered on its way") as caught:
            value_of(one, key=KEY)
        assert_speaks_of_messages(caught.value)
    assert ran == []


def test_message_is_no_record_and_a_record_no_message() -> None:
    ring = Keyring(KEY)
    data = frame([1], key=KEY)
    *_, crc, seal, _ = FIXED.unpack_from(data)
    body = data[FIXED.size + 6 :]
    row = Row(None, "", "\0message", "pickle", 5, None, None, body, None, seal, crc, 1, 0.0, 0.0, None)
    assert Sealer(ring, b"store.messages.1", b"store.message.v1").check(row).value == "own"
    for store_id in (b"the id of a store", b"store.messages.1"):  # in a database that was given the id of messages, too
        with pytest.raises(Tampered):
            Sealer(ring, store_id).check(row)
        record = Sealer(ring, store_id).seal(row)
        with pytest.raises(Tampered):
            value_of(changed(data, seal=record.seal, crc=record.crc), key=KEY)


def test_keys_of_the_user_are_left_alone(own_key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert value_of(frame([1])) == [1]
    assert not own_key.parent.exists()
    store.Store(tmp_path / "app.db").close()
    with store.Store[Any](tmp_path / "app.db") as s:
        s["x"] = 1
    assert own_key.exists()
    assert FIXED.unpack_from(frame([1]))[5][:8] == bytes(8)
    for name in ("default_key_file", "read_key_file", "late", "why_unsafe"):
        monkeypatch.delattr(f"store.trust.keys.ring.{name}")
    monkeypatch.setenv("STORE_KEY", "no key")
    assert value_of(frame([1])) == [1]
    monkeypatch.setenv("STORE_KEY_FILE", str(tmp_path / "none-such"))
    assert FIXED.unpack_from(frame([1]))[5][:8] == bytes(8)
    assert value_of(frame([1])) == [1]
    with pytest.raises(Untrusted):
        value_of(frame(Plain(1)))
    monkeypatch.undo()


def test_key_file_is_named_as_a_path(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    with pytest.raises((StorageError, OSError)):
        frame([1], key=file)
    file.write_text("1" * 64 + "\n")
    assert value_of(frame(Plain(1), key=file), key=[OTHER, file]) == Plain(1)


def test_key_that_is_retired_opens_and_does_not_seal(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("1" * 64 + "\n")
    sealed = frame(Plain(1), key=file)
    file.write_text("1" * 64 + " retired\n")
    assert value_of(sealed, key=file) == Plain(1)
    with pytest.raises(Untrusted, match=r"^the message: it cannot be sealed: every key of key= is retired") as caught:
        frame([1], key=file)  # rather than sending it unsealed
    assert_speaks_of_messages(caught.value)


@pytest.mark.parametrize("key", [b"", "", [], 5, [None]], ids=repr)
def test_key_that_is_none_is_refused_before_anything_is_sent_or_read(key: Any) -> None:
    file = io.BytesIO(frame([1]))
    for call in (lambda: messages.send(file, [2], key=key), lambda: messages.receive(file, key=key)):
        with pytest.raises((TypeError, ValueError)):
            call()
    assert (file.tell(), file.getvalue()) == (0, frame([1]))


# -- sending


@pytest.mark.parametrize(
    "options, error",
    [
        ({"codec": "none-such"}, ValueError),
        ({"protocol": 17}, ValueError),
        ({"protocol": "5"}, TypeError),
    ],
)
def test_wrong_choice_sends_nothing(options: dict[str, Any], error: type[Exception]) -> None:
    file = io.BytesIO()
    with pytest.raises(error):
        messages.send(file, [1], **options)
    assert file.getvalue() == b""


@pytest.mark.parametrize("key", [None, KEY])
def test_value_that_cannot_be_encoded_sends_nothing(key: bytes | None) -> None:
    file = io.BytesIO()
    with pytest.raises(NotSerializable, match=r"^the message: ") as caught, socket.socket() as inner:
        messages.send(file, {"conn": inner}, key=key)
    assert_speaks_of_messages(caught.value)
    assert file.getvalue() == b""
    messages.send(file, [1], key=key)
    assert value_of(file.getvalue(), key=key) == [1]


def test_codec_whose_name_has_no_room_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Long(PickleCodec):
        def __init__(self, name: str) -> None:
            self.name = name

    monkeypatch.setattr(codecs, "_entries", dict(codecs._entries))
    monkeypatch.setattr(codecs, "_loaded", dict(codecs._loaded))
    for name in ("ü" * 127, "ü" * 128):
        codecs.register(name, Long(name))
    assert value_of(frame([1], codec="ü" * 127)) == [1]
    file = io.BytesIO()
    with pytest.raises(ValueError, match="a codec's name of 255 bytes"):
        messages.send(file, [1], codec="ü" * 128)
    assert file.getvalue() == b""


# -- what may be a connection


def test_message_reaches_the_other_end_of_a_pipe_at_once() -> None:
    def descriptors(ends: ExitStack) -> tuple[Any, Any]:
        source, target = os.pipe()
        ends.callback(os.close, source)
        ends.callback(os.close, target)
        return source, target

    def files(buffering: int, ends: ExitStack) -> tuple[Any, Any]:
        source, target = os.pipe()
        return (
            ends.enter_context(os.fdopen(source, "rb", buffering=buffering)),
            ends.enter_context(os.fdopen(target, "wb", buffering=buffering)),
        )

    def multiprocess(duplex: bool, ends: ExitStack) -> tuple[Any, Any]:
        source, target = multiprocessing.Pipe(duplex)
        return ends.enter_context(source), ends.enter_context(target)

    def socket_files(ends: ExitStack) -> tuple[Any, Any]:
        ours, theirs = map(ends.enter_context, socket.socketpair())
        return ends.enter_context(ours.makefile("rb")), ends.enter_context(theirs.makefile("wb"))

    def both_ways(ends: ExitStack) -> tuple[Any, Any]:
        ours, theirs = map(ends.enter_context, socket.socketpair())
        return ends.enter_context(ours.makefile("rwb")), theirs.fileno()

    kinds: list[Callable[[ExitStack], tuple[Any, Any]]] = [
        descriptors, lambda ends: files(0, ends), lambda ends: files(-1, ends),
        lambda ends: multiprocess(True, ends), lambda ends: multiprocess(False, ends), socket_files, both_ways,
    ]  # fmt: skip
    for kind in kinds:
        with ExitStack() as ends:
            source, target = kind(ends)
            for value in ([1], VALUE):  # it fits into the pipe; a buffer that is not flushed would hang here
                messages.send(target, value, key=KEY)
                assert messages.receive(source, key=KEY) == value


def test_multiprocessing_connection_may_be_used_as_before_in_between() -> None:
    source, target = multiprocessing.Pipe()
    with source, target:
        target.send("theirs")
        messages.send(target, "ours")
        target.send("theirs again")
        assert (source.recv(), messages.receive(source), source.recv()) == ("theirs", "ours", "theirs again")


def test_file_that_was_written_is_read_again_and_again(tmp_path: Path) -> None:
    values = [1, "two" * 200_000, None]
    with open(tmp_path / "log", "wb") as file:
        for value in values:
            messages.send(file, value)
    with open(tmp_path / "log", "ab") as file:
        messages.send(file, "four")
    for _ in range(2):
        with open(tmp_path / "log", "rb") as file:
            assert [messages.receive(file) for _ in range(4)] == [*values, "four"]
            with pytest.raises(EOFError):
                messages.receive(file)
    with tempfile.NamedTemporaryFile() as file:  # a wrapper, which is no subclass of anything in io
        messages.send(file, values)
        file.seek(0)
        assert messages.receive(file) == values


def test_anything_else_is_a_type_error_that_says_what_it_takes(tmp_path: Path) -> None:
    async def streams() -> tuple[Any, Any]:
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_connection(sock=ours)
            writer.close()
            await writer.wait_closed()
            return reader, writer

    reader, writer = asyncio.run(streams())
    with (
        open(tmp_path / "text", "w+") as text, tempfile.NamedTemporaryFile("w+") as wrapped,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams,
    ):  # fmt: skip
        for wrong in (None, True, "name", b"bytes", 1.5, [], tmp_path, object(), io.StringIO(), text, wrapped, datagrams, reader, writer):
            with pytest.raises(TypeError, match=r"^send takes a stream socket, a binary file, a file desc.* not "):
                messages.send(wrong, [1])
            with pytest.raises(TypeError, match=r"^receive takes a stream socket, a binary file, a file desc.* not "):
                messages.receive(wrong)


def test_reader_that_gives_something_else_is_told() -> None:
    class Gives:
        def __init__(self, data: Any) -> None:
            self.data = data

        def read(self, size: int) -> Any:
            return self.data

    with pytest.raises(TypeError, match="str, not bytes; open files in binary mode"):
        messages.receive(Gives("text"))
    with pytest.raises(ValueError, match=r"asked for 50 bytes and read 51$"):
        messages.receive(Gives(frame([1])[:50] + b"x"))
    assert messages.receive(io.BufferedReader(OneByteFile(frame([1])))) == [1]


def test_connection_that_does_not_block_is_a_blocking_io_error() -> None:
    source, target = os.pipe()
    with os.fdopen(source, "rb", buffering=0) as reading, os.fdopen(target, "wb", buffering=0) as writing:
        os.set_blocking(source, False)
        os.set_blocking(target, False)
        with pytest.raises(BlockingIOError, match="has nothing to read yet: messages take one that blocks"):
            messages.receive(reading)
        with pytest.raises(BlockingIOError):
            messages.receive(source)
        with pytest.raises(BlockingIOError, match="takes nothing more at the moment"):
            messages.send(writing, b"x" * 1_000_000)
        with pytest.raises(BlockingIOError):
            messages.send(target, [1])


def test_timeout_of_a_socket_is_a_timeout_error(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ours.settimeout(0.01)
    theirs.sendall(frame([1])[:-1])
    with pytest.raises(TimeoutError):
        messages.receive(ours)
    with pytest.raises(TimeoutError):
        messages.send(ours, b"x" * 10_000_000)


# -- the module


def run(program: str) -> str:
    lines = [line.removeprefix("        ") for line in program.strip("\n").splitlines()]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(lines)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_of_the_package_loads_none_of_it() -> None:
    program = """
        import sys, store
        names = {"asyncio", "socket", "_socket", "store.messages", "store.messages.frame"}
        print(names & set(sys.modules), hasattr(store, "messages"))
        from store import messages
        print("store.messages" in sys.modules, "asyncio" in sys.modules, "multiprocessing" in sys.modules)
    """
    assert run(program) == "set() False\nTrue False False\n"


def test_names_that_it_offers() -> None:
    assert sorted(messages.__all__) == ["MAX_BYTES", "receive", "receive_async", "send", "send_async"]
    assert messages.MAX_BYTES == 256 * 1024 * 1024
