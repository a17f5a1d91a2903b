"""Records beside their values: `put`, `get_many`, metadata that is read without decoding."""

from __future__ import annotations

import dataclasses
import pickle
import platform
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from store import Record, Store
from store.errors import NotSerializable


class Undecodable:
    """Whoever decodes it is found out."""

    def __reduce__(self) -> Any:
        return _decoded, ()


def _decoded() -> None:
    raise AssertionError("somebody decoded the value")


def body_of(place: str, name: str) -> bytes:
    """What the engine keeps."""
    with Store[Any](place, mode="r") as s:
        body: bytes = s.opened.engine.get("", (name,))[name].body
        return body


class TestPut:
    def test_gives_the_record_that_it_became(self, s: Store[Any]) -> None:
        first = s.put("a", 1)
        assert first == s.record("a")
        assert (first.revision, s["a"]) == (1, 1)
        second = s.put("a", 2)
        assert second == s.record("a")
        assert (second.revision, second.version != first.version, s["a"]) == (2, True, 2)

    def test_keeps_place_and_creation(self, s: Store[Any], clock: Any) -> None:
        first = s.put("a", 1)
        s.put("b", 1)
        clock.advance(5)
        again = s.put("a", 2)
        assert again.created == first.created
        assert (again.modified - first.modified).total_seconds() == 5
        assert list(s) == ["a", "b"]

    def test_with_ttl(self, s: Store[Any], clock: Any) -> None:
        record = s.put("a", 1, ttl=10)
        assert record.expires == datetime.fromtimestamp(clock.now + 10, UTC)
        assert s.put("a", 2).expires is None, "an assignment applies the store's ttl, which is none"

    def test_with_a_store_of_a_ttl(self, location: str, clock: Any) -> None:
        with Store[Any](location, clock=clock, ttl=100) as s:
            assert s.put("a", 1).expires == datetime.fromtimestamp(clock.now + 100, UTC)
            assert s.put("a", 1, ttl=0.5).expires == datetime.fromtimestamp(clock.now + 0.5, UTC)

    def test_with_codec(self, s: Store[Any]) -> None:
        record = s.put("a", {"x": [1]}, codec="json")
        assert (record.codec, record.protocol, record.size) == ("json", 1, len(b'{"x":[1]}'))
        assert s["a"] == {"x": [1]}
        s["a"] = 2
        assert s.record("a").codec == "pickle"

    @pytest.mark.parametrize("protocol", range(6))
    def test_with_protocol(self, s: Store[Any], protocol: int) -> None:
        value = {"x": [1, "é", b"b", 2.5, None, True, (1, 2), {3}]}
        record = s.put("a", value, protocol=protocol)
        assert (record.protocol, record.size) == (protocol, len(pickle.dumps(value, protocol)))
        assert s["a"] == value

    def test_body_is_what_the_codec_makes(self, place: str) -> None:
        with Store[Any](place) as s:
            s.put("a", [1], codec="json")
            s.put("b", [1], protocol=2)
        assert (body_of(place, "a"), body_of(place, "b")) == (b"[1]", pickle.dumps([1], 2))

    def test_with_protocol_minus_one_takes_the_highest_known(self, s: Store[Any]) -> None:
        assert s.put("a", 1, protocol=-1).protocol == 5  # as pickle.dumps

    @pytest.mark.parametrize("protocol", [6, 99])
    def test_with_unknown_protocol(self, s: Store[Any], protocol: int) -> None:
        with pytest.raises(ValueError, match=f"protocols 0 to 5, not {protocol}"):
            s.put("a", 1, protocol=protocol)
        with pytest.raises(ValueError, match="protocols 1 to 1, not 5"):
            s.put("a", 1, codec="json", protocol=5)
        assert "a" not in s

    @pytest.mark.parametrize("protocol", ["5", 5.0, True, b""])
    def test_with_protocol_of_a_wrong_type(self, s: Store[Any], protocol: Any) -> None:
        with pytest.raises(TypeError, match="protocol is an int"):
            s.put("a", 1, protocol=protocol)

    def test_with_unknown_codec(self, s: Store[Any]) -> None:
        with pytest.raises(ValueError, match=r"unknown codec 'cbor': one of pickle, json, .*, auto"):
            s.put("a", 1, codec="cbor")

    def test_of_what_the_codec_cannot_hold_keeps_the_old_value(self, s: Store[Any]) -> None:
        before = s.put("a", 1)
        with pytest.raises(NotSerializable) as caught:
            s.put("a", lambda: 0)
        assert caught.value.name == "a"
        with pytest.raises(NotSerializable):
            s.put("a", {1}, codec="json")
        assert s.record("a") == before

    def test_options_are_by_keyword(self, s: Store[Any]) -> None:
        with pytest.raises(TypeError):
            s.put("a", 1, 10)  # type: ignore[misc]


class TestGetMany:
    def test_is_in_the_order_asked_for(self, s: Store[Any]) -> None:
        s.update(a=1, b=2, c=3)
        found = s.get_many(["c", "gone", "a", "c"])
        assert type(found) is dict
        assert list(found.items()) == [("c", 3), ("a", 1)]

    def test_of_more_names_than_one_statement_takes(self, s: Store[Any]) -> None:
        s.update({f"n{i}": i for i in range(2500)})
        wanted = [f"n{i}" for i in range(2999, -1, -1)]
        assert list(s.get_many(wanted).items()) == [(f"n{i}", i) for i in range(2499, -1, -1)]

    def test_of_none_and_of_any_iterable(self, s: Store[Any]) -> None:
        s["a"] = 1
        assert s.get_many([]) == {}
        assert s.get_many(name for name in "ab") == {"a": 1}
        assert s.get_many({"a": "ignored"}) == {"a": 1}

    def test_of_a_name_that_is_no_str(self, s: Store[Any]) -> None:
        with pytest.raises(TypeError, match="int"):
            s.get_many(["a", 1])  # type: ignore[list-item]

    def test_inside_a_transaction_sees_its_writes(self, s: Store[Any]) -> None:
        with s.transaction():
            s.update({f"n{i}": i for i in range(1200)})
            assert len(s.get_many(f"n{i}" for i in range(1200))) == 1200

    def test_stays_in_its_namespace(self, s: Store[Any]) -> None:
        s["a"] = 1
        with s.within("other") as other:
            assert other.get_many(["a"]) == {}


class TestRecord:
    def test_has_all_that_is_known(self, clock: Any, own_key: Path, path: Path) -> None:
        t0 = datetime.fromtimestamp(clock.now, UTC)
        with Store[Any](path, clock=clock, namespace="users") as users:
            users.put("alice", datetime(2030, 1, 1), ttl=60)
            clock.advance(1)
            users.put("alice", datetime(2031, 1, 1), ttl=60)
            record = users.record("alice")
        with closing(sqlite3.connect(path)) as conn:
            key_id = conn.execute("SELECT key_id FROM sealers").fetchone()[0].hex()
        assert record == Record(
            namespace="users",
            name="alice",
            codec="pickle",
            protocol=5,
            type="datetime.datetime",
            python=platform.python_version(),
            size=len(pickle.dumps(datetime(2031, 1, 1), 5)),
            revision=2,
            created=t0,
            modified=datetime.fromtimestamp(clock.now, UTC),
            expires=datetime.fromtimestamp(clock.now + 60, UTC),
            sealed_by=key_id,
            version=record.version,
        )
        assert record.created.tzinfo is UTC

    def test_is_frozen(self, s: Store[Any]) -> None:
        record = s.put("a", 1)
        with pytest.raises(dataclasses.FrozenInstanceError):
            record.revision = 5  # type: ignore[misc]

    @pytest.mark.parametrize(
        ("value", "name"),
        [(1, "int"), (None, "NoneType"), ([], "list"), (Undecodable(), f"{__name__}.Undecodable"), (len, None)],
    )
    def test_names_the_type(self, s: Store[Any], value: Any, name: str | None) -> None:
        assert s.put("a", value).type == (name or "builtin_function_or_method")

    def test_of_a_missing_name(self, s: Store[Any]) -> None:
        with pytest.raises(KeyError) as caught:
            s.record("gone")
        assert caught.value.args == ("gone",)
        with pytest.raises(TypeError):
            s.record(1)  # type: ignore[arg-type]

    def test_records_are_in_name_order_by_prefix(self, s: Store[Any]) -> None:
        s.update({name: 1 for name in ("b", "user:2", "a", "user:10", "user:1")})  # noqa: C420
        assert [record.name for record in s.records()] == ["a", "b", "user:1", "user:10", "user:2"]
        assert [record.name for record in s.records("user:")] == ["user:1", "user:10", "user:2"]
        assert list(s.records("z")) == []
        assert list(s.records("a")) == [s.record("a")]

    def test_records_over_many_pages(self, s: Store[Any]) -> None:
        s.update({f"n{i:04}": i for i in range(1300)})
        assert [record.name for record in s.records()] == [f"n{i:04}" for i in range(1300)]

    def test_far_expiry_does_not_make_it_unreadable(self, s: Store[Any]) -> None:
        assert s.put("a", 1, ttl=1e13).expires == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
        assert s["a"] == 1

    def test_nothing_of_it_decodes(self, s: Store[Any]) -> None:
        s["a"] = Undecodable()
        s.put("b", Undecodable(), ttl=60)
        assert [record.name for record in s.records()] == ["a", "b"]
        assert s.record("a").type == f"{__name__}.Undecodable"
        assert "a" in s
        assert "a" in s.keys()  # noqa: SIM118
        assert (len(s), bool(s), list(s), list(reversed(s))) == (2, True, ["a", "b"], ["b", "a"])
        assert s.names() == ["a", "b"]
        assert s.stats().records == 2
        assert s.namespaces() == [""]
        assert "2 records" in repr(s)
        assert s.touch("a", 60).revision == 2
        assert s.purge() == 0
        assert s.put("c", 1).name == "c"
        assert s.get_many(["c"]) == {"c": 1}
        with pytest.raises(Exception, match="somebody decoded"):
            s["a"]  # the proof that it would have been noticed
        del s["a"]
        s.clear()
        assert not s


class TestRecords:
    def test_page_as_names_do(self, s: Store[Any]) -> None:
        s.update({f"n{number:02}": number for number in range(12)})
        s["other"] = 1
        for options in (
            {}, {"prefix": "n"}, {"prefix": "n", "after": "n03"}, {"limit": 5}, {"limit": 0}, {"reverse": True},
            {"prefix": "n", "after": "n05", "reverse": True, "limit": 3}, {"after": "n0"}, {"after": "zz"},
        ):  # fmt: skip
            assert [record.name for record in s.records(**options)] == s.names(**options)  # type: ignore[arg-type]

    @pytest.mark.parametrize("limit", [None, 1100])
    @pytest.mark.parametrize("reverse", [False, True])
    def test_more_than_a_page(self, s: Store[Any], limit: int | None, reverse: bool) -> None:
        s.update({f"n{number}": number for number in range(1200)})
        found = [record.name for record in s.records(limit=limit, reverse=reverse)]
        assert found == s.names(limit=limit, reverse=reverse)

    def test_limit_counts_those_that_are_there(self, s: Store[Any]) -> None:
        s.update({f"n{number:04}": number for number in range(1200)})
        records = s.records(limit=600)
        first = next(records)
        s.delete_many([f"n{number:04}" for number in range(500, 600)])
        assert len([first, *records]) == 600

    @pytest.mark.parametrize("options", [{"limit": -1}, {"limit": True}, {"after": 1}, {"prefix": None}])
    def test_wrong_arguments_raise_at_once(self, s: Store[Any], options: dict[str, Any]) -> None:
        with pytest.raises((TypeError, ValueError)):
            s.records(**options)


class TestValueWithRecord:
    def test_are_of_one_state(self, s: Store[Any]) -> None:
        s["a"] = [1]
        assert s.get_with_record("a") == ([1], s.record("a"))
        s["large"] = bytes(3_000_000)
        value, record = s.get_with_record("large")
        assert (len(value), record) == (3_000_000, s.record("large"))

    def test_missing_and_expired(self, s: Store[Any], clock: Any) -> None:
        s.put("a", 1, ttl=5)
        clock.advance(6)
        for name in ("a", "b"):
            with pytest.raises(KeyError, match=name):
                s.get_with_record(name)

    def test_writeback_gives_the_live_value(self, place: str) -> None:
        with Store[Any](place, writeback=True) as s:
            s["a"] = []
            s.get_with_record("a")[0].append(1)
            assert s["a"] == [1]


class TestTransact:
    def test_gives_the_result_of_the_function(self, s: Store[Any]) -> None:
        def move(store: Store[Any]) -> int:
            store["b"] = store.pop("a")
            return len(store)

        s["a"] = 1
        assert s.transact(move) == 1
        assert dict(s) == {"b": 1}

    def test_exception_undoes_all(self, s: Store[Any]) -> None:
        def fail(store: Store[Any]) -> None:
            store["a"] = 1
            store.transact(lambda inner: inner.update(b=2))
            raise LookupError

        with pytest.raises(LookupError):
            s.transact(fail)
        assert len(s) == 0
