"""`backup`: what is in it, what may be at its place, and what is left where it does not come to its end."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from spilling import BIG, OTHER, files, folder_of, only_file, small_spill

from store import Store
from store.engines.sqlite.care import backup as sqlite_backup
from store.engines.sqlite.care import copy as sqlite_copy
from store.errors import (
    Corrupt,
    LockTimeout,
    NotAStore,
    ReadOnly,
    StorageError,
    StoreError,
    StoreNotFound,
    Tampered,
)  # fmt: skip

CROWD = {f"record {i}": os.urandom(900) for i in range(200)}  # some steps of the copy


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_copy, "STEP_PAGES", 16)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "backup.db"


@pytest.fixture
def filled(path: Path) -> Path:
    with small_spill(path) as s:
        s.update({"a": 1, "big": BIG})
        s.put("short", 1, ttl=1000)
        with s.within("x") as x:
            x["a"] = [2]
    return path


def state(folder: Path) -> dict[str, bytes]:
    files = [file for file in folder.rglob("*") if file.is_file() and not file.name.endswith("-shm")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def beside(target: Path) -> list[str]:
    """What begins with the target's name, less its files of large values."""
    return sorted(name for name in os.listdir(target.parent) if name.startswith(target.name))


def content(path: Path) -> dict[str, Any]:
    with Store[Any](path, mode="r", trust="own") as s:
        return dict(s)


class TestContent:
    def test_is_a_store_with_all_of_the_other(self, filled: Path, target: Path) -> None:
        with small_spill(filled) as s:
            made = s.backup(target)
            records = list(s.records())
        size = target.stat().st_size + only_file(target).stat().st_size
        assert (made.path, made.records, made.files, made.bytes) == (str(target), 4, 1, size)
        with Store[Any](target, trust="own") as b:
            assert list(b.records()) == records
            assert dict(b) == {"a": 1, "big": BIG, "short": 1}
            with b.within("x") as x:
                assert dict(x) == {"a": [2]}
            assert b.verify().ok
            b["new"] = 1

    def test_is_one_file_and_stays_one_when_it_is_read(self, filled: Path, target: Path) -> None:
        with small_spill(filled) as s:
            s["big"] = OTHER  # so that there is garbage
            s.backup(target)
            assert beside(target) == ["backup.db", "backup.db-spill"]
        assert content(target)["a"] == 1
        assert beside(target) == ["backup.db", "backup.db-spill"]
        with closing(sqlite3.connect(target)) as conn:
            assert conn.execute("PRAGMA journal_mode").fetchone() == ("delete",)
            assert conn.execute("SELECT count(*) FROM garbage").fetchone() == (0,)

    def test_of_a_store_in_memory(self, target: Path) -> None:
        told: list[tuple[int, int]] = []
        with Store[int](":memory:") as s:
            s["a"] = 1

            def progress(done: int, total: int) -> None:
                told.append((done, total))
                s["during"] = len(told)

            s.backup(target, progress=progress)
        assert content(target) == {"a": 1}
        assert told == [(0, target.stat().st_size), (target.stat().st_size, target.stat().st_size)]
        assert target.stat().st_mode & 0o777 == 0o600

    def test_of_a_store_opened_for_reading(self, filled: Path, target: Path) -> None:
        with Store[Any](filled, mode="r") as s:
            s.backup(target)
        assert content(target)["big"] == BIG

    def test_has_what_is_written_back(self, place: str, target: Path) -> None:
        with Store[Any](place, writeback=True) as s:
            s["list"] = [1]
            s["list"].append(2)
            s.backup(target)
        assert content(target) == {"list": [1, 2]}

    def test_has_the_rights_of_the_store(self, filled: Path, target: Path) -> None:
        filled.chmod(0o640)
        before = os.umask(0)
        try:
            with Store[Any](filled) as s:
                s.backup(target)
        finally:
            os.umask(before)
        places = target, folder_of(target), only_file(target)
        assert [place.stat().st_mode & 0o777 for place in places] == [0o640, 0o750, 0o640]


class TestOneMoment:
    """Whatever is written while it is made."""

    def test_writes_compaction_and_deletion_do_not_reach_it(self, path: Path, target: Path) -> None:
        with small_spill(path) as s:
            s.update({**CROWD, "one": BIG, "two": OTHER, "three": BIG})
            before = dict(s)
            left = []

            def progress(done: int, total: int) -> None:
                s.pop("one", None)
                s["two"] = b"new" * 1000
                s["record 7"] = s["late"] = done
                left.append(s.compact().files_left)

            s.backup(target, progress=progress)
            assert left[0] == 2 and len(left) > 5 and left == sorted(left)
            assert s.compact().files_left == 0
        assert content(target) == before

    @pytest.mark.slow
    def test_another_process_writes_and_compacts(self, start: Any, path: Path, target: Path) -> None:
        with small_spill(path) as s:
            s.update({**CROWD, "big": BIG})
            before = dict(s)
            other = start(
                """
                import sys
                from store import Store
                with Store(sys.argv[1], spill_bytes=1000) as s:
                    while input() == "go":
                        s["big"] = b"other" * 1000
                        s["record 7"] = 7
                        print(s.compact().files_left)
                """,
                path,
            )
            left = []

            def progress(done: int, total: int) -> None:
                other.say("go")
                left.append(int(other.hear()))

            s.backup(target, progress=progress)
            other.say("end")
            assert len(left) > 2 and left[0] == 1 and left[-1] > 0
            assert s["record 7"] == 7
        assert content(target) == before

    def test_progress_goes_from_nothing_to_all(self, path: Path, target: Path) -> None:
        told: list[tuple[int, int]] = []
        with small_spill(path) as s:
            s.update({**CROWD, "big": BIG})
            s.backup(target, progress=lambda done, total: told.append((done, total)))
        done, totals = zip(*told, strict=True)
        assert done[0] == 0 and list(done) == sorted(done) and {done[-1]} == set(totals) and len(done) > 3

    def test_store_closed_meanwhile(self, filled: Path, target: Path) -> None:
        s = small_spill(filled)
        s.backup(target, progress=lambda done, total: s.close())
        assert content(target)["big"] == BIG

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_process_forked_meanwhile(self, path: Path, target: Path) -> None:
        with small_spill(path) as s:
            s.update({**CROWD, "big": BIG})
            before = dict(s)

            def progress(done: int, total: int) -> None:
                if not done:
                    pid = os.fork()
                    if not pid:
                        os._exit(0)
                    os.waitpid(pid, 0)
                s["big"] = done
                s.compact()

            s.backup(target, progress=progress)
        assert content(target) == before


class TestBackupBefore:
    """One that is at the place already is replaced by the whole new one, or stays."""

    def test_is_replaced_with_its_files(self, filled: Path, target: Path) -> None:
        with small_spill(filled) as s:
            s["kept"] = OTHER
            s.backup(target)
            kept = {file: (folder_of(target) / file).stat().st_ino for file in files(target)}
            s["big"] = OTHER
            s["a"] = 2
            s.backup(target)
            assert content(target) == dict(s)
            now = {file: (folder_of(target) / file).stat().st_ino for file in files(target)}
        assert len(now) == 2 and len(now.items() & kept.items()) == 1

    def test_is_replaced_although_it_was_used_as_a_store(self, filled: Path, target: Path) -> None:
        with Store[Any](filled) as s:
            s.backup(target)
            with Store[Any](target) as b:
                b["b"] = 2
            s.backup(target)
            assert beside(target) == ["backup.db", "backup.db-spill"]
            assert content(target) == dict(s)

    @pytest.mark.parametrize("what", ["file", "link", "folder"])
    def test_damaged_file_of_it_is_replaced(self, filled: Path, target: Path, what: str) -> None:
        with Store[Any](filled) as s:
            s.backup(target)
            file = only_file(target)
            if what == "file":
                file.write_bytes(b"x" * file.stat().st_size)
            else:
                file.unlink()
                file.symlink_to(only_file(filled)) if what == "link" else folder_of(target).rmdir()
            s.backup(target)
        assert content(target)["big"] == BIG and not only_file(target).is_symlink()

    def test_stays_where_progress_raises_at_any_time(self, path: Path, target: Path) -> None:
        with small_spill(path) as s:
            s.update({**CROWD, "big": BIG})
            s.backup(target)
            s.update({**CROWD, "big": OTHER, "more": OTHER})
            before, calls = state(target.parent), 0
            while True:
                calls += 1
                left = [calls]

                def progress(done: int, total: int, left: list[int] = left) -> None:
                    left[0] -= 1
                    if not left[0]:
                        raise KeyError("enough")

                try:
                    s.backup(target, progress=progress)
                except KeyError as exc:
                    assert exc.args == ("enough",)
                    assert state(target.parent) == before
                else:
                    break
            assert calls > 5
            assert content(target) == dict(s)

    @pytest.mark.parametrize("error", [OSError(28, "of the caller"), sqlite3.OperationalError("of the caller"), Corrupt("x")])
    def test_error_of_the_caller_passes_as_it_is(self, filled: Path, target: Path, error: Exception) -> None:
        """Also one that our own code would take for one of a file."""
        with small_spill(filled) as s:
            for first in (True, False):

                def progress(done: int, total: int, first: bool = first) -> None:
                    if first or done == total:
                        raise error

                with pytest.raises(type(error)) as caught:
                    s.backup(target, progress=progress)
                assert caught.value is error
        assert not target.exists()

    @pytest.mark.parametrize("error", [OSError(errno.EIO, "on fire"), sqlite3.OperationalError("on fire")])
    @pytest.mark.parametrize("module, name", [
        (sqlite_copy, "apart"), (sqlite_copy, "give_rights"), (sqlite_copy, "sync_closed"), (sqlite_copy, "_remove"),
        (sqlite_backup, "apart"),
    ])  # fmt: skip
    def test_stays_where_the_system_fails(
        self, filled: Path, target: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, error: Exception
    ) -> None:
        def fail(*_: Any) -> None:
            raise error

        with small_spill(filled) as s:
            s.backup(target)
            s["big"] = OTHER
            before = state(target.parent)
            monkeypatch.setattr(module, name, fail)
            with pytest.raises(StorageError, match="on fire") as caught:
                s.backup(target)
            assert str(caught.value.path).startswith(str(target))
            monkeypatch.undo()
            if name != "_remove":
                assert state(target.parent) == before
            s.backup(target)
            assert content(target) == dict(s) and beside(target) == ["backup.db", "backup.db-spill"]

    @pytest.mark.damaged
    def test_that_fails_leaves_nothing_where_there_was_none(self, filled: Path, target: Path) -> None:
        with small_spill(filled) as s:
            s["other"] = OTHER
            file = folder_of(filled) / files(filled)[-1]
            file.unlink()
            with pytest.raises(Corrupt, match=r"record 'other': its file .* is missing"):
                s.backup(target)
            assert beside(target) == []

    def test_that_fails_leaves_a_folder_that_was_there(
        self, filled: Path, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> None:
            raise OSError(errno.EIO, "on fire")

        folder_of(target).mkdir()
        monkeypatch.setattr(sqlite_backup, "_rename", fail)
        with small_spill(filled) as s, pytest.raises(StorageError, match="on fire"):
            s.backup(target)
        assert beside(target) == ["backup.db-spill"] and files(target) == []

    @pytest.mark.damaged
    @pytest.mark.parametrize("damage", ["gone", "altered", "short"])
    def test_stays_where_a_file_is_damaged(self, filled: Path, target: Path, damage: str) -> None:
        with small_spill(filled) as s:
            s.backup(target)
            s["other"] = OTHER
            file = folder_of(filled) / files(filled)[-1]
            whole = file.read_bytes()
            file.unlink() if damage == "gone" else file.write_bytes(
                whole[:-1] + (b"" if damage == "short" else bytes([whole[-1] ^ 1]))
            )
            before = state(target.parent)
            with pytest.raises(Corrupt, match=r"record 'other': its file .* is ") as caught:
                s.backup(target)
            assert (caught.value.name, caught.value.file) == ("other", str(file))
            assert state(target.parent) == before

    @pytest.mark.damaged
    @pytest.mark.parametrize("column, error", [("body", Tampered), ("seal", Corrupt), ("spill", Corrupt)])
    def test_stays_where_a_record_is_damaged(self, filled: Path, target: Path, column: str, error: Any) -> None:
        with small_spill(filled) as s:
            s.backup(target)
            with closing(sqlite3.connect(filled)) as conn, conn:
                value = {"body": b"x", "seal": b"x", "spill": "[]"}[column]
                conn.execute(f"UPDATE records SET {column} = ? WHERE name = 'a' AND namespace = 'x'", (value,))
            before = target.read_bytes()
            with pytest.raises(error, match="record 'a' in namespace 'x': ") as caught:
                s.backup(target)
            assert (caught.value.name, caught.value.namespace) == ("a", "x")
            assert target.read_bytes() == before and len(beside(target)) == 2

    @pytest.mark.damaged
    def test_stays_where_an_index_is_damaged(self, filled: Path, target: Path) -> None:
        with Store[Any](filled) as s:
            s.backup(target)
            with closing(sqlite3.connect(filled)) as conn, conn:
                conn.execute("PRAGMA writable_schema = ON")
                conn.execute("UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = "
                             "'sqlite_autoindex_sealers_1') WHERE name = 'sqlite_autoindex_garbage_1'")  # fmt: skip
            before = target.read_bytes()
        with Store[Any](filled) as s, pytest.raises(Corrupt, match=r"app\.db is damaged .*`store recover`"):
            s.backup(target)
        assert target.read_bytes() == before and len(beside(target)) == 2

    @pytest.mark.parametrize("limit", [2_000, 20_000])
    def test_stays_where_there_is_no_room(self, path: Path, target: Path, limit: int) -> None:
        """In a fork that may write no longer files than that: first in a large value, then in the database."""
        with small_spill(path) as s:
            s["a"] = 1
            s.backup(target)
            s.update({"big": BIG, **dict(list(CROWD.items())[:50])})
        before = state(target.parent)
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            code = 1
            try:
                with Store[Any](path, mode="r") as s:
                    s.stats()
                    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
                    try:
                        s.backup(target)
                    except StorageError as exc:
                        code = 0 if str(exc.path).startswith(str(target)) else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        after = state(target.parent)
        assert {name for name in after.keys() - before if not name.startswith("app.db")} == set()
        assert after["backup.db"] == before["backup.db"]

    def test_is_replaced_although_the_directory_cannot_be_synced(
        self, filled: Path, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is in its place then, and stays whole."""

        def fail(folder: str) -> None:
            if not target.with_name(f"{target.name}-partial").exists():  # it was renamed
                raise OSError(errno.EIO, "the disk is on fire")

        with small_spill(filled) as s:
            s.backup(target)
            s["other"] = OTHER
            monkeypatch.setattr(sqlite_backup, "sync_folder", fail)
            with pytest.raises(StorageError, match="the disk is on fire"):
                s.backup(target)
            monkeypatch.undo()
            assert content(target) == dict(s)

    def test_leftovers_of_a_killed_one_go(self, filled: Path, target: Path) -> None:
        with Store[Any](filled) as s:
            s.backup(target)
            for name in ("-partial", "-partial-journal", "-partial.lock"):
                target.with_name(target.name + name).write_bytes(b"left")
            orphan = folder_of(target) / ("0" * 32 + "-" + "0" * 32)
            orphan.write_bytes(b"left")
            s.backup(target)
        assert beside(target) == ["backup.db", "backup.db-spill"] and len(files(target)) == 1

    @pytest.mark.slow
    def test_log_that_a_killed_user_left_goes_with_it(self, start: Any, filled: Path, target: Path) -> None:
        """In the place of the database it belongs to, it would be taken for the log of the new one."""
        with Store[Any](filled) as s:
            s.backup(target)
            user = start(
                """
                import sys
                from store import Store
                s = Store(sys.argv[1])
                s.update({str(i): "of the backup" for i in range(100)})
                print("written", flush=True)
                input()
                """,
                target,
            )
            assert user.hear() == "written"
            with pytest.raises(LockTimeout, match="is in use by another program; close it there"):
                s.backup(target)
            user.kill()
            assert target.with_name("backup.db-wal").stat().st_size > 0
            s.backup(target)
            assert beside(target) == ["backup.db", "backup.db-spill"]
            assert content(target) == dict(s)


class TestPlace:
    """What is never written over; none of it is touched."""

    def refused(self, source: Path, where: Any, error: type[Exception], words: str) -> None:
        before = state(source.parent)
        with Store[Any](source, mode="r") as s, pytest.raises(error, match=words):
            s.backup(where)
        after = state(source.parent)
        before.pop("app.db-wal", None)
        after.pop("app.db-wal", None)  # of reading
        assert after == before

    @pytest.mark.parametrize("how", ["path", "relative", "link", "symlink", "log", "lock", "in the folder"])
    def test_the_store_itself(self, filled: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
        monkeypatch.chdir(filled.parent)
        other = filled.with_name("other")
        if how == "link":
            os.link(filled, other)
        elif how == "symlink":
            other.symlink_to(filled)
        where = {
            "path": filled, "relative": "./app.db", "log": f"{filled}-wal", "lock": f"{filled}.lock",
            "in the folder": folder_of(filled) / "backup.db",
        }.get(how, other)  # fmt: skip
        self.refused(filled, where, StoreError, "is what is to be copied, or a file of it; give another path")

    def test_file_of_something_else(self, filled: Path, tmp_path: Path) -> None:
        target = tmp_path / "letter"
        target.write_text("a letter to my aunt")
        self.refused(filled, target, NotAStore, "is no SQLite database, and was not touched")

    def test_database_of_another_program(self, filled: Path, target: Path) -> None:
        with closing(sqlite3.connect(target)) as conn:
            conn.execute("CREATE TABLE aunts (name)")
        self.refused(filled, target, NotAStore, "of another program, and was not touched")

    def test_another_store(self, filled: Path) -> None:
        other = filled.with_name("other.db")
        with Store[int](other) as s:
            s["a"] = 1
        self.refused(filled, other, StorageError, "is another store, or a backup of another, and was not touched")

    def test_store_of_a_later_release(self, filled: Path, target: Path) -> None:
        with Store[Any](filled) as s:
            s.backup(target)
        with closing(sqlite3.connect(target)) as conn:
            conn.execute("PRAGMA user_version = 99")
        self.refused(filled, target, NotAStore, "was written by a later release")

    def test_log_without_its_database(self, filled: Path, target: Path) -> None:
        target.with_name("backup.db-wal").write_bytes(b"of something")
        self.refused(filled, target, StorageError, "backup.db-wal lies there without its database; move it away")

    def test_directory_and_none(self, filled: Path, tmp_path: Path) -> None:
        self.refused(filled, tmp_path, StorageError, "is a directory")
        self.refused(filled, tmp_path / "none" / "backup.db", StoreNotFound, r"there is no directory .*none")

    @pytest.mark.parametrize("where", [":memory:", "", "sqlite://", "x\0y"])
    def test_no_file(self, filled: Path, where: str) -> None:
        with Store[Any](filled) as s, pytest.raises(ValueError, match=r"file|empty") as caught:
            s.backup(where)
        assert not isinstance(caught.value, StoreError)

    @pytest.mark.parametrize("where", [5, None])
    def test_no_path(self, filled: Path, where: Any) -> None:
        with Store[Any](filled) as s, pytest.raises(TypeError, match="is a path or a URL, not "):
            s.backup(where)

    def test_store_that_is_open_here(self, filled: Path, target: Path) -> None:
        with Store[Any](filled) as s:
            s.backup(target)
            before = target.read_bytes()
            with Store[Any](target, mode="r"), pytest.raises(StoreError, match="is open as a store in this process"):
                s.backup(target)
            assert target.read_bytes() == before

    def test_directory_that_may_not_be_written(
        self, filled: Path, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write to all
        with Store[Any](filled, mode="r") as s, pytest.raises(ReadOnly, match="may not be written by this user"):
            s.backup(target)

    def test_empty_file_is_a_place(self, filled: Path, target: Path) -> None:
        target.touch(0o600)
        with Store[Any](filled) as s:
            s.backup(f"sqlite:///{target}")
        assert content(target)["a"] == 1

    def test_symbolic_link_stays_one(self, filled: Path, tmp_path: Path) -> None:
        real, target = tmp_path / "real.db", tmp_path / "link"
        target.symlink_to(real)
        with Store[Any](filled) as s:
            s.backup(target)
        assert target.is_symlink() and content(real)["big"] == BIG

    def test_inside_a_transaction(self, filled: Path, target: Path) -> None:
        with Store[Any](filled) as s:
            with s.transaction(), pytest.raises(StoreError, match="cannot be backed up inside its transaction"):
                s.backup(target)
            assert not target.exists()

    @pytest.mark.orphans
    def test_of_a_store_that_was_replaced(self, filled: Path, target: Path, remake: Callable[[], None]) -> None:
        with Store[Any](filled) as s:
            remake()
            with pytest.raises(StorageError, match="was replaced while it was open"):
                s.backup(target)
        assert beside(target) == []

    @pytest.fixture
    def remake(self, filled: Path, tmp_path: Path) -> Callable[[], None]:
        def remake() -> None:
            with Store[Any](tmp_path / "new.db"):
                pass
            os.replace(tmp_path / "new.db", filled)

        return remake
