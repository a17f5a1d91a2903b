"""`store.codecs.pickle` beside the standard library's module: the same names, the same bytes, the same values."""

from __future__ import annotations

import copyreg
import functools
import inspect
import io
import operator
import pickle as stdlib
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from store.codecs import pickle
from store.errors import Corrupt, Untrusted

PROTOCOLS = range(stdlib.HIGHEST_PROTOCOL + 1)


class Plain:
    def __init__(self, x: Any = None) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]


class WithState(Plain):
    def __getstate__(self) -> Any:
        return {"x": ("state", self.x)}

    def __setstate__(self, state: Any) -> None:
        self.x = state["x"][1]


class WithReduce(Plain):
    def __reduce__(self) -> Any:
        return WithReduce, (self.x,)


class WithReduceEx(Plain):
    def __reduce_ex__(self, protocol: Any) -> Any:
        return WithReduceEx, (self.x,), {"protocol": int(protocol)}


class WithItems(list[Any]):
    def __reduce__(self) -> Any:
        return WithItems, (), None, iter(self)


class WithNew(Plain):
    def __new__(cls, x: Any = None) -> WithNew:
        self = super().__new__(cls)
        self.made_by_new = True
        return self

    def __getnewargs__(self) -> Any:
        return (self.x,)


class WithNewKeywords(Plain):
    def __new__(cls, x: Any = None, *, y: Any = None) -> WithNewKeywords:
        self = super().__new__(cls)
        self.y = y
        return self

    def __getnewargs_ex__(self) -> Any:
        return (self.x,), {"y": 7}


class WithSlots:
    __slots__ = ("a", "b")

    def __init__(self, a: Any) -> None:
        self.a = a

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WithSlots) and other.a == self.a

    __hash__ = None  # type: ignore[assignment]


INSTANCES = [
    Plain(1), WithState([1]), WithReduce("x"), WithReduceEx(2), WithItems("ab"), WithNew(3), WithNewKeywords(4),
    Plain(Plain(5)),
]  # fmt: skip
shared = [1]
VALUES: list[Any] = [
    None, True, 5, 10**30, 1.5, "text é\n", b"bytes\0", bytearray(b"x"), (1, (2,)), [shared, shared], {"k": [None]},
    {1, 2}, frozenset("a"), len, stdlib.dumps, Plain, *INSTANCES,
]  # fmt: skip

EVERYTHING: dict[str, Any] = {"trust": "all"}


# -- the surface


def test_all_names_of_the_stdlib_are_there() -> None:
    promised = {
        "dump", "dumps", "load", "loads", "Pickler", "Unpickler", "PickleBuffer", "HIGHEST_PROTOCOL",
        "DEFAULT_PROTOCOL", "PickleError", "PicklingError", "UnpicklingError",
    }  # fmt: skip
    assert set(pickle.__all__) == promised
    assert promised <= set(stdlib.__all__)
    for name in promised - {"load", "loads", "Unpickler"}:
        assert getattr(pickle, name) is getattr(stdlib, name)


@pytest.mark.parametrize("name", ["load", "loads"])
def test_signature_is_that_of_the_stdlib_and_two_more(name: str) -> None:
    ours, theirs = (inspect.signature(getattr(module, name)).parameters for module in (pickle, stdlib))
    assert list(ours) == [*(("file", *list(theirs)[1:]) if name == "load" else theirs), "trust", "allow"]
    for parameter, given in theirs.items():
        assert (ours[parameter].kind, ours[parameter].default) in {
            (given.kind, given.default),
            (given.kind, None if given.default == () else given.default),  # `buffers`: None and () are the same
        }


def test_unpickler_is_a_subclass_of_the_stdlibs() -> None:
    assert issubclass(pickle.Unpickler, stdlib.Unpickler)
    assert issubclass(Untrusted, pickle.UnpicklingError)
    assert issubclass(pickle.UnpicklingError, pickle.PickleError)


# -- the same bytes and values


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_round_trip_beside_the_stdlib(value: Any) -> None:
    for protocol in (*PROTOCOLS, -1, None):
        check_round_trip(value, protocol)


def check_round_trip(value: Any, protocol: int | None) -> None:
    data = stdlib.dumps(value, protocol)
    assert pickle.dumps(value, protocol) == data
    ours, theirs, file = io.BytesIO(), io.BytesIO(), io.BytesIO(data)
    pickle.dump(value, ours, protocol)
    pickle.Pickler(theirs, protocol).dump(value)
    assert ours.getvalue() == theirs.getvalue() == data
    expected = stdlib.loads(data)
    for found in (
        pickle.loads(data, trust="all"),
        pickle.load(file, trust="all"),
        pickle.Unpickler(io.BytesIO(data), trust="all").load(),
    ):
        assert found == expected
        assert type(found) is type(expected) is type(value)
    assert file.tell() == len(data)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_slots_beside_the_stdlib(protocol: int) -> None:
    outcomes = []
    for module, options in ((stdlib, {}), (pickle, EVERYTHING)):
        try:
            outcomes.append(module.loads(module.dumps(WithSlots([1]), protocol), **options))
        except TypeError as exc:
            outcomes.append(str(exc))
    assert outcomes[0] == outcomes[1]
    assert (type(outcomes[0]) is str) == (protocol < 2)


@pytest.mark.parametrize("data", [bytearray, memoryview, stdlib.PickleBuffer], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=str)
def test_data_may_be_any_buffer(data: Callable[[bytes], Any], options: dict[str, Any]) -> None:
    assert pickle.loads(data(stdlib.dumps([1])), **options) == [1]


@pytest.mark.parametrize("data", [None, "text", 5, [1]], ids=repr)
@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=str)
def test_data_that_is_no_buffer(data: Any, options: dict[str, Any]) -> None:
    for loads in (stdlib.loads, functools.partial(pickle.loads, **options)):
        with pytest.raises(TypeError, match="a bytes-like object is required"):
            loads(data)


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\x80\x63N.", b"]a.", b"Pid\n.", b"\x80\x04\x95\x09\0\0\0\0\0\0\0N.", b"0."]
)
def test_errors_are_those_of_the_stdlib(data: bytes) -> None:
    """In full to the letter; with restraint an empty stream is an EOFError too, and all else `Corrupt`."""
    with pytest.raises(Exception) as expected:
        stdlib.loads(data)
    for load in (pickle.loads, lambda data, **options: pickle.load(io.BytesIO(data), **options)):
        with pytest.raises(expected.type) as found:
            load(data, **EVERYTHING)
        assert type(found.value) is expected.type
        assert str(found.value) == str(expected.value)
        with pytest.raises(Corrupt if data else EOFError):
            load(data)


def test_what_follows_the_end_is_ignored() -> None:
    assert pickle.loads(stdlib.dumps(1) + b"rest") == stdlib.loads(stdlib.dumps(1) + b"rest") == 1


@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=str)
def test_successive_loads_from_one_file(tmp_path: Any, options: dict[str, Any]) -> None:
    with open(tmp_path / "many", "wb") as file:
        for protocol in PROTOCOLS:
            pickle.dump(["value", protocol], file, protocol)
    with open(tmp_path / "many", "rb") as file:
        assert [pickle.load(file, **options) for _ in PROTOCOLS] == [["value", protocol] for protocol in PROTOCOLS]
        with pytest.raises(EOFError):
            pickle.load(file, **options)


@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=str)
def test_one_pickler_and_one_unpickler_share_their_memo(options: dict[str, Any]) -> None:
    file = io.BytesIO()
    pickler = pickle.Pickler(file, 4)
    value = ["the same"]
    pickler.dump(value)
    pickler.dump([value])
    short = file.tell()
    pickler.clear_memo()
    pickler.dump([value])
    assert file.tell() - short > short - len(stdlib.dumps(value, 4))
    file.seek(0)
    unpickler = pickle.Unpickler(file, **options)
    first, second, third = unpickler.load(), unpickler.load(), unpickler.load()
    assert first is second[0]
    assert third == second and third[0] is not first
    assert unpickler.memo


# -- hooks of the pickler, and of subclasses of the unpickler


@pytest.mark.parametrize("writable", [True, False])
def test_buffers_out_of_band(writable: bool) -> None:
    payload: Any = bytearray(b"large") if writable else b"large"
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(["head", pickle.PickleBuffer(payload)], 5, buffer_callback=buffers.append)
    assert b"large" not in data
    assert len(buffers) == 1
    for options in ({}, EVERYTHING):
        for found in (
            pickle.loads(data, buffers=buffers, **options),
            pickle.load(io.BytesIO(data), buffers=iter(buffers), **options),
            pickle.Unpickler(io.BytesIO(data), buffers=buffers, **options).load(),
        ):
            assert found[0] == "head"
            expected = stdlib.loads(data, buffers=buffers)[1]
            assert type(found[1]) is type(expected)
            assert bytes(found[1]) == b"large"
            assert memoryview(found[1]).readonly is not writable
        with pytest.raises(pickle.UnpicklingError, match="buffer"):
            pickle.loads(data, **options)
    in_band = pickle.dumps(pickle.PickleBuffer(payload), 5)
    assert pickle.loads(in_band) == stdlib.loads(in_band) == payload


def test_persistent_ids() -> None:
    class Writer(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return ("plain", obj.x) if isinstance(obj, Plain) else None

    class Reader(pickle.Unpickler):
        def persistent_load(self, pid: Any) -> Any:
            kind, x = pid
            assert kind == "plain"
            return Plain(x)

    for protocol in PROTOCOLS[1:]:
        file = io.BytesIO()
        Writer(file, protocol).dump([Plain(1), "x"])
        for options in ({}, EVERYTHING):
            assert Reader(io.BytesIO(file.getvalue()), **options).load() == [Plain(1), "x"]
        with pytest.raises(pickle.UnpicklingError, match="persistent"):
            pickle.loads(file.getvalue())


def test_find_class_of_a_subclass_is_the_programs_own() -> None:
    asked = []

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:  # type: ignore[override]
            asked.append(name)
            return Plain if name == "WithReduce" else super().find_class(module, name)

    data = stdlib.dumps([WithReduce(1), len])
    assert Reader(io.BytesIO(data)).load() == [Plain(1), len]
    assert asked == ["WithReduce", "len"]
    with pytest.raises(Untrusted):
        Reader(io.BytesIO(stdlib.dumps(WithState(1)))).load()
    assert Reader(io.BytesIO(stdlib.dumps(WithState(1))), trust="all").load() == WithState(1)


def test_dispatch_table_and_reducer_override() -> None:
    class Overriding(pickle.Pickler):
        def reducer_override(self, obj: Any) -> Any:
            return (complex, (obj.x, 1)) if isinstance(obj, Plain) else NotImplemented

    class WithTable(pickle.Pickler):
        dispatch_table = {**copyreg.dispatch_table, Plain: lambda obj: (complex, (obj.x, 2))}

    for kind, expected in ((Overriding, 3 + 1j), (WithTable, 3 + 2j)):
        for protocol in PROTOCOLS:
            file = io.BytesIO()
            kind(file, protocol).dump([Plain(3), 1j])
            assert pickle.loads(file.getvalue()) == [expected, 1j]
            assert stdlib.loads(file.getvalue()) == [expected, 1j]


# Written by Python 2.7: {'text': u'\xe9', 'bytes': '\xe9', 'set': set([1]), 'range': xrange(3)} and an old datetime.
PYTHON_2 = [
    b"(dp0\nS'text'\np1\nV\xe9\np2\nsS'bytes'\np3\nS'\\xe9'\np4\ns.",
    b"\x80\x02}q\x00(U\x04textq\x01X\x02\x00\x00\x00\xc3\xa9q\x02U\x05bytesq\x03U\x01\xe9q\x04u.",
    b"c__builtin__\nset\np0\n((lp1\nI1\natp2\nRp3\n.",
    b"\x80\x02c__builtin__\nxrange\nq\x00K\x00K\x03K\x01\x87q\x01Rq\x02.",
    b"cdatetime\ndatetime\np0\n(S'\\x07\\xd8\\x01\\x02\\x03\\x04\\x05\\x00\\x00\\x00'\np1\ntp2\nRp3\n.",
]


@pytest.mark.parametrize("data", PYTHON_2)
@pytest.mark.parametrize(
    "options",
    [{}, {"encoding": "latin1"}, {"encoding": "bytes"}, {"encoding": "utf-8", "errors": "replace"},
     {"errors": "ignore"}, {"fix_imports": True, "encoding": "cp1252"}],
    ids=str,
)  # fmt: skip
def test_pickles_of_python_2_beside_the_stdlib(data: bytes, options: dict[str, Any]) -> None:
    def outcome(loads: Callable[..., Any], **more: Any) -> Any:
        try:
            return loads(data, **options, **more)
        except (UnicodeDecodeError, TypeError, ValueError) as exc:
            return type(exc), str(exc)

    expected = outcome(stdlib.loads)
    assert outcome(pickle.loads, trust="all") == expected
    if isinstance(expected, tuple):  # an error
        expected = Corrupt
    for load in (pickle.loads, lambda data, **options: pickle.load(io.BytesIO(data), **options)):
        found = outcome(load)
        assert (found[0] if expected is Corrupt else found) == expected


def test_names_of_python_2_stay_as_they_are_on_request() -> None:
    data = b"c__builtin__\nxrange\n."
    with pytest.raises(ModuleNotFoundError):
        stdlib.loads(data, fix_imports=False)
    with pytest.raises(ModuleNotFoundError):
        pickle.loads(data, fix_imports=False, trust="all")
    assert stdlib.dumps(range, 2, fix_imports=False) == pickle.dumps(range, 2, fix_imports=False)


@pytest.mark.parametrize("reducer", [operator.attrgetter("x"), functools.partial(int, "5"), print, io.BytesIO])
def test_everything_is_what_the_stdlib_does(reducer: Any) -> None:
    data = stdlib.dumps(reducer)
    assert type(pickle.loads(data, trust="all")) is type(stdlib.loads(data))
    with pytest.raises(Untrusted):
        pickle.loads(data)


class Raises:
    """What an ordinary bug in a class looks like: its own error, of a kind that callers have other uses for."""

    def __reduce__(self) -> Any:
        return Raises, (), {"a": 1}


def test_error_of_a_decoder_does_not_pass_for_a_missing_name(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = pickle.codec
    key = (Raises.__module__, Raises.__qualname__)
    monkeypatch.setitem(sys.modules, Raises.__module__, SimpleNamespace(Raises=Raises))
    for kind in (KeyError, LookupError, EOFError, StopIteration, OSError, RecursionError):

        def raises(self: Raises, state: Any, kind: type[Exception] = kind) -> None:
            raise kind("a bug in __setstate__")

        monkeypatch.setattr(Raises, "__setstate__", raises, raising=False)
        body = codec.encode(Raises(), 5)
        for decode in (codec.decode, lambda body: codec.decode_restricted(body, allow={key: Raises})):
            with pytest.raises(Corrupt, match=kind.__name__) as caught:
                decode(body)
            assert isinstance(caught.value.__cause__, kind)


def test_memo_index_out_of_proportion_is_no_error_where_it_is_only_large() -> None:
    for body in (b"Nr\xff\xff\x00\x00.", b"N."):
        assert pickle.codec.decode_restricted(body, allow={}) is None
    with pytest.raises(Corrupt, match="out of all proportion"):
        pickle.codec.decode_restricted(b"Nr\xff\xff\xff\x7f.", allow={})
