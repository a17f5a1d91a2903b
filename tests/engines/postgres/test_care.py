"""Maintenance on PostgreSQL: what is damaged is named, and a backup is a file that every engine restores."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from postgres_tables import chunk_count, execute, files, make_old, small_parts

import store
from store import Store
from store.engines.postgres import care as postgres_care
from store.errors import (
    Corrupt,
    RecordError,
    StorageError,
    StoreError,
    StoreNotFound,
    Tampered,
    Unsupported,
)  # fmt: skip

BIG, OTHER = b"big" * 1000, b"other" * 1000
OLD = {"a": 1, "gone": 2, "big": BIG, "kept": OTHER}
NEW = {"a": 3, "big": OTHER, "late": BIG, "kept": OTHER}


@pytest.fixture
def s(postgres_url: str) -> Iterator[Store[Any]]:
    with small_parts(postgres_url) as opened:
        yield opened


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "backup.db"


@pytest.fixture
def backup(s: Store[Any], target: Path) -> Path:
    """Of the store when it held OLD; by now it holds NEW."""
    s.update(OLD)
    s.backup(target)
    s.update({name: value for name, value in NEW.items() if name != "kept"})
    del s["gone"]
    return target


# -- verify


def test_sound_store(s: Store[Any]) -> None:
    s.update(OLD)
    with s.within("more") as more:
        more["x"] = 1
        more.put("short", 1, ttl=1000)
    found = s.verify()
    assert found.ok and (found.sealed, found.unread, found.orphans) == (6, 0, [])


@pytest.mark.damaged
def test_verdicts_by_name(s: Store[Any], postgres_url: str) -> None:
    with small_parts(postgres_url, key=b"the key of somebody else") as theirs:
        theirs["foreign"] = 1
    s.update({"own": 1, "tampered": 1, "corrupt": 1})
    execute(postgres_url, "UPDATE {records} SET body = 'x' WHERE name = 'tampered'")
    execute(postgres_url, "UPDATE {records} SET body = 'x', seal = '' WHERE name = 'corrupt'")
    found = s.verify()
    names = {verdict: [name for _, name in getattr(found, verdict)] for verdict in ("tampered", "corrupt", "foreign")}
    assert (names, found.sealed) == ({"tampered": ["tampered"], "corrupt": ["corrupt"], "foreign": ["foreign"]}, 1)


BREAK_PAGE = """
CREATE FUNCTION {schema}.broken(name text, body bytea) RETURNS bytea STABLE LANGUAGE plpgsql AS $$
BEGIN
    IF name = 'n3' THEN
        RAISE EXCEPTION 'invalid page in block 7 of relation base/1/2' USING ERRCODE = 'XX001';
    END IF;
    RETURN body;
END $$;
ALTER TABLE {records} RENAME TO sound;
CREATE VIEW {records} AS SELECT id, namespace, name, codec, protocol, type, python,
    {schema}.broken(name, body) AS body, spill, seal, crc, revision, created, modified, expires FROM {schema}.sound;
"""


@pytest.mark.damaged
def test_records_behind_a_page_that_cannot_be_read_are_checked_and_named(s: Store[Any], postgres_url: str) -> None:
    """The view raises what the server does for a page whose checksum does not match."""
    s.update({f"n{number}": number for number in range(6)})
    handle = s.opened.engine.handle
    handle.one("SELECT set_config(name, '', false) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'", ())
    schema = handle.sessions.location.schema
    for statement in split(BREAK_PAGE.replace("{schema}", schema)):
        execute(postgres_url, statement)
    found = s.verify()
    assert found.corrupt == [("", "n3")] and found.sealed == 5
    assert any("invalid page in block 7" in problem for problem in found.damage) and found.unfound == []


def split(text: str) -> list[str]:
    """The statements of a text with one function in it."""
    function, _, rest = text.partition("END $$;")
    return [f"{function}END $$", *filter(str.strip, rest.split(";"))]


@pytest.mark.damaged
def test_index_that_lacks_rows_is_damage_where_the_server_can_compare_it(s: Store[Any], postgres_url: str) -> None:
    """An index on a function that has changed since lacks its rows, as a damaged one does."""
    execute(postgres_url, "CREATE EXTENSION amcheck SCHEMA public")
    schema = s.opened.engine.handle.sessions.location.schema
    function = f"CREATE OR REPLACE FUNCTION {schema}.f(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS "
    try:
        s.update({"a": 1, "b": 2})
        execute(postgres_url, f"{function} $$ BEGIN RETURN $1; END $$")
        execute(postgres_url, f"CREATE INDEX changed ON {{records}} ({schema}.f(name))")
        assert s.verify().ok
        execute(postgres_url, f"{function} $$ BEGIN RETURN $1 || 'x'; END $$")
        assert s.verify(quick=True).ok
        found = s.verify()
    finally:
        execute(postgres_url, "DROP EXTENSION amcheck")
    assert len(found.damage) == 1 and "lacks matching index tuple" in found.damage[0] and not found.ok
    assert (found.sealed, found.unfound) == (2, [])


@pytest.mark.damaged
def test_rows_that_the_index_of_names_does_not_lead_to(s: Store[Any], postgres_url: str) -> None:
    """A row that is in the table only: its entry in the index is that of a partial one."""
    s.update({"a": 1, "lost": 2})
    care = s.opened.engine.care
    assert list(care.unfound([])) == []
    listed = care._listed
    care._listed = lambda *, by_index: [row for row in listed(by_index=by_index) if not by_index or row[2] != "lost"]
    assert list(care.unfound([])) == []  # it is found by name all the same: it was written since the walk
    care._find = lambda namespace, name: None
    assert list(care.unfound([])) == [("", "lost")]


# -- compact


def test_compact_tells_its_steps_and_frees_space(
    s: Store[Any], monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    monkeypatch.setattr(postgres_care, "STEP_PARTS", 2)
    for number in range(5):
        s.opened.pack(f"n{number}", BIG, None)
    make_old(postgres_url)
    told: list[tuple[int, int]] = []
    done = s.compact(progress=lambda *step: told.append(step))
    assert (done.orphans, chunk_count(postgres_url)) == (5, 0)
    assert [done for done, _ in told] == sorted(done for done, _ in told) and told[-1][0] == told[-1][1] > 5


def test_compact_gives_the_space_of_deleted_records_back(s: Store[Any]) -> None:
    s.update({f"n{number}": bytes([number % 256]) * 900 for number in range(3000)})
    s.clear()
    assert s.compact().database_bytes > 1_000_000


def test_refused_inside_a_transaction(s: Store[Any], target: Path) -> None:
    with s.transaction():
        for call in (s.compact, lambda: s.backup(target)):
            with pytest.raises(StoreError, match=r"inside its transaction; leave the block first"):
                call()


# -- backup


def test_backup_is_a_file_with_all_of_it(s: Store[Any], target: Path) -> None:
    s.update(OLD)
    s.put("short", 1, ttl=1000)
    with s.within("x") as x:
        x["a"] = [2]
    told: list[tuple[int, int]] = []
    made = s.backup(target, progress=lambda *step: told.append(step))
    assert (made.records, made.files) == (6, 2) and told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    records = list(s.records())
    with Store[Any](target, trust="own") as b:
        assert [record.name for record in b.records()] == [record.name for record in records]
        assert [record.version for record in b.records()] == [record.version for record in records]
        assert dict(b) == {**OLD, "short": 1} and b.verify().ok
        with b.within("x") as x:
            assert dict(x) == {"a": [2]}
    assert s.backup(target).records == 6  # over the older one


def test_backup_is_as_of_one_moment(
    s: Store[Any], postgres_url: str, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from store.engines.postgres import snapshot

    monkeypatch.setattr(snapshot, "PAGE_ROWS", 2)
    s.update({**{f"n{number}": 0 for number in range(6)}, "big": BIG})
    changed: list[int] = []

    def change(done: int, total: int) -> None:
        if not changed:
            changed.append(done)
            execute(postgres_url, "DELETE FROM {records} WHERE name IN ('n5', 'big')")
            execute(postgres_url, "UPDATE {records} SET body = 'x'")
            execute(postgres_url, "VACUUM {chunks}")

    s.backup(target, progress=change)
    with Store[Any](target, trust="own") as b:
        assert dict(b) == {**{f"n{number}": 0 for number in range(6)}, "big": BIG}


@pytest.mark.damaged
@pytest.mark.parametrize(
    "statement, error",
    [
        ("UPDATE {records} SET body = body || 'x' WHERE name = 'a'", Tampered),
        ("UPDATE {chunks} SET data = set_byte(data, 5, 7)", Corrupt),
        ("DELETE FROM {parts}", Corrupt),
        ("UPDATE {records} SET spill = '[]' WHERE name = 'big'", Corrupt),
    ],
)
def test_damaged_store_is_not_backed_up(
    s: Store[Any], postgres_url: str, target: Path, statement: str, error: type[RecordError]
) -> None:
    s.update({"a": 1, "big": BIG})
    execute(postgres_url, statement)
    with pytest.raises(error) as caught:
        s.backup(target)
    assert caught.value.name == ("a" if error is Tampered else "big")
    assert list(target.parent.iterdir()) == []


def test_progress_that_raises_ends_it(s: Store[Any], target: Path) -> None:
    s.update(OLD)

    def stop(done: int, total: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        s.backup(target, progress=stop)
    assert list(target.parent.iterdir()) == [] and dict(s) == OLD


def test_place_of_another_store_is_refused(s: Store[Any], target: Path) -> None:
    with Store[int](target) as other:
        other["a"] = 1
    with pytest.raises(StorageError, match="is another store, or a backup of another"):
        s.backup(target)
    with pytest.raises(ValueError, match="a backup is a file"):
        s.backup(s.location)


# -- restore


def test_restored_over_the_same_store(s: Store[Any], backup: Path, postgres_url: str) -> None:
    with s.within("later") as later:
        later["x"] = BIG
    told: list[tuple[int, int]] = []
    made = store.restore(backup, postgres_url, progress=lambda *step: told.append(step))
    assert (made.records, made.files, made.replaced) == (4, 2, True)
    assert told[0][0] == 0 and told[-1] == (made.bytes, made.bytes)
    assert dict(s) == OLD and s.verify().ok and s.namespaces() == [""]
    assert len(files(postgres_url)) == chunk_count(postgres_url) == 2
    s["a"] = 9
    assert list(s) == list(OLD)


def test_restored_as_a_new_store_keeps_every_record(s: Store[Any], backup: Path, postgres_url: str) -> None:
    with Store[Any](backup) as b:
        records, seals = list(b.records()), [row.seal for row in rows(b)]
    new = f"{postgres_url}&prefix=new_"
    assert not store.restore(backup, new).replaced
    with Store[Any](new, trust="own") as n:
        assert dict(n) == OLD and [row.seal for row in rows(n)] == seals and n.verify().ok
        assert [record.version for record in n.records()] == [record.version for record in records]
    assert dict(s) == NEW


def rows(s: Store[Any]) -> list[Any]:
    from store.engines.contract import every_row

    return list(every_row(s.opened.engine))


def test_backup_of_a_file_is_restored_to_a_server_and_back(postgres_url: str, path: Path, target: Path) -> None:
    with Store[Any](path, spill_bytes=1000) as f:
        f.update(OLD)
        f.backup(target)
    store.restore(target, postgres_url)
    with small_parts(postgres_url) as s:
        assert dict(s) == OLD
        s["more"] = 1
        s.backup(target)
    store.restore(target, path)
    with Store[Any](path) as f:
        assert dict(f) == {**OLD, "more": 1} and f.verify().ok


def test_another_store_is_not_restored_over(s: Store[Any], backup: Path, postgres_url: str) -> None:
    other = f"{postgres_url}&prefix=other_"
    with Store[Any](other) as o:
        o["mine"] = 1
    with pytest.raises(StorageError, match="is another store"):
        store.restore(backup, other)
    with Store[Any](other) as o:
        assert dict(o) == {"mine": 1}


def test_where_there_is_no_backup(postgres_url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match=r"there is no backup at .*none\.db") as caught:
        store.restore(tmp_path / "none.db", postgres_url)
    assert caught.value.errno == errno.ENOENT
    with pytest.raises(StoreNotFound):
        Store[int](postgres_url, mode="r")
    with pytest.raises(ValueError, match="a backup is a file"):
        store.restore(postgres_url, tmp_path / "new.db")


@pytest.mark.damaged
def test_damaged_backup_changes_nothing(s: Store[Any], backup: Path, postgres_url: str) -> None:
    for file in backup.with_name("backup.db-spill").iterdir():
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    before = files(postgres_url)
    with pytest.raises(Corrupt, match="is damaged, and nothing was restored"):
        store.restore(backup, postgres_url)
    assert dict(s) == NEW and files(postgres_url) == before
    with pytest.raises(Corrupt):
        store.restore(backup, f"{postgres_url}&prefix=new_")
    with pytest.raises(StoreNotFound):
        Store[int](f"{postgres_url}&prefix=new_", mode="r")


def test_restore_that_is_stopped_changes_nothing(s: Store[Any], backup: Path, postgres_url: str) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            raise ZeroDivisionError

    before = files(postgres_url)
    with pytest.raises(ZeroDivisionError):
        store.restore(backup, postgres_url, progress=stop)
    assert dict(s) == NEW and files(postgres_url) == before


def test_password_is_in_no_result(backup: Path, postgres_url: str) -> None:
    made = store.restore(backup, postgres_url.replace("postgres@", "postgres:secret@"))
    assert "secret" not in repr(made) and made.path == postgres_url


def test_recover_says_what_to_do_instead(postgres_url: str, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"repairs its own files.*store verify.*store\.restore") as caught:
        store.recover(postgres_url, tmp_path / "new.db")
    assert (caught.value.engine, caught.value.feature) == ("postgresql", "recover")
