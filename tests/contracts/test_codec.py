"""The contract of a codec, run on every codec there is; what each can hold is in `codec_cases`, a file for each."""

from __future__ import annotations

import pickle as stdlib
import resource
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import Store
from store.codecs import Codec, codecs
from store.errors import CodecUnavailable, Corrupt, NotSerializable, Untrusted

quick = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
long = settings(quick, max_examples=1000)

CASES = Path(__file__).parent / "codec_cases"


class Case:
    """A codec and what its file says of it; the attributes that a file may leave out have their defaults here."""

    values: st.SearchStrategy[Any]
    """Whatever it can hold."""
    never: list[Any]
    """What it cannot; each is tried by itself and in each of `inside`."""
    never_paths: list[tuple[Any, str]] = []
    """Values that it cannot hold, and what the message must match: where in them the trouble is."""
    too_deep: list[Any] = []
    """The same that takes a while: it is tried by itself alone, since it would only nest deeper inside."""
    inside = staticmethod(lambda value: ([value], {"key": [value]}))
    remedy: str
    """What the message for them ends in, or mentions: a regular expression."""
    sample: Any = ["a", {"b": [1, 2.5, None, True]}]
    """A value of some size; `shown` are texts that its description has."""
    shown: tuple[str, ...] = ("a", "2.5")
    changed: Any = ["a", {"b": []}]
    """Another one."""
    whole: list[Any] = [None, "", [], {}, 0, False]
    """Small values that it holds as a whole."""
    restrained = True
    """Whether it decodes records of others; if not, it must refuse all of them."""
    hostile: list[bytes] = []
    """Bodies that neither way of decoding takes."""
    refused: list[bytes] = []
    """Bodies that decoding with restraint must not take; in full they may be anything."""
    junk: list[bytes] = [b"", b"\xff\xfe", b"[1, 2", b"\x80\x05]", b"{}garbage", b"N.N.", b"\x00" * 1000]
    """Bodies whose description is a problem."""
    programs: st.SearchStrategy[bytes] = st.binary(max_size=300)
    """Bodies in the terms of the format, most of them wrong."""
    large: list[Any] = ["x" * 5_000_000, list(range(500_000))]
    truncation_is_always_found = False
    unequal_copies = False
    """Whether encoding one value twice may give different bytes: only where a library leaves no choice."""

    def __init__(self, name: str) -> None:
        file = CASES / f"{name}.py"
        assert file.exists(), f"no {file.name}: each codec needs one"
        try:
            codecs.load(name)
        except CodecUnavailable as exc:
            pytest.skip(f"{name} is not tested here: {exc}")
        self.codec: Codec = codecs.load(name)
        spec = spec_from_file_location(f"codec_cases_{name}", file)
        assert spec is not None and spec.loader is not None
        module: ModuleType = module_from_spec(spec)
        spec.loader.exec_module(module)
        for attribute, value in vars(module).items():
            if attribute in Case.__annotations__ or hasattr(Case, attribute):
                setattr(self, attribute, value)

    def same(self, one: Any, other: Any) -> bool:
        return same(one, other)


_cases: dict[str, Case] = {}


def names() -> list[str]:
    return [name for name in codecs.names() if name != "auto"]


@pytest.fixture(params=names())
def case(request: pytest.FixtureRequest) -> Case:
    if request.param not in _cases:
        _cases[request.param] = Case(request.param)
    return _cases[request.param]


@pytest.fixture
def codec(case: Case) -> Codec:
    return case.codec


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
    """A few bytes can claim any length, and some decoders believe them; the machine is to survive it."""
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


def body_of(case: Case, data: st.DataObject) -> bytes:
    return case.codec.encode(data.draw(case.values), data.draw(st.sampled_from(case.codec.protocols)))


# -- what it says of itself


def test_name_is_what_the_registry_calls_it(codec: Codec) -> None:
    assert codecs.load(codec.name) is codec
    assert codec.name in codecs


def test_protocols_are_a_range_with_the_default_in_it(codec: Codec) -> None:
    assert isinstance(codec.protocols, range)
    assert codec.protocols.step == 1
    assert codec.default_protocol in codec.protocols
    assert 0 <= codec.protocols[0] <= codec.protocols[-1] < 256


def test_each_case_is_of_a_codec() -> None:
    assert {file.stem for file in CASES.glob("*.py")} == set(names())


# -- round trips


@quick
@given(data=st.data())
def test_round_trip(case: Case, data: st.DataObject) -> None:
    value = data.draw(case.values)
    body = case.codec.encode(value, data.draw(st.sampled_from(case.codec.protocols)))
    assert type(body) is bytes
    assert case.same(case.codec.decode(body), value)


@quick
@given(data=st.data())
def test_restricted_decode_of_plain_data_is_decode(case: Case, data: st.DataObject) -> None:
    value = data.draw(case.values)
    for protocol in case.codec.protocols:
        body = case.codec.encode(value, protocol)
        if case.restrained:
            assert case.same(case.codec.decode_restricted(body, allow={}), value)
        else:
            with pytest.raises(Untrusted, match=f"the codec '{case.codec.name}' has no restricted decoder"):
                case.codec.decode_restricted(body, allow={})


@quick
@given(data=st.data())
def test_encoding_does_not_change_the_value(case: Case, data: st.DataObject) -> None:
    value = data.draw(case.values)
    before = repr(value)
    one, other = (case.codec.encode(value, case.codec.default_protocol) for _ in "12")
    assert case.unequal_copies or one == other
    assert repr(value) == before


def test_body_may_be_any_buffer(case: Case) -> None:
    body = case.codec.encode(case.sample, case.codec.default_protocol)
    for buffer in (bytearray(body), memoryview(body)):
        assert case.same(case.codec.decode(buffer), case.sample)  # type: ignore[arg-type]
        if case.restrained:
            assert case.same(case.codec.decode_restricted(buffer, allow={}), case.sample)  # type: ignore[arg-type]


def test_deep_value_round_trips(case: Case) -> None:
    value: list[Any] = []
    for _ in range(100):
        value = [value]
    if not any(type(value) is list for value in case.whole):
        pytest.skip(f"{case.codec.name} holds no lists")
    assert same(case.codec.decode(case.codec.encode(value, case.codec.default_protocol)), value)


def test_value_as_a_whole_may_be_small(case: Case) -> None:
    assert case.whole
    for value in case.whole:
        body = case.codec.encode(value, case.codec.default_protocol)
        assert case.same(case.codec.decode(body), value)


# -- what it cannot hold


@pytest.mark.slow
def test_value_that_it_cannot_hold(case: Case) -> None:
    assert case.never
    wrapped = [inner for value in case.never for inner in (value, *case.inside(value))]  # as it is, and further inside
    for value in (*wrapped, *case.too_deep):
        for protocol in case.codec.protocols:
            with pytest.raises(NotSerializable, match=case.remedy):
                case.codec.encode(value, protocol)


def test_path_to_what_it_cannot_hold(case: Case) -> None:
    for value, message in case.never_paths:
        with pytest.raises(NotSerializable, match=message):
            case.codec.encode(value, case.codec.default_protocol)


def test_interrupt_while_encoding_is_no_encoding_error(case: Case) -> None:
    class Interrupted(dict[str, Any]):
        def __reduce_ex__(self, protocol: Any) -> Any:
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, NotSerializable)) as caught:
        case.codec.encode(Interrupted(), case.codec.default_protocol)
    if caught.type is NotSerializable:  # it has no use for that method, and never called it
        assert "KeyboardInterrupt" not in str(caught.value)
        assert not isinstance(caught.value.__cause__, KeyboardInterrupt)


# -- bytes that are not its own


@quick
@given(data=st.data())
def test_truncated_bytes(case: Case, data: st.DataObject) -> None:
    body = body_of(case, data)
    cut = body[: data.draw(st.integers(0, max(0, len(body) - 1)))]
    found = decode_restricted(case.codec, cut)
    if case.truncation_is_always_found or not case.restrained:
        assert found is (Corrupt if case.restrained else Untrusted)
    try:
        case.codec.decode(cut)
    except Corrupt as exc:
        assert str(exc)


@quick
@given(data=st.data())
def test_damaged_bytes(case: Case, data: st.DataObject) -> None:
    body = bytearray(body_of(case, data))
    for _ in range(data.draw(st.integers(1, 3))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    decode_restricted(case.codec, bytes(body))


@quick
@given(data=st.data())
def test_random_bytes(case: Case, data: st.DataObject) -> None:
    decode_restricted(case.codec, data.draw(st.binary(max_size=300)))
    decode_restricted(case.codec, data.draw(case.programs))


@pytest.mark.huge
@pytest.mark.parametrize(
    "prop",
    [
        test_round_trip, test_restricted_decode_of_plain_data_is_decode, test_encoding_does_not_change_the_value,
        test_truncated_bytes, test_damaged_bytes, test_random_bytes,
    ],
    ids=lambda prop: prop.__name__.removeprefix("test_"),
)  # fmt: skip
def test_property_at_length(case: Case, prop: Any) -> None:
    given(data=st.data())(long(prop.hypothesis.inner_test))(case=case)


def test_hostile_bytes(case: Case) -> None:
    for body in case.hostile:
        with pytest.raises(Corrupt), little_memory():
            case.codec.decode(body)
        assert decode_restricted(case.codec, body) in ((Corrupt,) if case.restrained else (Untrusted,)), body[:40]
    for body in case.refused:
        assert decode_restricted(case.codec, body) in (Corrupt, Untrusted), body[:40]


def test_pickle_is_not_taken_for_the_format(case: Case) -> None:
    body = stdlib.dumps(deque([1]), 5)
    if case.codec.name != "pickle":
        assert decode_restricted(case.codec, body) in (Corrupt, Untrusted)


# -- in a store


def test_codec_of_a_record_is_kept_with_it(case: Case) -> None:
    codec, value = case.codec, case.sample
    with Store[Any](":memory:", codec=codec.name) as s:
        s["a"] = value
        assert (s.record("a").codec, s.record("a").protocol) == (codec.name, codec.default_protocol)
        for protocol in codec.protocols:
            assert s.put("a", value, protocol=protocol).protocol == protocol
            assert case.same(s.modify("a", lambda _: case.changed), case.changed)
            assert (s.record("a").codec, s.record("a").protocol) == (codec.name, protocol)
            assert case.same(s["a"], case.changed)
        assert s.put("a", value, protocol=-1).protocol == codec.protocols[-1]  # as pickle: the highest
        with pytest.raises(ValueError, match=f"the codec '{codec.name}' has protocols"):
            s.put("a", value, protocol=codec.protocols[-1] + 1)


def test_record_is_read_by_a_store_of_another_codec(case: Case) -> None:
    with Store[Any](":memory:", codec="json") as s:
        s.put("a", case.sample, codec=case.codec.name)
        s["b"] = 1
        assert case.same(s["a"], case.sample)
        assert [record.codec for record in s.records()] == [case.codec.name, "json"]


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_record_of_somebody_else(case: Case, path: Path) -> None:
    with Store[Any](path, key=b"the key of others", codec=case.codec.name) as s:
        s["a"] = case.sample
    with Store[Any](path, key=b"a key of our own!") as s:
        if case.restrained:
            assert case.same(s["a"], case.sample)
        else:
            with pytest.raises(Untrusted, match=r"record 'a'.*has no restricted decoder.*store admit"):
                s["a"]


# -- describing


def test_describe_of_plain_data_names_nothing(case: Case) -> None:
    for protocol in case.codec.protocols:
        names, text, problem = case.codec.describe(case.codec.encode(case.sample, protocol))
        assert problem is None
        assert names == () or not case.restrained
        for shown in case.shown:
            assert shown in text


def test_describe_of_other_bytes_is_a_problem_and_no_error(case: Case) -> None:
    for body in case.junk:
        names, text, problem = case.codec.describe(body)
        assert names == ()
        assert isinstance(text, str)
        assert problem, body[:40]


@pytest.mark.slow
def test_describe_of_a_large_value_stays_readable(case: Case) -> None:
    for value in case.large:
        _, text, problem = case.codec.describe(case.codec.encode(value, case.codec.default_protocol))
        assert problem is None
        assert len(text) < 1_000_000


# -- where its library is missing


LIBRARIES = {"protobuf": "google.protobuf", "avro": "fastavro", "toml": "tomli_w", "yaml": "yaml"}  # else: as the codec


def test_library_that_is_missing_is_named(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    name = case.codec.name
    where, install = codecs._entries[name]
    if not install:
        pytest.skip(f"{name} needs no library")
    monkeypatch.setitem(sys.modules, LIBRARIES.get(name, name), None)
    monkeypatch.delitem(sys.modules, str(where).partition(":")[0])
    monkeypatch.setattr(codecs, "_loaded", {})
    with pytest.raises(CodecUnavailable, match=f"the codec '{name}' is not available: .*pip install {install}"):
        codecs.load(name)
    with Store[Any](":memory:") as s, pytest.raises(CodecUnavailable, match=f"pip install {install}"):
        s.put("a", case.sample, codec=name)
