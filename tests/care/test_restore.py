"""`restore`: over the store that was backed up, for all who have it open; as a new store; or refused, untouched."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from spilling import BIG, OTHER, files, folder_of, only_file, small_spill

import store
from store import Store
from store.engines.sqlite.engine.writer import Writer
from store.errors import (
    Corrupt,
    LockTimeout,
    NotAStore,
    RecordError,
    StorageError,
    StoreError,
    StoreNotFound,
    Tampered,
)  # fmt: skip

OLD = {"a": 1, "gone": 2, "big": BIG, "kept": OTHER}
NEW = {"a": 3, "big": OTHER, "late": BIG, "kept": OTHER}


@pytest.fixture
def backup(path: Path, tmp_path: Path) -> Path:
    """Of the store at `path` when it held OLD; by now it holds NEW."""
    with small_spill(path) as s:
        s.update(OLD)
        s.backup(tmp_path / "backup.db")
        s.update({name: value for name, value in NEW.items() if name != "kept"})
        del s["gone"]
    return tmp_path / "backup.db"


def state(folder: Path) -> dict[str, bytes]:
    files = [file for file in folder.rglob("*") if file.is_file() and not file.name.endswith(("-shm", "-wal"))]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def content(path: Path) -> dict[str, Any]:
    with Store[Any](path, mode="r", trust="own") as s:
        return dict(s)


class TestNewStore:
    def test_is_what_was_backed_up(self, backup: Path, tmp_path: Path) -> None:
        before, told = state(tmp_path), []
        made = store.restore(backup, tmp_path / "new.db", progress=lambda done, total: told.append((done, total)))
        assert (made.path, made.records, made.files, made.replaced) == (str(tmp_path / "new.db"), 4, 2, False)
        assert told[0] == (0, made.bytes) and told[-1] == (made.bytes, made.bytes)
        assert {name: file for name, file in state(tmp_path).items() if not name.startswith("new.db")} == before
        with Store[Any](tmp_path / "new.db", trust="own") as s:
            assert dict(s) == OLD and s.verify().ok
            s["b"] = 1

    def test_where_there_is_no_directory(self, backup: Path, tmp_path: Path) -> None:
        with pytest.raises(StoreNotFound, match=r"there is no directory .*none"):
            store.restore(backup, tmp_path / "none" / "new.db")

    def test_of_a_live_store(self, backup: Path, path: Path, tmp_path: Path) -> None:
        with small_spill(path) as s:
            store.restore(path, tmp_path / "new.db")
            assert content(tmp_path / "new.db") == dict(s) == NEW


class TestSameStore:
    def test_is_what_it_was(self, backup: Path, path: Path) -> None:
        made = store.restore(backup, path)
        assert made.replaced
        with small_spill(path) as s:
            assert dict(s) == OLD
            assert s.verify().ok
            s.compact()
            assert len(files(path)) == 2

    def test_while_it_is_open(self, backup: Path, path: Path) -> None:
        with small_spill(path) as s, s.within("x") as x:
            x["x"] = 1
            assert (dict(s), len(s), len(x)) == (NEW, 4, 1)
            store.restore(backup, path)
            assert (dict(s), len(s), len(x), s["a"], "gone" in s) == (OLD, 4, 0, 1, True)
            s["a"] = 4
            assert dict(s) == {**OLD, "a": 4}

    @pytest.mark.slow
    def test_while_another_process_has_it_open(self, start: Any, backup: Path, path: Path) -> None:
        other = start(
            """
            import sys
            from store import Store
            with Store(sys.argv[1], spill_bytes=1000) as s:
                for _ in range(2):
                    print(s["a"], s["a"], len(s), s["big"][:3], "gone" in s, flush=True)
                    input()
                s["by the other"] = 5
            """,
            path,
        )
        assert other.hear() == "3 3 4 b'oth' False"
        store.restore(backup, path)
        other.say()
        assert other.hear() == "1 1 4 b'big' True"
        other.say()
        assert other.process.wait(60) == 0
        assert content(path) == {**OLD, "by the other": 5}

    @pytest.mark.slow
    def test_waits_for_the_writer(self, start: Any, backup: Path, path: Path) -> None:
        other = start(
            """
            import sys
            from store import Store
            with Store(sys.argv[1]) as s, s.transaction():
                s["a"] = "in the transaction"
                print("inside", flush=True)
                input()
            """,
            path,
        )
        assert other.hear() == "inside"
        before = state(path.parent)
        with pytest.raises(LockTimeout):
            store.restore(backup, path, timeout=0.01)
        assert state(path.parent) == before
        other.say()
        store.restore(backup, path)
        assert content(path) == OLD

    def test_reader_of_the_old_state_goes_on(self, backup: Path, path: Path) -> None:
        with small_spill(path) as s, closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            names = "SELECT group_concat(name) FROM (SELECT name FROM records ORDER BY name)"
            assert reader.execute(names).fetchone() == ("a,big,kept,late",)
            old = {folder_of(path) / file for file in files(path)}
            store.restore(backup, path)
            assert reader.execute(names).fetchone() == ("a,big,kept,late",)
            assert all(file.exists() for file in old)
            assert s.compact().files_left == 2
            reader.execute("COMMIT")
            assert reader.execute(names).fetchone() == ("a,big,gone,kept",)
            s.compact()
            assert len(files(path)) == 2 and dict(s) == OLD

    def test_its_garbage_may_be_what_the_backup_names(self, path: Path, tmp_path: Path) -> None:
        """The file of `big` waits for a checkpoint to be removed, and then must not be."""
        with small_spill(path) as s:
            s["big"] = BIG
            file = only_file(path)
            s.backup(tmp_path / "backup.db")
            del s["big"]
            assert file.exists()
            store.restore(tmp_path / "backup.db", path)
            s["more"] = OTHER
            del s["more"]
            assert s.compact().files == 1
            assert s["big"] == BIG and only_file(path) == file

    def test_its_garbage_goes_meanwhile(self, path: Path, tmp_path: Path) -> None:
        with small_spill(path, timeout=0.05) as s:
            s.update({"big": BIG, "other": OTHER})
            s.backup(tmp_path / "backup.db")
            s.clear()
            assert len(files(path)) == 2

            def progress(done: int, total: int) -> None:
                if done == total:  # and the files were found to be there
                    assert s.compact().files == 2

            store.restore(tmp_path / "backup.db", path, progress=progress)
            assert dict(s) == {"big": BIG, "other": OTHER}

    @pytest.mark.parametrize("page", [1024, 8192])
    def test_pages_of_another_size(self, backup: Path, path: Path, page: int) -> None:
        with closing(sqlite3.connect(path)) as conn:
            conn.execute("PRAGMA journal_mode = DELETE")
            conn.execute(f"PRAGMA page_size = {page}")
            conn.execute("VACUUM")
            conn.execute("PRAGMA journal_mode = WAL")
        with small_spill(path) as s:
            assert dict(s) == NEW
            store.restore(backup, path)
            assert dict(s) == OLD

    def test_sealers_of_both_stay(self, backup: Path, path: Path) -> None:
        with Store[Any](path, key=b"another key, longer", trust="all") as s:
            s["b"] = 1
            sealers = s.opened.engine.sealers()
            store.restore(backup, path)
            assert s.opened.engine.sealers() == sealers and len(sealers) == 2

    def test_inside_a_transaction(self, backup: Path, path: Path) -> None:
        with small_spill(path) as s:
            with s.transaction(), pytest.raises(StoreError, match="cannot be restored inside its transaction"):
                store.restore(backup, path)
            assert dict(s) == NEW

    def test_in_another_thread_while_one_reads(self, backup: Path, path: Path) -> None:
        with small_spill(path) as s:
            pages = iter(s.items())
            next(pages)
            thread = threading.Thread(target=store.restore, args=(backup, path))
            thread.start()
            thread.join()
            assert dict(s) == OLD

    def test_progress_raises(self, backup: Path, path: Path) -> None:
        before = state(path.parent)

        def progress(done: int, total: int) -> None:
            if done == total:
                raise KeyError("enough")

        with pytest.raises(KeyError, match="enough"):
            store.restore(backup, path, progress=progress)
        assert state(path.parent) == before

    def test_interrupt_after_the_commit(self, backup: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Rows name the files that were brought: they stay."""
        with small_spill(path) as s:
            s.clear()
            s.compact()

        def interrupted(*_: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Writer, "fold", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.restore(backup, path)
        monkeypatch.undo()
        assert content(path) == OLD

    @pytest.mark.orphans
    def test_damage_of_it_is_mended(self, backup: Path, path: Path) -> None:
        """All but the first pages, with the identity, is written over with rubbish; and a file that both have."""
        start = 5 * 4096
        whole = path.read_bytes()
        path.write_bytes(whole[:start] + b"rubbish!" * ((len(whole) - start) // 8))
        kept = set(files(path)) & set(files(backup))
        (folder_of(path) / kept.pop()).write_bytes(b"rubbish")
        store.restore(backup, path)
        assert content(path) == OLD
        with small_spill(path) as s:
            assert s.verify().ok

    @pytest.mark.damaged
    def test_damage_of_it_that_leaves_no_store(self, backup: Path, path: Path) -> None:
        whole = path.read_bytes()
        path.write_bytes(whole[:100] + b"\xff" * 5000 + whole[5100:])
        before = state(path.parent)
        with pytest.raises(StorageError, match=r"too damaged to be written over; move it away") as caught:
            store.restore(backup, path)
        assert caught.value.path == str(path) and state(path.parent) == before


class TestRefused:
    def refused(self, backup: Path, location: Any, error: type[Exception], words: str) -> Any:
        before = state(backup.parent)
        with pytest.raises(error, match=words) as caught:
            store.restore(backup, location)
        assert state(backup.parent) == before
        return caught.value

    def test_over_another_store(self, backup: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.db"
        Store(other).close()
        self.refused(backup, other, StorageError, "is another store, .* choose another path")
        with Store[Any](other):
            self.refused(backup, other, StorageError, "is another store, ")

    def test_over_something_else(self, backup: Path, tmp_path: Path) -> None:
        (tmp_path / "letter").write_text("a letter to my aunt")
        self.refused(backup, tmp_path / "letter", NotAStore, "is no SQLite database, and was not touched")

    def test_over_itself(self, backup: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(backup)
        for where in (backup, tmp_path / "link", f"{backup}-wal"):
            self.refused(backup, where, StoreError, "is what is to be copied, or a file of it")

    def test_no_backup(self, backup: Path, path: Path) -> None:
        with pytest.raises(StoreNotFound, match=r"there is no backup at .*none\.db") as caught:
            store.restore(backup.with_name("none.db"), path)
        assert caught.value.path == str(backup.with_name("none.db"))

    def test_backup_of_a_later_release(self, backup: Path, path: Path) -> None:
        with closing(sqlite3.connect(backup)) as conn:
            conn.execute("PRAGMA user_version = 99")
        self.refused(backup, path, NotAStore, "was written by a later release")

    @pytest.mark.damaged
    @pytest.mark.parametrize("where", ["app.db", "new.db"])
    @pytest.mark.parametrize("damage", ["gone", "altered", "short"])
    def test_file_of_the_backup_is_damaged(self, backup: Path, tmp_path: Path, where: str, damage: str) -> None:
        file = folder_of(backup) / files(backup)[-1]
        whole = file.read_bytes()
        cut = whole[:-1] + (b"" if damage == "short" else bytes([whole[-1] ^ 1]))
        file.unlink() if damage == "gone" else file.write_bytes(cut)
        if where == "app.db":
            (folder_of(tmp_path / "app.db") / file.name).unlink(missing_ok=True)
        with small_spill(tmp_path / "app.db") as s:
            s.clear()
        words = r"backup\.db is damaged, and nothing was restored: record '(big|kept)': its file .*`store recover "
        exc = self.refused(backup, tmp_path / where, Corrupt, words)
        assert exc.name in ("big", "kept") and exc.file == str(file)

    @pytest.mark.damaged
    @pytest.mark.parametrize("where", ["app.db", "new.db"])
    @pytest.mark.parametrize("column, error", [("body", Tampered), ("seal", Corrupt)])
    def test_record_of_the_backup_is_damaged(
        self, backup: Path, tmp_path: Path, where: str, column: str, error: type[Exception]
    ) -> None:
        with closing(sqlite3.connect(backup)) as conn, conn:
            conn.execute(f"UPDATE records SET {column} = x'00' WHERE name = 'gone'")
        exc = self.refused(backup, tmp_path / where, error, "nothing was restored: record 'gone': ")
        assert (exc.name, exc.namespace) == ("gone", "")

    @pytest.mark.damaged
    @pytest.mark.parametrize("where", ["app.db", "new.db"])
    def test_database_of_the_backup_is_damaged_anywhere(self, backup: Path, tmp_path: Path, where: str) -> None:
        """Page by page; one that is free or unused may be restored, and then nothing is missing."""
        whole, page, refused = backup.read_bytes(), 4096, 0
        with Store[Any](tmp_path / "app.db") as s:
            for start in range(0, len(whole), page):
                backup.write_bytes(whole[:start] + b"\xa5" * page + whole[start + page :])
                try:
                    store.restore(backup, tmp_path / where)
                except (RecordError, NotAStore, StorageError):
                    refused += 1
                    assert dict(s) == NEW
                    assert not (tmp_path / "new.db").exists()
                else:
                    assert content(tmp_path / where) == OLD
                    with small_spill(tmp_path / "app.db") as again:
                        again.clear()
                        again.update(NEW)
                    (tmp_path / "new.db").unlink(missing_ok=True)
            assert refused > len(whole) // page // 2

    @pytest.mark.parametrize("cut", [1, 100, 4096, 5000, 20_000])
    @pytest.mark.damaged
    def test_backup_is_truncated(self, backup: Path, path: Path, cut: int) -> None:
        backup.write_bytes(backup.read_bytes()[:cut])
        self.refused(backup, path, StoreError, "damaged|no SQLite database|is empty|file system")

    @pytest.mark.parametrize("words", [(":memory:", "x.db"), ("x.db", ":memory:"), ("", "x.db"), ("x.db", "")])
    def test_no_file(self, words: tuple[str, str]) -> None:
        with pytest.raises(ValueError, match=r"file|empty") as caught:
            store.restore(*words)
        assert not isinstance(caught.value, StoreError)

    def test_timeout_that_is_none(self, backup: Path, path: Path) -> None:
        with pytest.raises(ValueError, match="timeout is a number of seconds"):
            store.restore(backup, path, timeout=-1)
        assert os.path.exists(path)
