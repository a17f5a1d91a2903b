"""Format versions: the default one, and records of versions and codecs that this program does not know."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from store import Store
from store.codecs import codecs
from store.errors import CodecUnavailable, UnknownProtocol


def body_of(place: str, name: str) -> bytes:
    """What the engine keeps."""
    with Store[Any](place, mode="r") as s:
        body: bytes = s.opened.engine.get("", (name,))[name].body
        return body


def written_by_another(s: Store[Any], name: str, **columns: Any) -> None:
    """Have the record say something else of itself, under a seal of our key: as a newer release would."""
    row = s.opened.find(name)
    assert row is not None
    s.opened.put(s.opened.values.sealer.seal(row._replace(**columns)))


@pytest.fixture
def s(place: str, clock: Any) -> Iterator[Store[Any]]:
    with Store[Any](place, clock=clock) as opened:
        yield opened


class TestUnknownVersions:
    """A record of the future is named, and left as it is."""

    def check_intact(self, s: Store[Any], error: type[Exception], **facts: Any) -> None:
        name = "a"
        before = s.record(name)
        reads = [
            lambda: s[name],
            lambda: s.get(name, 1),
            lambda: s.get_many([name]),
            lambda: s.pop(name, 1),
            s.popitem,
            lambda: s.setdefault(name, 1),
            lambda: s.modify(name, lambda value: value, 1),
            lambda: s.edit(name, 1).__enter__(),
            lambda: list(s.values()),
            lambda: dict(s),
            lambda: s == {},
        ]
        for read in reads:
            with pytest.raises(error) as caught:
                read()
            assert {field: getattr(caught.value, field) for field in facts} == facts
            assert "intact" in str(caught.value)
        assert s.record(name) == before
        assert name in s

    def test_protocol_of_a_newer_python(self, s: Store[Any]) -> None:
        s["a"] = 1
        written_by_another(s, "a", protocol=99)
        self.check_intact(s, UnknownProtocol, name="a", namespace="", codec="pickle", protocol=99)
        with pytest.raises(UnknownProtocol, match=r"record 'a'.*pickle protocol 99.*0 to 5"):
            s["a"]
        assert s.record("a").protocol == 99
        assert s.stats().protocols == {"pickle 99": 1}

    def test_version_of_a_newer_codec(self, s: Store[Any]) -> None:
        s.put("a", 1, codec="json")
        written_by_another(s, "a", protocol=2)
        self.check_intact(s, UnknownProtocol, name="a", codec="json", protocol=2)

    def test_older_program(self, s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        s["a"] = 1
        monkeypatch.setattr(codecs.load("pickle"), "protocols", range(5), raising=False)
        s.opened.cache.drop()  # that program has read nothing yet
        self.check_intact(s, UnknownProtocol, codec="pickle", protocol=5)
        monkeypatch.undo()
        assert s["a"] == 1

    def test_negative_protocol(self, s: Store[Any]) -> None:
        s["a"] = 1
        written_by_another(s, "a", protocol=-1)
        self.check_intact(s, UnknownProtocol, protocol=-1)

    def test_codec_that_is_not_known(self, s: Store[Any]) -> None:
        s["a"] = 1
        written_by_another(s, "a", codec="cbor")
        self.check_intact(s, CodecUnavailable, codec="cbor")
        with pytest.raises(ImportError, match="cbor"):
            s["a"]
        assert s.record("a").codec == "cbor"

    def test_may_be_replaced(self, s: Store[Any]) -> None:
        s["a"] = 1
        written_by_another(s, "a", protocol=99)
        s["a"] = 2
        assert s["a"] == 2
        assert s.record("a").revision == 3


class TestDefaultProtocol:
    def test_is_5_whatever_python_has(self, s: Store[Any], place: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for default, highest in ((2, 3), (6, 7)):
            monkeypatch.setattr(pickle, "DEFAULT_PROTOCOL", default)
            monkeypatch.setattr(pickle, "HIGHEST_PROTOCOL", highest)
            s["a"] = 1
            assert s.record("a").protocol == 5
            assert body_of(place, "a").startswith(b"\x80\x05")

    def test_of_a_store(self, place: str) -> None:
        with Store[Any](place, protocol=2) as s:
            s["a"] = 1
            assert s.record("a").protocol == 2
            assert body_of(place, "a").startswith(b"\x80\x02")
            s.update(b=1)
            s.setdefault("c", 1)
            s.modify("d", lambda value: value, 1)
            with s.edit("e", []):
                pass
            assert {record.protocol for record in s.records()} == {2}
            assert s.put("f", 1, codec="json").protocol == 1  # the store's protocol is of the store's codec
        with Store[Any](place) as s:
            assert (s["a"], s.put("a", 2).protocol) == (1, 5)
