"""Codecs of the program's own, registered or passed as objects, and the choice that `auto` makes."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from store import Store, codecs
from store.codecs.pickle import PickleCodec
from store.errors import CodecUnavailable, Corrupt, NotSerializable, Untrusted


class Upper:
    """Holds str, and changes it on the way, so that it is seen at work."""

    name = "upper"

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, str):
            raise ValueError("not a text")
        return value.upper().encode()

    def decode(self, body: bytes) -> Any:
        return body.decode()


class PlainUpper(Upper):
    name = "plain upper"
    plain = True


class Compressed:
    """One with a setting."""

    name = "compressed"

    def __init__(self, level: int = 6) -> None:
        self.level = level

    def encode(self, value: Any) -> bytes:
        return zlib.compress(pickle.dumps(value, 5), self.level)

    def decode(self, body: bytes) -> Any:
        return pickle.loads(zlib.decompress(body))


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten."""
    monkeypatch.setattr(codecs.codecs, "_entries", dict(codecs.codecs._entries))
    monkeypatch.setattr(codecs.codecs, "_loaded", dict(codecs.codecs._loaded))


@pytest.fixture
def s(place: str) -> Iterator[Store[Any]]:
    with Store[Any](place) as opened:
        yield opened


@pytest.mark.parametrize("codec", [Upper(), Upper], ids=["object", "class"])
def test_codec_passed_to_the_store(place: str, codec: Any) -> None:
    with Store[Any](place, codec=codec) as s:
        s["a"] = "text"
        assert (s["a"], s.record("a").codec, s.record("a").protocol) == ("TEXT", "upper", 1)
        assert s.modify("a", lambda text: text + "!") == "TEXT!"
        with s.within("other") as other:
            other["b"] = "x"
            assert other["b"] == "X"
    with Store[Any](place, codec=codec) as s:
        assert s["a"] == "TEXT!"


def test_codec_passed_to_put(s: Store[Any]) -> None:
    assert s.put("a", "text", codec=Upper()).codec == "upper"
    s["b"] = [1]
    assert (s["a"], s["b"], s.record("b").codec) == ("TEXT", [1], "pickle")
    with s.within("other") as other:
        other.put("c", "by its name from now on", codec="upper")
        assert other["c"] == "BY ITS NAME FROM NOW ON"


def test_codec_registered(place: str) -> None:
    codecs.register(Upper())
    with Store[Any](place, codec="upper") as s:
        s["a"] = "text"
    with Store[Any](place) as s:  # reading does not depend on what the store was opened with
        assert s["a"] == "TEXT"


def test_codec_registered_under_a_name_of_its_own(place: str) -> None:
    codecs.register(Upper, "capitals")
    with Store[Any](place, codec="capitals") as s:
        s["a"] = "text"
        assert s.record("a").codec == "capitals"


def test_record_of_a_codec_that_is_not_known(place: str) -> None:
    with Store[Any](place, codec=Upper()) as s:
        s["a"] = "text"
    with Store[Any](place) as s:
        with pytest.raises(CodecUnavailable, match=r"record 'a' was written with the codec 'upper'.*store\.codecs\.register"):
            s["a"]
        assert s.record("a").size == 4
        codecs.register(Upper())
        assert s["a"] == "TEXT"


def test_two_stores_with_other_settings_of_one_codec(tmp_path: Path) -> None:
    with (
        Store[Any](tmp_path / "a.db", codec=Compressed(0)) as one,
        Store[Any](tmp_path / "b.db", codec=Compressed(9)) as other,
    ):
        one["a"] = other["a"] = [7] * 10_000
        assert one["a"] == other["a"]
        assert one.record("a").size > 10 * other.record("a").size


def test_what_it_raises_is_translated(s: Store[Any]) -> None:
    with pytest.raises(NotSerializable, match=r"record 'a': the codec 'upper' cannot hold the value.*not a text"):
        s.put("a", 1, codec=Upper())
    assert "a" not in s

    class Broken(Upper):
        name = "broken"

        def decode(self, body: bytes) -> Any:
            raise KeyError("a bug")

    s.put("a", "x", codec=Broken())
    with pytest.raises(Corrupt, match=r"record 'a': the codec 'broken' cannot decode its bytes .KeyError"):
        s["a"]


def test_encode_must_return_bytes(s: Store[Any]) -> None:
    class Text(Upper):
        name = "text"

        def encode(self, value: Any) -> Any:
            return value

    with pytest.raises(TypeError, match="encode of the codec 'text' returned str, and must return bytes"):
        s.put("a", "x", codec=Text())

    class Array(Text):
        name = "array"

        def encode(self, value: Any) -> Any:
            return bytearray(value, "ascii")

    s.put("a", "x", codec=Array())
    assert s["a"] == "x"


@pytest.mark.parametrize(
    "codec, error, message",
    [
        (object(), TypeError, "a codec is the name of one, or an object with a name and the methods"),
        (7, TypeError, "a codec is the name of one"),
        (pickle, TypeError, "a codec is the name of one"),
        (type("Nameless", (), {"encode": bytes, "decode": bytes})(), TypeError, "needs an attribute `name`"),
        (type("Pickle", (Upper,), {"name": "pickle"})(), ValueError, "there is a codec 'pickle' already"),
        (type("Auto", (Upper,), {"name": "auto"})(), ValueError, "no codec can be called 'auto'"),
        ("cbor", ValueError, "unknown codec 'cbor'"),
    ],
)  # fmt: skip
def test_what_is_no_codec(place: str, s: Store[Any], codec: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        s.put("a", "x", codec=codec)
    with pytest.raises(error, match=message):
        Store[Any](place, codec=codec)
    if not isinstance(codec, str):
        with pytest.raises(error, match=message):
            codecs.register(codec)


def test_name_that_is_taken_by_a_codec_of_another_class(s: Store[Any]) -> None:
    codecs.register(Upper())
    codecs.register(Upper())  # as a module does that is imported again
    other = type("Other", (Upper,), {})
    with pytest.raises(ValueError, match="there is a codec 'upper' already: give yours another name"):
        codecs.register(other())
    with pytest.raises(ValueError, match="there is a codec 'upper' already"):
        s.put("a", "x", codec=other())


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_record_of_somebody_else(place: str) -> None:
    with Store[Any](place, key=b"the key of others") as s:
        s.put("any", "x", codec=Upper())
        s.put("data", "x", codec=PlainUpper())
    with Store[Any](place, codec=Upper()) as s:
        codecs.register(PlainUpper)
        with pytest.raises(Untrusted, match=r"record 'any'.*the codec 'upper' has no restricted decoder"):
            s["any"]
        assert s["data"] == "X"
        seen = s.inspect("any")
        assert seen.problem == "what decoding would do is known to the codec 'upper' of the program alone"
        assert s.inspect("data").problem is None
        s.admit(seen)
        assert s["any"] == "X"


def test_codec_with_the_whole_contract_is_taken_as_it_is(place: str) -> None:
    class Two(PickleCodec):
        def __init__(self) -> None:
            self.name, self.protocols = "two", range(1, 3)

    codecs.register(Two())
    assert type(codecs.codecs.load("two")) is Two
    with Store[Any](place, codec="two", protocol=2) as s:
        s["a"] = [1]
        assert (s["a"], s.record("a").protocol) == ([1], 2)
    with pytest.raises(ValueError, match="the codec calls itself 'two', and cannot be registered as 'three'"):
        codecs.register(Two(), "three")


def test_pickled_store_keeps_its_codec(place: str) -> None:
    with Store[Any](place, codec=Compressed(9)) as s:
        s["a"] = [1]
        state = pickle.dumps(s)
    with pickle.loads(state) as again:
        assert again["a"] == [1]
        assert again.put("b", 1).codec == "compressed"


# -- auto


class TestAuto:
    def test_plain_values_are_pickled(self, place: str) -> None:
        with Store[Any](place, codec="auto", protocol=4) as s:
            s["a"] = {"x": 1}
            assert (s.record("a").codec, s.record("a").protocol) == ("pickle", 4)

    def test_arrays_go_by_numpy(self, place: str) -> None:
        numpy = pytest.importorskip("numpy", reason="numpy is not installed: codec='auto' is not tested with arrays")
        array = numpy.arange(6.0).reshape(2, 3)
        with Store[Any](place, codec="auto", protocol=4) as s:
            s.update(array=array, scalar=numpy.float32(1.5), objects=numpy.array([None, []], dtype=object), within=[array])
            s["matrix"] = numpy.ma.masked_array([1, 2], [True, False])
            assert {record.name: (record.codec, record.protocol) for record in s.records()} == {
                "array": ("numpy", 1), "scalar": ("numpy", 1), "objects": ("pickle", 4), "within": ("pickle", 4),
                "matrix": ("pickle", 4),
            }  # fmt: skip
            assert (s["array"] == array).all() and s["within"][0].shape == (2, 3)
            assert type(s["scalar"]) is numpy.float32
        with Store[Any](place) as s:
            assert s.put("array", array, codec="auto").codec == "numpy"
            assert s.put("plain", [1], codec="auto").codec == "pickle"

    def test_it_chooses_again_where_the_value_is_another(self, place: str) -> None:
        numpy = pytest.importorskip("numpy", reason="numpy is not installed: codec='auto' is not tested with arrays")
        with Store[Any](place, codec="auto") as s:
            s["a"] = numpy.zeros(3)
            with s.edit("a") as array:
                array[0] = 1
            assert (s["a"].tolist(), s.record("a").codec) == ([1.0, 0.0, 0.0], "numpy")
            s.modify("a", lambda array: array.tolist())
            assert (s["a"], s.record("a").codec) == ([1.0, 0.0, 0.0], "pickle")
            s.put("b", [1], codec="json")
            s.modify("b", lambda value: [*value, 2])
            assert s.record("b").codec == "json"

    @pytest.mark.slow
    def test_it_does_not_import_numpy(self, place: str) -> None:
        import subprocess
        import sys

        Store[Any](place).close()  # sqlite-utils, which makes the tables, imports it where it is there
        code = "import sys, store\nwith store.Store(sys.argv[1], codec='auto') as s: s['a'] = [1]\nprint('numpy' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code, str(place)], capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout == "False\n", done.stderr

    def test_no_record_is_read_by_it(self, place: str) -> None:
        assert "auto" not in codecs.codecs
