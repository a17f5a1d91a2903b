"""Whatever bytes arrive: a value, EOFError or an error of ours, in bounded memory; under a key never another value."""

from __future__ import annotations

import asyncio
import io
import pickle
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import StoreError
from store.messages import stream as messages
from store.messages.frame import _FIXED, _Fixed
from store.messages.pipeline import for_messages

KEY = b"the key of these tests"
VALUE = {"job": 7, "names": ["a", "b"], "nested": [(1.5, None)]}
LIMIT = 100_000

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=10,
)
small = settings(max_examples=100, deadline=None)


def frame(value: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    messages.send(file, value, **options)
    return file.getvalue()


class InPieces:
    """Gives the data in pieces of the sizes that were drawn."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self.file, self.sizes = io.BytesIO(data), sizes or [1]
        self.count = 0

    def read(self, size: int) -> bytes:
        self.count += 1
        return self.file.read(min(size, self.sizes[self.count % len(self.sizes)]))


def outcome(data: bytes, sizes: list[int], **options: Any) -> tuple[str, Any]:
    """What becomes of the bytes; any error that is none of those promised goes through."""
    try:
        return "value", messages.receive(InPieces(data, sizes), max_bytes=LIMIT, **options)
    except EOFError as exc:
        return "end", str(exc)
    except StoreError as exc:
        return "refused", type(exc)


pieces = st.lists(st.integers(1, 70), max_size=5)


@settings(max_examples=50, deadline=None)
@given(st.lists(plain, max_size=3), pieces, st.sampled_from([None, KEY]))
@pytest.mark.slow
def test_messages_come_back_in_order_however_they_are_cut(values: list[Any], sizes: list[int], key: bytes | None) -> None:
    conn = InPieces(b"".join(frame(value, key=key) for value in values), sizes)
    assert [messages.receive(conn, key=key) for _ in values] == values


@small
@given(st.binary(max_size=200), pieces, st.sampled_from([None, KEY]))
def test_garbage_is_no_value(data: bytes, sizes: list[int], key: bytes | None) -> None:
    assert outcome(data, sizes, key=key)[0] != "value"
    assert outcome(b"\x9bmsg\x01" + data, sizes, key=key)[0] in ("end", "refused")


@small
@given(
    codec=st.sampled_from([b"pickle", b"json", b"none-such", b"", b"\xff"]) | st.binary(max_size=20),
    protocol=st.integers(-(2**63), 2**63 - 1) | st.integers(0, 5),
    body=st.binary(max_size=100) | st.builds(pickle.dumps, plain, protocol=st.integers(0, 5)) | st.just(b"[1]"),
    announced=st.none() | st.integers(0, 2**64 - 1),
    sizes=pieces,
)
@pytest.mark.slow
def test_frame_of_anybody_gives_a_value_or_an_error_of_ours(
    codec: bytes, protocol: int, body: bytes, announced: int | None, sizes: list[int]
) -> None:
    """Its checksums fit, as anybody can make them; the lengths may be lies."""
    pipeline = for_messages(None)
    row = pipeline.pack_message(None)._replace(codec=codec.decode("latin-1"), protocol=protocol, body=body)
    row = pipeline.sealer.seal(row)
    size = len(body) if announced is None else announced
    fixed = _Fixed(b"\x9bmsg", 1, len(codec), protocol, row.crc, row.seal, size)
    outcome(_FIXED.pack(*fixed) + codec + body, sizes)


edits = st.tuples(st.sampled_from(["flip", "set", "cut", "drop", "insert"]), st.integers(0, 150), st.integers(0, 255))


def edited(sent: bytes, kind: str, position: int, byte: int) -> bytes:
    before, here, after = sent[:position], sent[position : position + 1], sent[position + 1 :]
    if kind == "flip":
        here = bytes(one ^ (1 << byte % 8) for one in here)
    elif kind == "set":
        here = bytes([byte])
    elif kind == "cut":
        here = after = b""
    elif kind == "drop":
        here = b""
    else:
        here = bytes([byte]) + here
    return before + here + after


@small
@given(st.lists(edits, min_size=1, max_size=3), pieces)
@pytest.mark.slow
def test_altered_message_is_never_another_value(changes: list[tuple[str, int, int]], sizes: list[int]) -> None:
    sent = frame(VALUE, key=KEY)
    assert len(sent) < 150
    for change in changes:
        sent = edited(sent, *change)
    what, value = outcome(sent, sizes, key=KEY)
    assert what != "value" or value == VALUE  # the checksum is not sealed, nor what follows the message
    outcome(sent, sizes)


def test_every_single_bit_that_flips_is_noticed() -> None:
    sent = frame([1, "two"], key=KEY)
    crc = range(14, 18)
    for position in range(len(sent)):
        for bit in range(8):
            flipped = bytearray(sent)
            flipped[position] ^= 1 << bit
            what, value = outcome(bytes(flipped), [1000], key=KEY)
            assert what != "value" or (position in crc and value == [1, "two"]), (position, bit)


@small
@given(st.integers(0, 2**64 - 1), st.binary(max_size=50), st.integers(1, 2**64))
def test_memory_is_bounded_by_what_arrives(announced: int, body: bytes, limit: int) -> None:
    fixed = _Fixed(b"\x9bmsg", 1, 6, 5, 0, bytes(24), announced)
    data = _FIXED.pack(*fixed) + b"pickle" + body
    tracemalloc.start()
    try:
        for arrives in (data, data[:60]):
            try:
                messages.receive(io.BytesIO(arrives), max_bytes=limit)
            except (StoreError, EOFError):
                pass
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@small
@given(st.binary(max_size=120), st.booleans(), st.sampled_from([None, KEY]), pieces)
@pytest.mark.slow
def test_asyncio_gives_what_the_blocking_call_gives(tail: bytes, whole: bool, key: bytes | None, sizes: list[int]) -> None:
    data = frame(VALUE, key=key) + tail if whole else b"\x9bmsg\x01"[: len(tail)] + tail

    async def receive() -> Any:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await messages.receive_async(reader, key=key, max_bytes=LIMIT)

    try:
        found: tuple[str, Any] = "value", asyncio.run(receive())
    except EOFError as exc:
        found = "end", str(exc)
        assert type(exc) is EOFError
    except StoreError as exc:
        found = "refused", type(exc)
    assert found == outcome(data, sizes, key=key)
