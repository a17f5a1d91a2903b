"""A hostile database: what columns, rows, indexes and pages claim is checked as it is read."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store import ABSENT, Store
from store.engines.sqlite import statements as sql
from store.errors import Corrupt, NotAStore, RecordError, StoreError, Tampered
from store.rows.row import Row

pytestmark = pytest.mark.damaged

Plant = Callable[[Path, str], None]

KEY = b"the key of these tests"
SECONDS = 100
MEMORY_BYTES = 512 * 1024 * 1024


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


LOOSE = "UPDATE sqlite_schema SET sql = replace(replace(sql, ' STRICT', ''), ' NOT NULL', '') WHERE name = 'records'"
STRICT = "UPDATE sqlite_schema SET sql = (SELECT text FROM kept) WHERE name = 'records'"
VALUES = {"NULL": "NULL", "int": "17", "float": "1.5", "text": "'text'", "blob": "x'00'", "large": "zeroblob(100000)"}
WRONG = {  # column → values that STRICT would refuse, or turn into others
    **dict.fromkeys(("codec", "namespace", "name"), ("NULL", "int", "float", "blob")),
    **dict.fromkeys(("type", "python", "spill"), ("int", "float", "blob")),
    **dict.fromkeys(("protocol", "crc", "revision"), ("NULL", "float", "text", "blob", "large")),
    **dict.fromkeys(("body", "seal"), ("NULL", "int", "float", "text")),
    **dict.fromkeys(("created", "modified"), ("NULL", "text", "blob")),
    "expires": ("text", "blob"),
}


def force(plant: Plant, path: Path, statement: str) -> None:
    """Run it on `records` as on a table without types and constraints, and leave the schema as it was."""
    plant(path, "CREATE TABLE kept AS SELECT sql AS text FROM sqlite_schema WHERE name = 'records'")
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA writable_schema = ON")
        # Without its types too: the affinity of a column would turn an int into text.
        ((text,),) = conn.execute("SELECT text FROM kept")
        for word in ("STRICT", "NOT NULL", "TEXT", "BLOB", "REAL"):
            text = text.replace(f" {word}", "")
        for column in ("protocol", "crc", "revision"):
            text = text.replace(f"{column} INTEGER", column)
        conn.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'records'", (text,))
        conn.commit()
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute(statement).rowcount > 0
        conn.commit()
    plant(path, f"{STRICT}; DROP TABLE kept")


CASES = [(column, value) for column, values in WRONG.items() for value in values]
UNSEALED = ("type", "python", "crc", "revision", "created", "modified")  # decoding does not depend on them


@pytest.mark.parametrize("column, value", CASES, ids=[f"{column} {value}" for column, value in CASES])
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_column_of_another_type(sound: Path, clock: Any, column: str, value: str, plant: Plant) -> None:
    """STRICT binds those who write through SQLite; the schema here says STRICT, and the row holds what it likes."""
    force(plant, sound, f"UPDATE records SET {column} = {VALUES[value]} WHERE name = 'a'")
    before = digest(sound)
    for key, trust in ((KEY, "own"), (KEY, "all"), (b"another key, longer", "all")):
        with Store(sound, key=key, trust=trust, mode="r", clock=clock) as s:
            for read in (
                lambda: s["a"],
                lambda: dict(s.items())["a"],
                lambda: (s | {})["a"],
                lambda: s.get_many(["a"])["a"],
            ):
                if column in ("namespace", "name"):  # then it is not there, or the index says that it is
                    expect_contained(read)
                elif column in UNSEALED and key == KEY:  # the seal proves the value
                    assert read() == 1
                else:
                    with pytest.raises(Corrupt, match="record 'a': its columns do not hold"):
                        read()
            if column in UNSEALED:
                assert ("", "a") in s.verify(quick=True).corrupt
            for look in (lambda: s.record("a"), lambda: list(s.records()), s.stats, lambda: list(s), s.namespaces):
                expect_contained(look)
            assert "<table>" in s._repr_html_()  # which never raises
            assert (trust == "own" and key == KEY) or s["b"] == {"x": 2}
            if column in ("type", "python", "protocol", "revision", "created", "modified", "codec"):
                with pytest.raises(Corrupt, match="record 'a': its metadata is damaged"):
                    s.record("a")
    assert digest(sound) == before


@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_own_record_beside_one_of_others_needs_no_other_columns(sound: Path, clock: Any, plant: Plant) -> None:
    with Store(sound, key=b"another key, longer", clock=clock) as theirs:
        theirs["theirs"] = 3
    force(plant, sound, "UPDATE records SET created = 'never' WHERE name = 'a'")
    with Store(sound, key=KEY, mode="r", clock=clock) as s:
        assert s["a"] == 1
        assert s.get_many(["a", "theirs"]) == {"a": 1, "theirs": 3}
        assert dict(s.items())["a"] == (s | {})["a"] == 1


def expect_contained(call: Callable[[], Any]) -> None:
    try:
        call()
    except (RecordError, KeyError):
        pass


def test_damaged_revision_is_no_reason_to_write(sound: Path, clock: Any, plant: Plant) -> None:
    force(plant, sound, "UPDATE records SET revision = 'one' WHERE name = 'a'")
    with Store(sound, key=KEY, clock=clock) as s:
        with pytest.raises(Corrupt, match="record 'a'"):
            s.put("a", 2, if_version=ABSENT)
        with pytest.raises(Corrupt, match="record 'a'"):
            s.touch("a", 5)


def test_sealers_that_are_none(sound: Path, clock: Any, recwarn: pytest.WarningsRecorder, plant: Plant) -> None:
    plant(sound, "INSERT INTO sealers VALUES (x''), (x'00'), (zeroblob(1000000))")
    with Store(sound, key=KEY, clock=clock) as s:
        assert s["a"] == 1
    assert not recwarn.list


@pytest.mark.parametrize("value", ["x''", "zeroblob(15)", "zeroblob(1000000)"])
def test_identity_of_another_length(sound: Path, value: str, plant: Plant) -> None:
    plant(sound, f"UPDATE identity SET id = {value}")
    before = digest(sound)
    with pytest.raises(NotAStore, match="has no identity"):
        Store(sound, key=KEY)
    assert digest(sound) == before


# -- rows


def test_lifetime_that_was_planted(sound: Path, clock: Any, plant: Plant) -> None:
    """Records that are made to look expired are absent, but `purge` deletes no record of which that is not true."""
    plant(sound, "UPDATE records SET expires = 5.0 WHERE name IN ('a', 'b')")
    with Store(sound, key=KEY, clock=clock) as s:
        assert list(s) == ["short"]
        assert s.purge() == 0
        clock.advance(1000)
        assert s.purge() == 1
        s["c"] = 3
        s.update(d=4)
        assert s.purge() == 0
    plant(sound, "UPDATE records SET expires = NULL")
    with Store(sound, key=KEY, clock=clock) as s:
        assert dict(s) == {"a": 1, "b": {"x": 2}, "c": 3, "d": 4}


@pytest.mark.parametrize("trust", ["own", "data", "all"])
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_purge_leaves_what_another_key_sealed(sound: Path, clock: Any, trust: str) -> None:
    clock.advance(2000)
    with Store(sound, key=b"another key, longer", trust=trust, clock=clock) as s:
        s.put("mine", 1, ttl=10)
        clock.advance(10)
        assert s.purge() == 1
    with Store(sound, key=KEY, clock=clock) as s:
        assert s.purge() == 1


def test_purge_goes_on_past_what_it_leaves(sound: Path, clock: Any, plant: Plant) -> None:
    """More than a page of records whose seals do not hold, before and among those that are to go."""
    with Store(sound, key=KEY, ttl=500, clock=clock) as s:
        s.update({f"n{number}": number for number in range(1500)})
    plant(sound, "UPDATE records SET expires = 5.0 WHERE id % 2 AND name LIKE 'n%'")
    clock.advance(600)
    with Store(sound, key=KEY, clock=clock) as s:
        assert s.purge() == 750
        assert s.purge() == 0


def test_assignment_replaces_only_its_own_name(sound: Path, clock: Any, plant: Plant) -> None:
    plant(sound, "UPDATE records SET expires = 5.0 WHERE name IN ('a', 'b')")
    with Store(sound, key=KEY, clock=clock) as s:
        s.update([("a", "first"), ("a", "new"), ("c", 3)])
        assert [s[name] for name in s] == ["lived", "new", 3]
        with pytest.raises(Tampered, match="record 'b'"):
            s["b"]
    with closing(sqlite3.connect(sound)) as conn:
        assert conn.execute("SELECT count(*) FROM records WHERE name = 'b'").fetchone() == (1,)


SPILLS = ["'[]'", "''", "'../../etc/passwd'", "'[\"/etc/passwd\"]'", "'[[['", "char(0)", "hex(zeroblob(1000000))"]


@pytest.mark.parametrize("spill", SPILLS)
def test_spill_that_was_planted(sound: Path, clock: Any, spill: str, plant: Plant) -> None:
    """It is covered by the seal, names no file that is opened, and does not get in the way of an assignment."""
    plant(sound, f"UPDATE records SET spill = {spill} WHERE name IN ('a', 'b')")
    with Store(sound, key=KEY, trust="all", clock=clock) as s:
        with pytest.raises(Tampered):
            s["a"]
        assert s.record("a").size > 0
        s["a"] = "new"
        s.update(b="new", c="new")
        assert [s[name] for name in "abc"] == ["new"] * 3


# -- indexes and pages that lie


def test_name_that_is_there_twice(sound: Path, clock: Any, plant: Plant) -> None:
    """As made by a schema without the unique index for a moment. Neither of the two is taken for the other."""
    plant(
        sound,
        """
        CREATE TABLE kept AS SELECT * FROM sqlite_schema WHERE tbl_name = 'records';
        UPDATE sqlite_schema SET sql = replace(sql, ',\n    UNIQUE (namespace, name)', '') WHERE name = 'records';
        DELETE FROM sqlite_schema WHERE name = 'sqlite_autoindex_records_1';
        """,
    )
    plant(
        sound,
        "UPDATE records SET name = 'a' WHERE name = 'b';"
        "UPDATE sqlite_schema SET sql = (SELECT sql FROM kept WHERE name = 'records') WHERE name = 'records';"
        "INSERT INTO sqlite_schema SELECT * FROM kept WHERE name = 'sqlite_autoindex_records_1'; DROP TABLE kept",
    )
    before = digest(sound)
    with Store(sound, key=KEY, mode="r", clock=clock) as s:
        assert s["a"] == 1
        assert s["b"] == {"x": 2}  # by the index, and that is the name it was sealed under
        with pytest.raises(Tampered, match="record 'a'"):
            dict(s.items())
        assert s["short"] == "lived"
    assert digest(sound) == before
    with Store(sound, key=KEY, clock=clock) as s:
        s["a"] = "new"
        assert s["a"] == "new"


def swap_roots(plant: Plant, path: Path, one: str, other: str) -> None:
    plant(
        path,
        f"""
        CREATE TEMP TABLE roots AS SELECT name, rootpage FROM sqlite_schema;
        UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM roots WHERE name = '{other}') WHERE name = '{one}';
        UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM roots WHERE name = '{one}') WHERE name = '{other}';
        """,
    )


INDEXES = ["sqlite_autoindex_records_1", "records_by_namespace", "records_by_expiry", "sqlite_autoindex_sealers_1"]


@pytest.mark.parametrize("other", [*INDEXES, "sealers", "records", "identity", "garbage"])
@pytest.mark.parametrize("one", INDEXES)
def test_index_on_pages_of_something_else(sound: Path, clock: Any, one: str, other: str, plant: Plant) -> None:
    """No value comes out under a name that it was not stored under, and nothing runs for ever."""
    swap_roots(plant, sound, one, other)
    before = digest(sound)
    stored = {"a": 1, "b": {"x": 2}, "short": "lived"}
    try:
        s = Store[Any](sound, key=KEY, mode="r", clock=clock)
    except StoreError:
        return
    with s:
        reads = [lambda n=n: {n: s[n]} for n in stored]
        reads += [lambda: dict(s.items()), lambda: dict(reversed(s.items())), lambda: s.get_many(list(stored))]
        for read in reads:
            try:
                assert read().items() <= stored.items()
            except (StoreError, KeyError):
                pass
        for look in (s.stats, s.namespaces, s.names, s.__len__, lambda: list(s.records()), lambda: list(s)):
            try:
                look()
            except StoreError:
                pass
    assert digest(sound) == before


def test_index_entries_that_lead_to_another_record(sound: Path, clock: Any, plant: Plant) -> None:
    """The unique index says where `a` is, and there `b` lies, soundly sealed: it is not given for `a`."""
    plant(sound, "CREATE TABLE kept AS SELECT * FROM sqlite_schema WHERE name = 'records'")
    with closing(sqlite3.connect(sound)) as conn:
        ids = dict(conn.execute("SELECT name, id FROM records"))
        conn.execute("PRAGMA writable_schema = ON")
        # A table whose primary key is what the index holds, upon the pages of the index.
        conn.execute(
            "CREATE TABLE entries (namespace TEXT, name TEXT, id INTEGER, PRIMARY KEY (namespace, name, id)) "
            "WITHOUT ROWID"
        )
        conn.execute(
            "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema "
            "WHERE name = 'sqlite_autoindex_records_1') WHERE name = 'entries'"
        )
        conn.commit()
    with closing(sqlite3.connect(sound)) as conn:
        conn.execute("PRAGMA writable_schema = ON")
        conn.execute("DELETE FROM entries WHERE name IN ('a', 'b')")
        conn.executemany("INSERT INTO entries VALUES ('', ?, ?)", [("a", ids["b"]), ("b", ids["a"])])
        conn.execute("DELETE FROM sqlite_schema WHERE name = 'entries'")
        conn.commit()
    with Store(sound, key=KEY, mode="r", clock=clock) as s:
        for read in (lambda: s["a"], lambda: s.get("b"), lambda: s.get_many(["a"])):
            with pytest.raises((Corrupt, Tampered)):
                read()
        assert s["short"] == "lived"


# -- sizes that are claimed


READ_ALL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
from store import Store
from store.errors import StoreError
with Store(sys.argv[1], key=b"the key of these tests", trust="all", mode="r") as s:
    reads = [lambda: s["a"], lambda: dict(s.items()), lambda: s.get_many(["a"]), lambda: list(s.records()), s.stats]
    for read in reads:
        try:
            read()
            print("read")
        except StoreError as exc:
            print(type(exc).__name__)
"""


def in_a_small_process(path: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL.format(memory=MEMORY_BYTES), str(path)],
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


def varint(number: int) -> bytes:
    parts = [number & 127]
    while number := number >> 7:
        parts.append(number & 127 | 128)
    return bytes(reversed(parts))


PAGE = 4096
LEAST_LOCAL = (PAGE - 12) * 32 // 255 - 23  # https://www.sqlite.org/fileformat2.html, section 1.6
MOST_LOCAL = PAGE - 35


def claim(path: Path, size: int) -> None:
    """Rewrite the one row, whose body begins on its page and goes on on others, so that its body claims `size`."""
    content = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as conn:
        ((honest,),) = conn.execute("SELECT length(body) FROM records").fetchall()
        ((root,),) = conn.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'records'").fetchall()
    page = PAGE * (root - 1)
    start = page + int.from_bytes(content[page + 8 : page + 10], "big")  # of its one cell
    payload, row_id, header = content[start : start + 3], content[start + 3 : start + 4], content[start + 4]
    length = (payload[0] & 127) << 14 | (payload[1] & 127) << 7 | payload[2]
    rest = LEAST_LOCAL + (length - LEAST_LOCAL) % (PAGE - 4)
    local = rest if rest <= MOST_LOCAL else LEAST_LOCAL
    head = content[start + 4 : start + 4 + header]
    lie = head.replace(varint(2 * honest + 12), varint(2 * size + 12))
    assert len(lie) == len(head) + 2
    lie[0] += 2
    body = content[start + 4 + header : start + 4 + local - 2]
    overflow = content[start + 4 + local : start + 8 + local]
    cell = varint(length + 2 + size - honest) + row_id + lie + body + overflow
    content[start - 2 : start - 2 + len(cell)] = cell
    content[page + 5 : page + 7] = content[page + 8 : page + 10] = (start - 2 - page).to_bytes(2, "big")
    path.write_bytes(content)


def test_body_that_claims_900_megabytes(path: Path) -> None:
    """SQLite takes its word; what comes after it in the row is nowhere in the file."""
    with Store(path, key=KEY) as s:
        s["a"] = b"x" * 20_000
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        ((honest,),) = conn.execute("SELECT length(body) FROM records").fetchall()
    grown = 900_000_000 // (PAGE - 4) * (PAGE - 4) - 2  # so that as much of the row stays on its page
    claim(path, honest + grown)
    before = digest(path)
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("SELECT name, length(body) FROM records").fetchall() == [("a", honest + grown)]
    assert in_a_small_process(path) == ["Corrupt"] * 5
    assert digest(path) == before


def test_every_row_is_a_row_of_the_statements() -> None:
    """The order of `Row` is that of the columns: types are checked by it."""
    assert tuple(sql._COLUMNS.split(", ")) == Row._fields
