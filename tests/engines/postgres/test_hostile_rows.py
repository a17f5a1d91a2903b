"""Rows that somebody else wrote by SQL: no value comes out under another name, and nothing hides or deletes a record."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.errors import Corrupt, NotAStore, RecordError, StoreError, Tampered

SQL = Callable[..., list[Any]]
KEY = b"the key of these tests"
OTHER = b"another key, longer"


@pytest.fixture
def sound(postgres_url: str, clock: Any) -> str:
    """A store with the records `a`, `b`, and `short`, which lives for 1,000 seconds."""
    with Store(postgres_url, key=KEY, clock=clock) as s:
        s.update(a=1, b={"x": 2})
        s.put("short", "lived", ttl=1000)
        with s.within("other") as other:
            other["a"] = "of the other namespace"
    return postgres_url


SEALED = {  # what the seal covers → the statement that changes it
    "body": r"UPDATE {t}.records SET body = '\x80054b022e' WHERE namespace = '' AND name = 'a'",
    "no body": "UPDATE {t}.records SET body = '' WHERE namespace = '' AND name = 'a'",
    "body of another record": "UPDATE {t}.records SET body = (SELECT body FROM {t}.records WHERE name = 'b') WHERE namespace = '' AND name = 'a'",
    "codec": "UPDATE {t}.records SET codec = 'json' WHERE namespace = '' AND name = 'a'",
    "codec that is none": "UPDATE {t}.records SET codec = '../../x' WHERE namespace = '' AND name = 'a'",
    "protocol": "UPDATE {t}.records SET protocol = -2147483648 WHERE namespace = '' AND name = 'a'",
    "record of another name": "DELETE FROM {t}.records WHERE namespace = '' AND name = 'a'; UPDATE {t}.records SET name = 'a' WHERE namespace = '' AND name = 'b'",
    "record of another namespace": "DELETE FROM {t}.records WHERE namespace = '' AND name = 'a'; UPDATE {t}.records SET namespace = '' WHERE namespace = 'other'",
    "seal": r"UPDATE {t}.records SET seal = seal || '\x00' WHERE namespace = '' AND name = 'a'",
    "seal of another": "UPDATE {t}.records SET seal = (SELECT seal FROM {t}.records WHERE name = 'b') WHERE namespace = '' AND name = 'a'",
    "expiry to come": "UPDATE {t}.records SET expires = 1e300 WHERE namespace = '' AND name = 'a'",
    "expiry that is passed": "UPDATE {t}.records SET expires = 5 WHERE namespace = '' AND name = 'a'",
    "expiry that is no number": "UPDATE {t}.records SET expires = 'NaN' WHERE namespace = '' AND name = 'a'",
    "expiry without end": "UPDATE {t}.records SET expires = 'Infinity' WHERE namespace = '' AND name = 'a'",
    "expiry before all time": "UPDATE {t}.records SET expires = '-Infinity' WHERE namespace = '' AND name = 'a'",
    "spill": "UPDATE {t}.records SET spill = '[\"/etc/passwd\"]' WHERE namespace = '' AND name = 'a'",
    "spill that is huge": "UPDATE {t}.records SET spill = repeat('[', 5000000) WHERE namespace = '' AND name = 'a'",
}  # fmt: skip


@pytest.mark.parametrize("trust", ["own", "data", "all"])
@pytest.mark.parametrize("what", SEALED)
def test_row_whose_seal_does_not_hold(sound: str, clock: Any, sql: SQL, what: str, trust: Any) -> None:
    sql(SEALED[what])
    with Store[Any](sound, key=KEY, trust=trust, clock=clock) as s:
        for read in (
            lambda: s["a"],
            lambda: s.get("a"),
            lambda: s.get_many(["a"]),
            lambda: s.pop("a"),
            lambda: s.modify("a", lambda value: value),
            lambda: s.touch("a"),
        ):
            with pytest.raises((Tampered, Corrupt), match="record 'a'"):
                read()
        if "expiry" not in what:  # else it may only seem to be gone, and is not counted
            assert "a" in list(s)
            with pytest.raises((Tampered, Corrupt)):
                dict(s.items())
            with pytest.raises((Tampered, Corrupt)):
                s | {}
        assert s["short"] == "lived"
        assert s.purge() == 0
        for look in (lambda: s.record("a"), lambda: list(s.records()), s.stats, s.namespaces, s.names, lambda: len(s)):
            contained(look)
    assert sql("SELECT count(*) FROM {t}.records WHERE namespace = '' AND name = 'a'") == [(1,)]
    with Store[Any](sound, key=KEY, clock=clock) as s:
        s["a"] = "new"
        assert s["a"] == "new"


UNSEALED = {  # what decoding does not depend on, but its metadata do
    "type": ("type", "\x1b]0;owned\x07"),
    "long type": ("type", "x" * 1_000_000),
    "python": ("python", "3.\x9b31m"),
    "crc": ("crc", -(2**63)),
    "revision": ("revision", -1),
    "largest revision": ("revision", 2**63 - 1),
    "created before all time": ("created", -math.inf),
    "created never": ("created", math.nan),
    "modified at the end": ("modified", math.inf),
    "modified never": ("modified", math.nan),
    "modified beyond the calendar": ("modified", 1e300),
}


@pytest.mark.parametrize("what", UNSEALED)
def test_metadata_that_are_not_sealed(sound: str, clock: Any, sql: SQL, what: str) -> None:
    column, value = UNSEALED[what]
    sql(f"UPDATE {{t}}.records SET {column} = %s WHERE namespace = '' AND name = 'a'", value)
    with Store[Any](sound, key=KEY, clock=clock) as s:
        assert (s["a"], dict(s.items())["a"], (s | {})["a"]) == (1, 1, 1)
        for look in (lambda: s.record("a"), lambda: list(s.records()), s.stats, lambda: repr(s.record("a"))):
            contained(look)
        contained(lambda: s.__setitem__("a", 2))
        contained(lambda: s.modify("a", lambda value: 3))
        del s["a"]
        assert "a" not in s


def contained(call: Callable[[], Any]) -> None:
    try:
        call()
    except (StoreError, KeyError):
        pass


def test_lifetime_that_was_planted(sound: str, clock: Any, sql: SQL) -> None:
    """Records that are made to look expired are absent, but `purge` deletes none of which that is not true."""
    sql("UPDATE {t}.records SET expires = 5.0 WHERE name IN ('a', 'b')")
    with Store[Any](sound, key=KEY, clock=clock) as s:
        assert list(s) == ["short"]
        assert s.purge() == 0
        clock.advance(1000)
        assert s.purge() == 1
    sql("UPDATE {t}.records SET expires = NULL")
    with Store[Any](sound, key=KEY, clock=clock) as s:
        assert dict(s) == {"a": 1, "b": {"x": 2}}


def test_row_that_is_there_twice(sound: str, clock: Any, sql: SQL) -> None:
    """While the store is open the owner of the table drops its constraints: neither row is taken for the other."""
    with Store[Any](sound, key=KEY, clock=clock) as s:
        assert s["a"] == 1
        sql("ALTER TABLE {t}.records DROP CONSTRAINT records_pkey, DROP CONSTRAINT records_namespace_name_key")
        sql("UPDATE {t}.records SET name = 'a' WHERE name = 'b'")
        sql("INSERT INTO {t}.records SELECT * FROM {t}.records")
        for read in (lambda: s["a"], lambda: s.get_many(["a"]), lambda: dict(s.items()), lambda: s | {}):
            try:
                assert read() in (1, {"a": 1})
            except RecordError:
                pass
        contained(lambda: s.__setitem__("a", 2))
        with pytest.raises(NotAStore, match="not as they were made"):
            s["c"] = 3


def test_rows_without_columns(sound: str, clock: Any, sql: SQL) -> None:
    """While the store is open the owner of the table lets columns be NULL."""
    columns = ("codec", "protocol", "body", "seal", "crc", "revision", "created", "modified")
    with Store[Any](sound, key=KEY, clock=clock) as s:
        assert s["b"] == {"x": 2}
        for column in columns:
            sql(f"ALTER TABLE {{t}}.records ALTER {column} DROP NOT NULL")
            sql(f"UPDATE {{t}}.records SET {column} = NULL WHERE namespace = '' AND name = 'a'")
            for look in (
                lambda: s["a"], lambda: s.get_many(["a"]), lambda: list(s.items()), lambda: s | {}, lambda: s.record("a"),
                lambda: list(s.records()), s.stats, lambda: s.touch("a"), lambda: s.put("a", 1, if_version="1-x"),
            ):  # fmt: skip
                contained(look)
            assert s["b"] == {"x": 2}


@pytest.mark.parametrize("value", [b"", b"x" * 15, b"x" * 1_000_000])
def test_identity_of_another_length(sound: str, sql: SQL, value: bytes) -> None:
    sql("ALTER TABLE {t}.identity DROP CONSTRAINT identity_id_check")
    sql("UPDATE {t}.identity SET id = %s", value)
    with pytest.raises(NotAStore):
        Store(sound, key=KEY)


def test_identity_that_is_gone(sound: str, sql: SQL) -> None:
    """Never a new id: every record would be tampered for ever."""
    sql("DELETE FROM {t}.identity")
    for _ in range(2):
        with pytest.raises(StoreError, match="has lost its id"):
            Store(sound, key=KEY)


@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_sealers_that_are_none(sound: str, clock: Any, sql: SQL) -> None:
    sql("ALTER TABLE {t}.sealers DROP CONSTRAINT sealers_key_id_check")
    sql("INSERT INTO {t}.sealers SELECT decode(repeat(to_hex(n), n % 20), 'hex') FROM generate_series(16, 255) n ON CONFLICT DO NOTHING")
    with Store[Any](sound, key=KEY, clock=clock) as s:
        assert s["a"] == 1


def test_record_of_somebody_else_runs_nothing(sound: str, clock: Any, sql: SQL, tmp_path: Path) -> None:
    """A pickle that would run a program, with the seal of a key that is not ours."""
    witness = tmp_path / "ran"
    body = b"cos\nsystem\n(S'touch " + str(witness).encode() + b"'\ntR."
    with pytest.warns(UserWarning, match="sealed with a key"):
        theirs = Store[Any](sound, key=OTHER, clock=clock)
    with theirs:
        row = theirs.opened.values.pack("", "a", 5, clock(), None)
        sealed = theirs.opened.values.reseal(row._replace(body=body, protocol=0))
        theirs.opened.engine.add_sealer(sealed.seal[:8])
        theirs.opened.engine.put(sealed)
    with pytest.warns(UserWarning, match="sealed with a key"):
        s = Store[Any](sound, key=KEY, clock=clock)
    with s:
        for read in (lambda: s["a"], lambda: list(s.items()), lambda: s | {}, lambda: s.get_many(["a"])):
            with pytest.raises(RecordError):
                read()
    assert not witness.exists()
