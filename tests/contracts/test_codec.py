"""The contract of a codec, run on every codec there is."""

from __future__ import annotations

import math
import pickletools
import resource
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import Store
from store.codecs import Codec, codecs
from store.errors import Corrupt, NotSerializable, Untrusted

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

anything_in_unicode = st.text(st.characters(exclude_categories=()))  # lone surrogates too
text = st.text()
json_leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
json_values = st.recursive(
    json_leaves, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=5), max_leaves=25
)


def unfolded(moment: Any) -> Any:
    """Below protocol 4 pickle forgets which of the two hours of a clock change it was."""
    return moment.replace(fold=0)


hashable = (
    st.none() | st.booleans() | st.integers() | st.floats() | anything_in_unicode | st.binary()
    | st.complex_numbers() | st.dates() | st.datetimes().map(unfolded) | st.times().map(unfolded) | st.timedeltas()
    | st.decimals().filter(lambda value: not value.is_snan())
    | st.fractions() | st.uuids() | st.builds(range, st.integers(-9, 9), st.integers(-9, 9))
)  # fmt: skip
pickle_leaves = hashable | st.decimals() | st.binary().map(bytearray) | st.builds(slice, st.integers(), st.none())
pickle_values = st.recursive(
    pickle_leaves,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.lists(inner, max_size=5).map(deque)
        | st.sets(hashable, max_size=5)
        | st.frozensets(hashable, max_size=5)
        | st.dictionaries(hashable, inner, max_size=5)
        | st.dictionaries(text, inner, max_size=5).map(OrderedDict)
        | st.lists(text, max_size=5).map(Counter)
    ),
    max_leaves=25,
)
VALUES = {"pickle": pickle_values, "json": json_values}


class Text(str):
    """A str, and not quite: JSON would give back a plain one."""


class Raises:
    """What an ordinary bug in a class looks like: its own error, of a kind that callers have other uses for."""

    def __reduce__(self) -> Any:
        raise KeyError("a bug in __reduce__")


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def cyclic() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


NEVER: dict[str, list[Any]] = {
    "pickle": [lambda: None, threading.Lock(), (x for x in "x"), Raises(), nested(100_000)],
    "json": [
        (1, 2), {1}, b"x", bytearray(b"x"), 1j, math.nan, math.inf, -math.inf, {1: 2}, {True: 1}, {None: 1},
        Text("x"), {Text("x"): 1}, OrderedDict(a=1), Decimal(1), Fraction(1, 2), date(2024, 1, 1),
        datetime(2024, 1, 1, tzinfo=UTC), timedelta(1), UUID(int=1), range(3), object(), int, len, Raises(),
        "\ud83d\ude00", {"\ud83d\ude00": 1}, 10**5000, nested(100_000), cyclic(),
    ],
}  # fmt: skip


@pytest.fixture(params=codecs.names())
def codec(request: pytest.FixtureRequest) -> Codec:
    found: Codec = codecs.load(request.param)
    return found


def same(one: Any, other: Any) -> bool:
    """Equal in value and in type, all the way down; NaN is NaN and -0.0 is not 0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float | complex | Decimal):
        return repr(one) == repr(other)
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, set | frozenset):
        return sorted(map(repr, one)) == sorted(map(repr, other))
    if isinstance(one, list | tuple | deque):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@contextmanager
def little_memory() -> Iterator[None]:
    """A few bytes can claim any length, and the C unpickler believes them; the machine is to survive it."""
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    before, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 256 * 1024 * 1024, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, most))


def decode_restricted(codec: Codec, body: bytes) -> Any:
    """The value, or the class of the error: of the contract's, or the test fails."""
    with little_memory():
        try:
            return codec.decode_restricted(body, allow={})
        except (Corrupt, Untrusted) as exc:
            assert str(exc)
            return type(exc)


# -- what it says of itself


def test_name_is_what_the_registry_calls_it(codec: Codec) -> None:
    assert codecs.load(codec.name) is codec
    assert codec.name in codecs


def test_protocols_are_a_range_with_the_default_in_it(codec: Codec) -> None:
    assert isinstance(codec.protocols, range)
    assert codec.protocols.step == 1
    assert codec.default_protocol in codec.protocols
    assert 0 <= codec.protocols[0] <= codec.protocols[-1] < 256


def test_default_protocol_of_pickle_is_a_constant_of_ours() -> None:
    pickle: Codec = codecs.load("pickle")
    assert (pickle.default_protocol, pickle.protocols) == (5, range(6))


# -- round trips


@given(data=st.data())
@quick
def test_round_trip(codec: Codec, data: st.DataObject) -> None:
    value = data.draw(VALUES[codec.name])
    protocol = data.draw(st.sampled_from(codec.protocols))
    body = codec.encode(value, protocol)
    assert type(body) is bytes
    assert same(codec.decode(body), value)


@given(data=st.data())
@quick
def test_restricted_decode_of_plain_data_is_decode(codec: Codec, data: st.DataObject) -> None:
    value = data.draw(VALUES[codec.name])
    for protocol in codec.protocols:
        assert same(codec.decode_restricted(codec.encode(value, protocol), allow={}), value)


@given(data=st.data())
@quick
def test_encoding_does_not_change_the_value(codec: Codec, data: st.DataObject) -> None:
    value = data.draw(VALUES[codec.name])
    before = repr(value)
    assert codec.encode(value, codec.default_protocol) == codec.encode(value, codec.default_protocol)
    assert repr(value) == before


def test_body_may_be_any_buffer(codec: Codec) -> None:
    body = codec.encode(["a", {"b": 1}], codec.default_protocol)
    for buffer in (bytearray(body), memoryview(body)):
        assert codec.decode(buffer) == ["a", {"b": 1}]  # type: ignore[arg-type]
        assert codec.decode_restricted(buffer, allow={}) == ["a", {"b": 1}]  # type: ignore[arg-type]


def test_deep_value_round_trips(codec: Codec) -> None:
    assert same(codec.decode(codec.encode(nested(100), codec.default_protocol)), nested(100))


def test_value_as_a_whole_may_be_empty(codec: Codec) -> None:
    for value in (None, "", [], {}, 0, False):
        assert same(codec.decode(codec.encode(value, codec.default_protocol)), value)


# -- what it cannot hold


@pytest.mark.parametrize("name, index", [(name, index) for name in NEVER for index in range(len(NEVER[name]))])
def test_value_that_it_cannot_hold(name: str, index: int) -> None:
    codec: Codec = codecs.load(name)
    value = NEVER[name][index]
    for inside in (value, [value], {"key": [value]}):
        for protocol in codec.protocols:
            with pytest.raises(NotSerializable) as caught:
                codec.encode(inside, protocol)
            assert ("__getstate__" if name == "pickle" else "the codec 'pickle'") in str(caught.value)


def test_path_to_what_json_cannot_hold() -> None:
    with pytest.raises(NotSerializable, match=r"value\['a'\]\[1\]\['b'\]: JSON has no set"):
        codecs.load("json").encode({"a": [0, {"b": {1}}]}, 1)


def test_interrupt_while_encoding_is_no_encoding_error(codec: Codec) -> None:
    class Interrupted(dict[str, Any]):
        def __reduce_ex__(self, protocol: Any) -> Any:
            raise KeyboardInterrupt

    if codec.name == "json":
        expected: type[BaseException] = NotSerializable  # it calls no method of the value
    else:
        expected = KeyboardInterrupt
    with pytest.raises(expected):
        codec.encode(Interrupted(), codec.default_protocol)


# -- bytes that are not its own


@given(data=st.data())
@quick
def test_truncated_bytes(codec: Codec, data: st.DataObject) -> None:
    value = data.draw(VALUES[codec.name])
    body = codec.encode(value, data.draw(st.sampled_from(codec.protocols)))
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    found = decode_restricted(codec, cut)
    if codec.name == "pickle":
        assert found is Corrupt  # every pickle ends in its STOP
    try:
        codec.decode(cut)
    except Corrupt as exc:
        assert exc.__cause__ is not None


@given(data=st.data())
@quick
def test_damaged_bytes(codec: Codec, data: st.DataObject) -> None:
    body = bytearray(codec.encode(data.draw(VALUES[codec.name]), data.draw(st.sampled_from(codec.protocols))))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    decode_restricted(codec, bytes(body))


@given(st.binary(max_size=300))
@quick
def test_random_bytes(codec: Codec, body: bytes) -> None:
    decode_restricted(codec, body)


# All that can be told apart without a name; with one, a stream could change the classes of this very process.
OPCODES = [
    op.code.encode("latin-1") for op in pickletools.opcodes if op.name not in ("GLOBAL", "STACK_GLOBAL", "INST")
]


@given(st.lists(st.sampled_from(OPCODES) | st.binary(max_size=4) | st.sampled_from([b"1\n", b"\x01", b"(", b"."])))
@quick
def test_random_opcodes(parts: list[bytes]) -> None:
    decode_restricted(codecs.load("pickle"), b"\x80\x05" + b"".join(parts) + b".")


@given(st.lists(st.sampled_from([*'[]{}:,"\\', "\\u", "d800", "1", "-", "e9", ".", "null", "true", "NaN", " ", "é"])))
@quick
def test_random_tokens_of_json(parts: list[str]) -> None:
    decode_restricted(codecs.load("json"), "".join(parts).encode())


@pytest.mark.parametrize(
    "body",
    [b"", b".", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"NaN", b"[Infinity]", b"-Infinity", b"1" * 5000,
     b'"\xff"', b'"', b"[1]x", b"{1:2}", b"\xef\xbb\xbf[]"],
    ids=lambda body: repr(body[:12]),
)  # fmt: skip
def test_hostile_json(body: bytes) -> None:
    json: Codec = codecs.load("json")
    for decode in (json.decode, lambda body: json.decode_restricted(body, allow={})):
        with pytest.raises(Corrupt, match="the bytes are not JSON"):
            decode(body)


LENGTHS = [n.to_bytes(8, "little") for n in (2**31, 2**40, 2**46, 2**63 - 1, 2**63, 2**64 - 1)]


@pytest.mark.parametrize(
    "body",
    [b"", b"\x80", b"\x80\x06.", b"\x80\xff.", b"N", b".", b"0.", b"(.", b"t.", b"Pid\n.", b"N\x51.", b"h\x01.",
     b"I" + b"9" * 5000 + b"\n.", b"S'a\n.", b"F.\n.", b"]N\x61\x81.", b"\x82\x01.", b"\x84\xff\xff\xff\x7f.",
     b"\x97.", b"N\x98.", b"]" * 200_000, b"(" * 200_000, b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xff.",
     *(code + length + b"." for length in LENGTHS for code in (b"\x8d", b"\x8e", b"\x96", b"\x95")),
     *(code + b"\xff\xff\xff\x7f" for code in (b"T", b"X", b"B", b"\x8b")),
     b"Nr\xff\xff\xff\x7f.", b"Nr\xff\xff\xff\xff."],
    ids=lambda body: repr(body[:12]),
)  # fmt: skip
def test_hostile_pickle(body: bytes) -> None:
    found = decode_restricted(codecs.load("pickle"), body)
    if body[:1] in (b"\x82", b"\x84"):  # extension codes
        assert found is Untrusted
    else:
        assert found is Corrupt or found is None  # the last two store a None under a number that is only large


def test_error_of_a_decoder_does_not_pass_for_a_missing_name(monkeypatch: pytest.MonkeyPatch) -> None:
    pickle: Codec = codecs.load("pickle")
    for kind in (KeyError, LookupError, EOFError, StopIteration, OSError, RecursionError):

        def raises(self: Raises, state: Any, kind: type[Exception] = kind) -> None:
            raise kind("a bug in __setstate__")

        monkeypatch.setattr(Raises, "__setstate__", raises, raising=False)
        monkeypatch.setattr(Raises, "__reduce__", lambda self: (Raises, (), {"a": 1}))
        body = pickle.encode(Raises(), 5)
        key = (Raises.__module__, Raises.__qualname__)
        for decode in (pickle.decode, lambda body, key=key: pickle.decode_restricted(body, allow={key: Raises})):
            with pytest.raises(Corrupt, match=kind.__name__) as caught:
                decode(body)
            assert isinstance(caught.value.__cause__, kind)


# -- in a store


def test_codec_of_a_record_is_kept_with_it(codec: Codec) -> None:
    with Store(":memory:", codec=codec.name) as s:
        s["a"] = [1, "b"]
        assert (s.record("a").codec, s.record("a").protocol) == (codec.name, codec.default_protocol)
        for protocol in codec.protocols:
            assert s.put("a", [1, "b"], protocol=protocol).protocol == protocol
            with s.edit("a") as value:
                value.append(protocol)
            assert s.record("a").protocol == protocol
        assert s.put("a", [], protocol=-1).protocol == codec.protocols[-1]  # as pickle: the highest
        with pytest.raises(ValueError, match=f"the codec '{codec.name}' has protocols"):
            s.put("a", [], protocol=codec.protocols[-1] + 1)


# -- describing


def test_describe_of_plain_data_names_nothing(codec: Codec) -> None:
    for protocol in codec.protocols:
        names, text, problem = codec.describe(codec.encode(["a", {"b": [1, 2.5, None, True]}], protocol))
        assert (names, problem) == ((), None)
        assert "a" in text and "2.5" in text


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[1, 2", b"\x80\x05]", b"{}garbage", b"N.N.", b"\x00" * 1000])
def test_describe_of_other_bytes_is_a_problem_and_no_error(codec: Codec, body: bytes) -> None:
    names, text, problem = codec.describe(body)
    assert names == ()
    assert isinstance(text, str)
    assert problem


def test_describe_of_a_large_value_stays_readable(codec: Codec) -> None:
    for value in ("x" * 5_000_000, list(range(500_000))):
        _, text, problem = codec.describe(codec.encode(value, codec.default_protocol))
        assert problem is None
        assert len(text) < 1_000_000
