"""What is written can be read: values that would not come back are refused at the write, with the path to the culprit."""

from __future__ import annotations

import copyreg
import datetime
import decimal
import io
import os
import pathlib
import pickle
import random
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import unreadable
from away import is_absent
from spilling import small_spill
from unreadable import UNREADABLE, ApiError, CountedError, Named, http_error

from store import Store
from store.codecs import codecs
from store.codecs.pickle import PickleCodec
from store.errors import CodecUnavailable, NotSerializable
from store.importers.run import import_into
from store.memo import memo
from store.messages import stream as messages
from store.values import readback


@pytest.fixture(autouse=True)
def nothing_was_read_back() -> Iterator[None]:
    """As in a process that has just begun."""
    readback.sound.clear()
    Named.made = CountedError.made = 0
    yield


@pytest.fixture
def s() -> Iterator[Store[Any]]:
    with Store[Any](":memory:") as store:
        yield store


def load(codec: str) -> None:
    """Not by `importorskip`: the codec dill puts right what importing dill does to the stdlib's pickler."""
    try:
        codecs.load(codec)
    except CodecUnavailable as exc:
        pytest.skip(str(exc))


# -- what is refused


@pytest.mark.parametrize("make, reason", UNREADABLE.values(), ids=list(UNREADABLE))
def test_refused_at_the_write_with_the_path(s: Store[Any], make: Callable[[], Any], reason: str) -> None:
    value = make()
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    for whole, path in ((value, "value"), ({"user": 7, "deep": [1, value]}, "value['deep'][1]")):
        with pytest.raises(
            NotSerializable, match=rf"^record 'v': .*: {name} {reason}.*; (give|let) {name}"
        ) as caught:
            s["v"] = whole
        assert (caught.value.path, caught.value.name) == (path, "v")
    assert dict(s) == {}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ["exception", "defaultdict", "__getattr__"])
def test_refused_by_every_protocol(s: Store[Any], kind: str, protocol: int) -> None:
    with pytest.raises(NotSerializable) as caught:
        s.put("v", {"a": UNREADABLE[kind][0]()}, protocol=protocol)
    assert caught.value.path == "value['a']"


@pytest.mark.parametrize("codec", ["cloudpickle", "dill", "joblib"])
@pytest.mark.parametrize("kind", ["exception", "defaultdict", "__new__"])
def test_refused_by_every_codec_that_pickles(s: Store[Any], kind: str, codec: str) -> None:
    load(codec)
    with pytest.raises(NotSerializable) as caught:
        s.put("v", {"a": UNREADABLE[kind][0]()}, codec=codec)
    assert caught.value.path == "value['a']"


@pytest.mark.parametrize("codec", ["cloudpickle", "dill"])
def test_class_that_is_stored_by_value_is_read_back_each_time(s: Store[Any], codec: str) -> None:
    load(codec)
    classes = [
        type("Local", (), {"__module__": "__main__", "__new__": lambda cls, unit: object.__new__(cls)}),
        type("Sound", (), {"__module__": "__main__"}),
    ]
    s.put("v", classes[1](), codec=codec)
    with pytest.raises(NotSerializable):
        s.put("v", classes[0]("m"), codec=codec)


def test_error_of_a_class_of_others_says_what_can_be_done(s: Store[Any]) -> None:
    with pytest.raises(
        NotSerializable, match=r"value\['error'\]: urllib.error.HTTPError can .*; store what it can be"
    ):
        s["v"] = {"error": http_error()}


def test_what_decoding_raised_is_the_cause(s: Store[Any]) -> None:
    with pytest.raises(NotSerializable) as caught:
        s["v"] = ApiError(502, "away")
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("value", [
    unreadable.ReducedError(502, "away"), unreadable.ReducedMeasured("m"), unreadable.PoliteDelegating([1]),
    unreadable.ReducedNode("a"),
], ids=lambda value: type(value).__name__)  # fmt: skip
def test_what_the_error_advises_works(s: Store[Any], value: Any) -> None:
    s["v"] = value
    assert type(s["v"]) is type(value)


@pytest.mark.parametrize("value", [
    ValueError("a", 1), KeyError("a"), OSError(2, "no such file", "a"), UnicodeDecodeError("ascii", b"a", 0, 1, "b"),
    ExceptionGroup("several", [ValueError(1)]), pathlib.Path("a"), decimal.Decimal(1), datetime.UTC,
    datetime.datetime(2026, 1, 1), types.SimpleNamespace(a=1), Named, len, random.Random(1), {Named, int}, slice(1, 2),
    float("nan"), ValueError(float("nan")),
], ids=lambda value: type(value).__name__)  # fmt: skip
def test_what_comes_back_is_stored(s: Store[Any], value: Any) -> None:
    s["v"] = [value]
    assert type(s["v"][0]) is type(value)


def test_class_that_says_itself_what_it_comes_back_as(s: Store[Any]) -> None:
    s["v"] = unreadable.Shape()
    s["lazy"] = Lazy(5)
    assert s["lazy"] == 5


class Lazy:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        return _itself, (self.value,)


def _itself(value: Any) -> Any:
    return value


class Calling:
    """Pickled by a function and its arguments: its own class is not named."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


def test_function_that_a_reduce_names_is_not_called(s: Store[Any], tmp_path: Path) -> None:
    """Nor is a class of which there is no object."""
    for n, function in enumerate((os.mkdir, Named)):
        for _ in range(2):
            s["v"] = [{"a": Calling(function, str(tmp_path / "made"))}, 1]
        s["v"] = [Named] * n
    assert list(tmp_path.iterdir()) == [] and Named.made == 0
    with Store[Any](":memory:", verify_writes=True) as verifying:
        verifying["v"] = Calling(os.mkdir, str(tmp_path / "made"))
    assert (tmp_path / "made").exists()


# -- every way to write


def by_edit(s: Store[Any]) -> None:
    s["v"] = {}
    try:
        with s.edit("v") as value:
            value["error"] = ApiError(502, "away")
    finally:
        assert s.pop("v") == {}


def by_transaction(s: Store[Any]) -> None:
    with s.transaction():
        s["v"] = 1
        s["v"] = ApiError(502, "away")


def failed(code: int) -> Any:
    return [ApiError(code, "away")]


WAYS: dict[str, Callable[[Store[Any]], Any]] = {
    "assignment": lambda s: s.__setitem__("v", ApiError(502, "away")),
    "put": lambda s: s.put("v", ApiError(502, "away"), ttl=5),
    "update": lambda s: s.update({"a": 1, "v": ApiError(502, "away")}),
    "setdefault": lambda s: s.setdefault("v", ApiError(502, "away")),
    "modify": lambda s: s.modify("v", lambda value: ApiError(502, "away"), default=None),
    "edit": by_edit,
    "transaction": by_transaction,
}


@pytest.mark.parametrize("write", WAYS.values(), ids=list(WAYS))
def test_every_way_to_write(place: str, write: Callable[[Store[Any]], Any]) -> None:
    with Store[Any](place) as s:
        with pytest.raises(NotSerializable):
            write(s)
        assert dict(s) == {}


def test_memo_gives_what_it_cannot_keep(s: Store[Any]) -> None:
    with pytest.warns(RuntimeWarning, match=r"failed: its result .*ApiError can be written and not be read back"):
        assert type(memo(s)(failed)(502)[0]) is ApiError


def test_writeback(place: str) -> None:
    s = Store[Any](place, writeback=True)
    s["a"], s["b"] = {}, {}
    s["a"]["error"] = ApiError(502, "away")
    s["b"]["sound"] = 1
    with pytest.raises(NotSerializable, match=r"record 'a': value\['error'\]"):
        s.close()
    with Store[Any](place) as s:
        assert dict(s) == {"a": {}, "b": {"sound": 1}}


def test_large_value_leaves_no_file(place: str) -> None:
    with small_spill(place) as s:
        with pytest.raises(NotSerializable, match=r"value\[1\]"):
            s["v"] = [b"x" * 5000, ApiError(502, "away")]
        assert s.verify().orphans == [] and dict(s) == {}


def test_import(s: Store[Any], tmp_path: Path) -> None:
    folder = tmp_path / "pickles"
    folder.mkdir()
    (folder / "v.pkl").write_bytes(pickle.dumps(Named()))
    assert [done.outcome for done in import_into(s, "pickles", folder, allow=[Named])] == ["imported"]
    assert type(s["v"]) is Named


def test_exception_in_a_message() -> None:
    with pytest.raises(NotSerializable, match=r"ApiError can be written and not be read back"):
        messages.send(io.BytesIO(), {"error": ApiError(502, "away")})


# -- what is read back, and when


def test_first_value_of_a_class_is_read_back_and_no_other(s: Store[Any]) -> None:
    for number in range(3):
        s["v"] = [Named(f"{number}")]
        s.update({"w": Named(), "x": {"deep": Named()}})
    assert Named.made == 1


def test_first_value_is_read_back_once_for_each_codec_and_protocol(s: Store[Any]) -> None:
    for protocol in (2, 5, 5, 2):
        s.put("v", Named(), protocol=protocol)
    assert Named.made == 2


def test_class_that_was_refused_is_read_back_again(s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        with pytest.raises(NotSerializable):
            s["v"] = unreadable.Measured("m")
    monkeypatch.setattr(unreadable.Measured, "__getnewargs__", lambda self: ("m",), raising=False)
    s["v"] = unreadable.Measured("m")
    assert type(s["v"]) is unreadable.Measured


def test_exceptions_are_read_back_each_time(s: Store[Any]) -> None:
    for number in range(3):
        s["v"] = CountedError(number)  # made once by us, once by the store
    assert CountedError.made == 6


def test_class_of_main_that_was_made_again_is_another(s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell of a notebook that was changed and run again."""
    main = sys.modules["__main__"]
    sound = type("Again", (), {"__module__": "__main__"})
    monkeypatch.setattr(main, "Again", sound, raising=False)
    s["v"] = sound()
    changed = type("Again", (), {"__module__": "__main__", "__new__": lambda cls, unit: object.__new__(cls)})
    monkeypatch.setattr(main, "Again", changed)
    with pytest.raises(NotSerializable):
        s["v"] = changed("m")


def test_class_with_a_number_of_copyreg_is_read_back(s: Store[Any]) -> None:
    where = (unreadable.Measured.__module__, "Measured", 0x70000001)
    copyreg.add_extension(*where)
    try:
        with pytest.raises(NotSerializable):
            s["v"] = unreadable.Measured("m")
    finally:
        copyreg.remove_extension(*where)


def test_verify_writes_reads_back_every_value() -> None:
    with Store[Any](":memory:", verify_writes=True) as s:
        for _ in range(3):
            s["v"] = Named()
        s.update({"w": Named(), "json": 1})
        assert Named.made == 4
        s.put("x", [1], codec="json")
        with s.within("other") as other:
            other["v"] = Named()
        assert Named.made == 5


def test_verify_writes_finds_what_the_sample_did_not(s: Store[Any]) -> None:
    node = unreadable.Node("a")
    node.friends.clear()
    s["v"] = node
    node.friends.add(node)
    s["w"] = node  # the page says so
    with Store[Any](":memory:", verify_writes=True) as verifying:
        verifying["v"] = unreadable.ReducedNode("a")
        with pytest.raises(NotSerializable):
            verifying["w"] = node


def test_verify_writes_tries_the_programs_own_codec() -> None:
    class OneWay:
        name = "one way"

        def encode(self, value: Any) -> bytes:
            return b"x"

        def decode(self, body: bytes) -> Any:
            raise ValueError("no way back")

    with Store[Any](":memory:", verify_writes=True, codec=OneWay()) as s:
        with pytest.raises(NotSerializable, match=r"record 'v': it can be written and not .*no way back.*'one way'"):
            s["v"] = 1


def test_verify_writes_is_true_or_false_and_stays_with_a_copy(place: str) -> None:
    with pytest.raises(TypeError, match="verify_writes is True or False, not 1"):
        Store(place, verify_writes=1)  # type: ignore[arg-type]
    assert is_absent(place)
    with Store[Any](place, verify_writes=True) as s, pickle.loads(pickle.dumps(s)) as copy:
        for _ in range(2):
            copy["v"] = Named()
        assert Named.made == 2


def test_reading_back_happens_outside_the_lock(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store[Any](place) as s:
        seen = []

        def look(self: Any, state: Any) -> None:
            seen.append((s.opened.in_transaction(), "v" in s))

        monkeypatch.setattr(Named, "__setstate__", look)
        s["v"] = Named()
        del s["v"]
        readback.sound.clear()
        s.put("v", Named())
    assert seen == [(False, False), (False, False)]


@pytest.mark.parametrize("value", [
    {"theme": "dark", "n": [1, 2.5, None, True]}, list(range(10_000)), [random.Random(1).random() for _ in range(10_000)],
    ["АБВГД" * 3] * 2000, {f"Г{number}": "У" * number for number in range(300)}, random.Random(1).randbytes(50_000), (1, {2, 3}, frozenset("a")),
], ids=["small", "numbers", "floats", "text", "mapping", "bytes", "sets"])  # fmt: skip
def test_plain_data_is_never_read_back(s: Store[Any], value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any, **__: Any) -> Any:
        raise AssertionError("it was decoded")

    with monkeypatch.context() as patched:
        patched.setattr(PickleCodec, "decode", none)
        for _ in range(2):  # the second one knows how large the first one was
            s["v"] = value
            s.update({"w": value})
    assert s["v"] == s["w"] == value


def test_programs_own_buffer_is_not_touched(place: str) -> None:
    for options in ({}, {"mmap": False}):
        data = bytearray(b"x" * 5000)
        with small_spill(place, **options) as s:
            s["v"] = Zeroing(data)
        assert data == b"x" * 5000
        readback.sound.clear()


class Zeroing:
    """Overwrites the buffer that it is made of, where it may."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _zeroing, (pickle.PickleBuffer(self.data),)


def _zeroing(data: Any) -> Zeroing:
    if not data.readonly:
        data[:] = bytes(len(data))
    return Zeroing(data)


# -- arrays that joblib would give back as plain ones


@pytest.mark.parametrize("kind", ["matrix", "memmap"])
@pytest.mark.slow
def test_joblib_refuses_arrays_of_other_classes(s: Store[Any], tmp_path: Path, kind: str) -> None:
    np = pytest.importorskip("numpy")
    load("joblib")
    if kind == "matrix":
        value = np.arange(4).reshape(2, 2).view(np.matrix)
    else:
        value = np.memmap(tmp_path / "values", dtype="f8", mode="w+", shape=(4,))
    for whole, path in ((value, "value"), ({"model": [value]}, "value['model'][0]")):
        with pytest.raises(
            NotSerializable, match=rf"numpy\.{kind} would come back as .*use the codec 'pickle'"
        ) as caught:
            s.put("v", whole, codec="joblib")
        assert caught.value.path == path
    s.put("v", {"model": [value]}, codec="pickle")
    assert type(s["v"]["model"][0]) is type(value)
    s.put("v", np.asarray(value), codec="joblib")
    assert type(s["v"]) is np.ndarray and (s["v"] == np.asarray(value)).all()
