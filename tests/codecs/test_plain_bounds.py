"""JSON and names of strangers: what they may ask for."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from store.classes.lookup import MAX_NAME, Lookup
from store.codecs import json
from store.codecs.json import MAX_NESTING
from store.errors import Corrupt


def restricted(body: bytes) -> Any:
    return json.codec.decode_restricted(body, allow={})


def in_a_small_thread(body: bytes) -> Any:
    """What decoding gives or raises, on a stack of 256 KB."""
    told: list[Any] = []

    def run() -> None:
        try:
            told.append(restricted(body))
        except Corrupt as exc:
            told.append(exc)

    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    return told.pop()


@pytest.mark.parametrize("opening, closing", [(b"[", b"]"), (b'{"a":', b"}")])
def test_json_nested_too_deep_is_refused_before_it_is_parsed(opening: bytes, closing: bytes) -> None:
    deep = in_a_small_thread(opening * 100_000)
    assert isinstance(deep, Corrupt) and f"more than {MAX_NESTING} deep" in str(deep)
    sound = in_a_small_thread(opening * 900 + b"1" + closing * 900)
    assert not isinstance(sound, Corrupt)


def test_brackets_in_texts_do_not_nest() -> None:
    text = '["[[[' + '\\"[{' * 5000 + '",1]'
    assert restricted(text.encode())[1] == 1
    assert restricted(b"[" + b"[]," * 5000 + b"1]")[-1] == 1


def test_integer_of_too_many_digits_is_corrupt_where_python_has_no_limit() -> None:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        with pytest.raises(Corrupt, match="digits"):
            restricted(b"9" * 5000)
        assert restricted(b"9" * 4300) == int("9" * 4300)
    finally:
        sys.set_int_max_str_digits(before)


def test_description_of_deep_json_says_so() -> None:
    assert "deep" in (json.codec.describe(b"[" * 100_000)[2] or "")


def test_names_of_renames_have_an_end() -> None:
    with pytest.raises(ValueError, match=str(MAX_NAME)):
        Lookup({"a" * (MAX_NAME + 1): "b"})
    with pytest.raises(ValueError, match=str(MAX_NAME)):
        Lookup({"a": "b" * (MAX_NAME + 1)})
    lookup = Lookup({"a": "b"})
    assert lookup.renamed("a" + ".a" * 100_000, "C") is None
    assert lookup.renamed("a", "C") == "b.C"


def test_type_of_a_protobuf_message_has_an_end() -> None:
    any_pb2 = pytest.importorskip("google.protobuf.any_pb2")
    from store.codecs.protobuf.codec import codec as protobuf

    body = any_pb2.Any(type_url="type.googleapis.com/" + "a." * 100_000 + "b").SerializeToString()
    for decode in (lambda: protobuf.decode(body), lambda: protobuf.decode_restricted(body, allow={})):
        with pytest.raises(Corrupt, match=str(MAX_NAME)):
            decode()


def test_name_of_an_avro_type_has_an_end() -> None:
    pytest.importorskip("fastavro")
    from store.codecs.avro import schema as avro_schema

    schema = {"type": "record", "name": "r", "namespace": "a" * 2000, "fields": []}
    with pytest.raises(Corrupt, match=str(MAX_NAME)):
        avro_schema.checked(schema)


def test_empty_containers_of_msgpack_are_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("msgpack")
    from store.codecs import msgpack

    monkeypatch.setattr("store.codecs.restricted.limits.BASE_BYTES", 1 << 20)
    count = 50_000
    with pytest.raises(Corrupt, match="more memory or time"):
        msgpack.codec.decode_restricted(b"\xdd" + count.to_bytes(4, "big") + b"\x80" * count, allow={})
    assert len(msgpack.codec.decode_restricted(b"\xdc\x03\xe8" + b"\x80" * 1000, allow={})) == 1000
