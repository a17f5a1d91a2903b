"""Records out of one store and into another, undecoded: whose they were they stay."""

from __future__ import annotations

import base64
import json
import pickle
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from planted import planted
from strangers import THEIRS, Marker

from store import Store
from store.care.raw import BATCH, export_raw, import_raw
from store.errors import Corrupt, ReadOnly, Tampered, Untrusted
from store.trust.keys.key import UNKEYED

pytestmark = [pytest.mark.damaged, pytest.mark.filterwarnings("ignore:.*sealed with a key")]


@pytest.fixture
def target(another: str) -> str:
    return another


def exported(kept: str, **options: Any) -> list[str]:
    with Store[Any](kept, mode="r") as s:
        return list(export_raw(s.opened, **options))


def imported(kept: str, lines: Any, **options: Any) -> list[tuple[str, str, str]]:
    with Store[Any](kept, **options) as s:
        return list(import_raw(s.opened, lines))


def rows(kept: str) -> dict[tuple[str, str], Any]:
    with Store[Any](kept, mode="r") as s:
        return {(row.namespace, row.name): row for row in s.opened.engine.care.rows([])}


def changed(line: str, **fields: Any) -> str:
    return json.dumps({**json.loads(line), **fields})


def verdict(s: Store[Any], name: str) -> str:
    return s.inspect(name).verdict


def test_own_records_are_own_there(kept: str, target: str, clock: Any) -> None:
    with Store[Any](kept, clock=clock) as s, s.within("more") as more:
        s["set"] = {1, 2}
        s["set"] = {1, 2, 3}
        s.put("session", (1,), ttl=100)
        more["json"] = None
        more.put("json", [1], codec="json")
    lines = exported(kept)
    clock.advance(10)
    assert imported(target, lines, clock=clock) == [
        ("", "set", "own"),
        ("", "session", "own"),
        ("more", "json", "own"),
    ]
    with Store[Any](target, clock=clock) as s, s.within("more") as more:
        assert s | {} == {"set": {1, 2, 3}, "session": (1,)}
        assert more["json"] == [1]
        assert s.verify().sealed == 3 and s.verify().ok
    before, after = rows(kept), rows(target)
    assert list(before) == list(after)  # an id is a place in this order, and a server leaves gaps between them
    for place, row in before.items():
        there = after[place]
        assert there._replace(id=0, seal=b"", crc=0) == row._replace(id=0, seal=b"", crc=0)
        assert there.seal[:8] == row.seal[:8] and there.seal != row.seal


def test_each_record_stays_what_it_was(kept: str, target: str, tmp_path: Path) -> None:
    marker = tmp_path / "code has run"
    with Store[Any](kept) as s:
        s.update({"own": 1, "tampered": 2})
    with Store[Any](kept, key=THEIRS) as s:
        s.update({"foreign": 3, "corrupt": 4, "evil": Marker(marker)})
    for name in ("tampered", "corrupt"):
        planted(kept, "UPDATE records SET body = ? WHERE name = ?", pickle.dumps("x"), name)
    was = {
        "own": "own", "tampered": "tampered", "foreign": "foreign", "corrupt": "corrupt", "evil": "foreign",
    }  # fmt: skip
    for goes_to in (target, kept):
        assert imported(goes_to, exported(kept)) == [("", name, what) for name, what in was.items()]
        with Store[Any](goes_to) as s:
            assert {name: verdict(s, name) for name in s} == was
            assert s["own"] == 1 and s["foreign"] == 3
            with pytest.raises(Tampered):
                s["tampered"]
            with pytest.raises(Corrupt):
                s["corrupt"]
            with pytest.raises(Untrusted):
                s["evil"]
    assert not marker.exists()
    with Store[Any](target, key=THEIRS) as s:  # a seal covers its store: there it is not what was sealed here
        assert verdict(s, "foreign") == "tampered"


def test_owner_of_foreign_records_imports_them_as_own(kept: str, target: str) -> None:
    with Store[Any](kept, key=THEIRS) as s:
        s["it"] = 1
    assert imported(target, exported(kept), key=THEIRS) == [("", "it", "own")]


@pytest.mark.parametrize(
    "fields",
    [
        {"body": base64.b64encode(pickle.dumps("x")).decode()},
        {"name": "another"},
        {"namespace": "another"},
        {"expires": 1e12},
        {"codec": "json"},
        {"protocol": 2},
        {"store": "00" * 16},
        {"spill": "x"},
    ],
)
def test_altered_line_is_tampered_for_good(kept: str, target: str, fields: dict[str, Any]) -> None:
    with Store[Any](kept) as s:
        s["it"] = 1
    (line,) = exported(kept)
    for goes_to in (target, kept):  # also where it came from
        ((namespace, name, what),) = imported(goes_to, [changed(line, **fields)])
        assert what == "tampered"
        with Store[Any](goes_to, namespace=namespace) as s:
            with pytest.raises(Tampered):
                s[name]


def test_record_of_this_store_in_a_line_of_another_does_not_become_own(kept: str, target: str) -> None:
    """Its seal fits here, but the line says that it was sealed elsewhere: somebody put the two together."""
    with Store[Any](target) as s:
        s["it"] = "an older value"
    (line,) = exported(target)
    with Store[Any](target) as s:
        s["it"] = "the newer value"
    with Store[Any](kept) as s:
        origin = s.opened.engine.id.hex()
    assert imported(target, [changed(line, store=origin)]) == [("", "it", "tampered")]
    with Store[Any](target) as s:
        assert verdict(s, "it") == "tampered"
        with pytest.raises(Tampered):
            s["it"]


def test_record_without_a_key_stays_without(kept: str, target: str, own_key: Path) -> None:
    own_key.parent.mkdir(parents=True)
    own_key.write_text("00" * 32)
    own_key.chmod(0o644)  # open to others: not used
    with Store[Any](kept) as s:
        s["it"] = [1]
    lines = exported(kept)
    assert imported(target, lines) == [("", "it", "foreign")]
    own_key.chmod(0o600)
    for key in (None, THEIRS):
        with Store[Any](target, key=key) as s:
            assert verdict(s, "it") == "foreign"
            assert s["it"] == [1]
    assert rows(target)["", "it"].seal.startswith(UNKEYED)
    assert imported(target, lines) == [("", "it", "foreign")]  # a key that is there now does not make it ours
    assert rows(target)["", "it"].seal.startswith(UNKEYED)


def test_expired_records_go_over_too(kept: str, target: str, clock: Any) -> None:
    with Store[Any](kept, clock=clock) as s:
        s.put("it", 1, ttl=5)
    clock.advance(10)
    assert imported(target, exported(kept), clock=clock) == [("", "it", "own")]
    with Store[Any](target, clock=clock) as s:
        assert "it" not in s
        assert s.verify().sealed == 1
        assert s.purge() == 1


def test_one_namespace(kept: str) -> None:
    with Store[Any](kept) as s, s.within("more") as more:
        s["a"] = more["b"] = 1
    assert [json.loads(line)["name"] for line in exported(kept, namespace="more")] == ["b"]
    assert [json.loads(line)["name"] for line in exported(kept, namespace="")] == ["a"]


def test_name_that_is_there_is_replaced(kept: str, target: str) -> None:
    with Store[Any](kept) as s:
        s.update(a=1, b=2)
    with Store[Any](target, writeback=True) as s:
        s.update(b=["there"], c=3)
        assert s["b"] == ["there"]
        assert list(import_raw(s.opened, exported(kept))) == [("", "a", "own"), ("", "b", "own")]
        assert s["b"] == 2  # not the live value of before
    with Store[Any](target) as s:
        assert s | {} == {"b": 2, "c": 3, "a": 1}


def test_names_of_any_text(kept: str, target: str) -> None:
    names = ["", "\n", "é☃\U0001f600", '"', "\u2028", "a" * 10_000]
    with Store[Any](kept) as s:
        s.update(dict.fromkeys(names, b"\x00\xff"))
    lines = exported(kept)
    assert all(line.isascii() and "\n" not in line for line in lines)
    imported(target, "".join(line + "\n" for line in lines).encode().splitlines())
    with Store[Any](target) as s:
        assert s | {} == dict.fromkeys(names, b"\x00\xff")


@pytest.mark.slow
def test_more_than_a_batch_and_blank_lines(kept: str, target: str) -> None:
    many = {f"n{number}": number for number in range(2 * BATCH + 3)}
    with Store[Any](kept) as s:
        s.update(many)
    lines = exported(kept)
    assert len(imported(target, [*lines[:5], "", "  \n", *lines[5:]])) == len(many)
    with Store[Any](target) as s:
        assert s | {} == many


MALFORMED: list[Callable[[str], str]] = [
    lambda line: "{",
    lambda line: "[]",
    lambda line: "17",
    lambda line: "[" * 100_000,
    lambda line: "{}",
    lambda line: line[:-5],
    lambda line: changed(line, more=1),
    lambda line: changed(line, id=7),
    lambda line: changed(line, store="00"),
    lambda line: changed(line, store=17),
    lambda line: changed(line, body="!"),
    lambda line: changed(line, body=None),
    lambda line: changed(line, name=None),
    lambda line: changed(line, name="\ud800"),
    lambda line: changed(line, codec="\udfff"),
    lambda line: changed(line, protocol=True),
    lambda line: changed(line, protocol=2**63),
    lambda line: changed(line, revision="1"),
    lambda line: changed(line, created=float("nan")),
    lambda line: changed(line, modified=None),
    lambda line: changed(line, expires="never"),
]


@pytest.mark.parametrize("alter", MALFORMED)
def test_malformed_line_is_told_and_the_ones_before_it_are_kept(
    kept: str, target: str, alter: Callable[[str], str]
) -> None:
    with Store[Any](kept) as s:
        s.update(a=1, b=2, c=3)
    lines = exported(kept)
    lines[1] = alter(lines[1])
    with Store[Any](target) as s:
        done = []
        with pytest.raises(Corrupt, match="line 2 is not a raw record"):
            done.extend(import_raw(s.opened, lines))
        assert s | {} == {"a": 1}


@pytest.mark.parametrize("seal", [b"", b"x" * 7, b"x" * 23, b"x" * 500])
def test_seal_of_another_length_stays_corrupt(kept: str, target: str, seal: bytes) -> None:
    with Store[Any](kept) as s:
        s["it"] = 1
    (line,) = exported(kept)
    bad = changed(line, seal=base64.b64encode(seal).decode())
    assert imported(target, [bad]) == [("", "it", "corrupt")]
    with Store[Any](target) as s:
        assert s.verify().corrupt == [("", "it")]
    assert json.loads(exported(target)[0])["seal"] == json.loads(bad)["seal"]


def test_column_that_holds_something_else_is_told_at_the_end(path: Path) -> None:
    with Store[Any](path) as s:
        s.update(a=1, b=2, c=3)
        with closing(sqlite3.connect(path)) as conn:
            ((schema,),) = conn.execute("SELECT sql FROM sqlite_schema WHERE name = 'records'").fetchall()
            conn.execute("PRAGMA writable_schema = ON")
            loose = schema.replace("STRICT", "").replace(" BLOB NOT NULL", "")
            conn.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'records'", (loose,))
            conn.commit()
        planted(str(path), "UPDATE records SET body = 17 WHERE name = 'b'")
        found = []
        with pytest.raises(Corrupt, match=r"1 of the records.*'b'"):
            found.extend(export_raw(s.opened))
        lines: list[str] = []
        with pytest.raises(Corrupt):
            for line in export_raw(s.opened):
                lines.append(json.loads(line)["name"])
        assert lines == ["a", "c"]


@pytest.mark.parametrize("where", ["a file", ":memory:"])
def test_record_keeps_revision_and_times_unless_it_replaces_one(kept: str, target: str, where: str) -> None:
    with Store[Any](kept, ttl=500) as s:
        for number in range(3):
            s["it"] = number
        line = exported(kept)[0]
        with Store[Any](target if where == "a file" else where, ttl=500) as other:
            list(import_raw(other.opened, [line]))
            there, here = other.record("it"), s.record("it")
            assert there.revision == here.revision == 3
            assert (there.created, there.modified, there.expires) == (here.created, here.modified, here.expires)
            list(import_raw(other.opened, [line]))
            assert other.record("it").revision == 4


@pytest.mark.parametrize("where", ["a file", ":memory:"])
def test_record_in_the_place_of_an_expired_one_keeps_its_revision(
    kept: str, target: str, clock: Any, where: str
) -> None:
    with Store[Any](target if where == "a file" else where, clock=clock) as s:
        s.put("it", "old", ttl=10)
        clock.now += 20
        with Store[Any](kept, clock=clock) as of:
            of["it"] = 1
            of["it"] = 2
        list(import_raw(s.opened, exported(kept)))
        assert s.record("it").revision == 2
        assert s["it"] == 2


def test_import_into_a_store_that_is_read_only(kept: str) -> None:
    with Store[Any](kept) as s:
        s["it"] = 1
    lines = exported(kept)
    with Store[Any](kept, mode="r") as s, pytest.raises(ReadOnly):
        list(import_raw(s.opened, lines))
