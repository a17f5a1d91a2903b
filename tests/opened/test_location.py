"""Which file a store is on, however that is spelled, and the modes in which it is opened."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import store
from store import Store
from store.errors import ReadOnly, StorageError, StoreNotFound
from store.memo import memo
from store.sessions import Sessions
from store.settings import Settings, export_to, import_from


def engine_of(s: Store[Any]) -> object:
    return s.opened.engine.handle.engine  # type: ignore[attr-defined]


class TestLocation:
    def test_in_many_spellings_is_one_file(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(path.parent)
        (path.parent / "link.db").symlink_to("app.db")
        (path.parent / "folder").symlink_to(path.parent)
        spellings: list[Any] = [
            path,
            str(path),
            "app.db",
            "./app.db",
            Path("app.db"),
            os.fsencode(path),
            "sqlite:///app.db",
            f"sqlite:///{path}",
            "link.db",
            "folder/app.db",
        ]
        with Store[Any](path) as s:
            s["a"] = 1
            for spelling in spellings:
                with Store[Any](spelling) as other:
                    assert engine_of(other) is engine_of(s), spelling
                    assert other["a"] == 1
        assert {file.name for file in path.parent.iterdir()} <= {
            "app.db", "app.db-wal", "app.db-shm", "app.db.lock", "app.db.changes", "link.db", "folder",
        }  # fmt: skip

    def test_is_absolute_from_the_start(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "elsewhere").mkdir()
        with Store[Any]("app.db") as s:
            s["a"] = 1
            monkeypatch.chdir(tmp_path / "elsewhere")
            s["b"] = 2
            assert s.location == str(tmp_path / "app.db")
            assert s == {"a": 1, "b": 2}
        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_in_memory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        for spelling in (":memory:", "sqlite://", "sqlite:///:memory:"):
            with Store[Any](spelling) as s, Store[Any](spelling) as other:
                s["a"] = 1
                assert s.location == ":memory:"
                assert dict(other) == {}, "each one is its own"
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", ["with space.db", "quote'.db", "100%.db", "a?mode=ro", "#", "名前.db", "a;b&c"])
    def test_may_have_any_name(self, tmp_path: Path, name: str) -> None:
        with Store[Any](tmp_path / name) as s:
            s["a"] = 1
        assert (tmp_path / name).is_file()
        with Store[Any](tmp_path / name, mode="r") as s:
            assert s["a"] == 1

    @pytest.mark.parametrize("length", [238, 239, 240, 245, 247, 248, 253, 255, 256])
    def test_name_that_is_too_long_for_what_lies_beside_it_is_refused_at_open(
        self, tmp_path: Path, length: int
    ) -> None:
        """With a shorter one all works: opening, named locks, files of large values, backup, restore."""
        path = tmp_path / ("n" * length)
        if length > os.pathconf(tmp_path, "PC_NAME_MAX") - len("-partial-journal"):
            with pytest.raises(StorageError, match="name") as caught:
                Store[Any](path)
            assert caught.value.errno == errno.ENAMETOOLONG
            assert list(tmp_path.iterdir()) == []
            with Store[Any](tmp_path / "other") as s, pytest.raises(StorageError) as caught:
                s.backup(path)
            assert caught.value.errno == errno.ENAMETOOLONG
            return
        with Store[Any](path, spill_bytes=10) as s:
            s["a"] = b"large" * 10
            with s.lock("job"):
                s["b"] = 1
            (tmp_path / "beside").mkdir()
            s.backup(tmp_path / "beside" / path.name)
            del s["a"]
        store.restore(tmp_path / "beside" / path.name, path)
        with Store[Any](path) as s:
            assert s["a"] == b"large" * 10
            s.compact()

    def test_store_of_an_earlier_release_with_a_long_name_can_be_opened(self, tmp_path: Path) -> None:
        most = os.pathconf(tmp_path, "PC_NAME_MAX") - len("-journal")
        for length, fits in ((most, True), (most + 1, False)):
            with Store[Any](tmp_path / "short") as s:
                s["a"] = 1
            (tmp_path / "short").rename(tmp_path / ("n" * length))
            if fits:
                with Store[Any](tmp_path / ("n" * length)) as s:
                    s["b"] = s["a"]
            else:
                with pytest.raises(StorageError, match=f"at most {most} bytes"):
                    Store[Any](tmp_path / ("n" * length))

    def test_of_another_kind_is_refused(self) -> None:
        for wrong in (None, 5, ["a"], object()):
            with pytest.raises(TypeError, match="location"):
                Store[Any](wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="unknown scheme 'ftp'"):
            Store[Any]("ftp://host/app.db")
        with pytest.raises(ValueError, match="empty"):
            Store[Any]("")

    def test_two_handles_see_each_other_at_once(self, place: str) -> None:
        with Store[Any](place) as one, Store[Any](place) as two:
            one["a"] = 1
            assert two["a"] == 1
            two["a"] = 2
            assert one["a"] == 2
            one.close()
            assert two["a"] == 2


class TestMode:
    def test_c_makes_and_opens(self, place: str) -> None:
        with Store[Any](place, mode="c") as s:
            s["a"] = 1
        with Store[Any](place, mode="c") as s:
            assert s["a"] == 1

    def test_n_starts_empty(self, place: str) -> None:
        with Store[Any](place, mode="n") as s:
            s["a"] = 1
        with Store[Any](place, mode="n") as s:
            assert dict(s) == {}

    @pytest.mark.parametrize("mode", ["r", "w"])
    def test_r_and_w_need_a_store(self, path: Path, mode: str) -> None:
        with pytest.raises(StoreNotFound) as caught:
            Store[Any](path, mode=mode)
        assert isinstance(caught.value, FileNotFoundError)
        assert list(path.parent.iterdir()) == []

    def test_w_writes(self, place: str) -> None:
        Store[Any](place).close()
        with Store[Any](place, mode="w") as s:
            s["a"] = 1
            assert s["a"] == 1

    def test_r_reads_and_writes_nothing(self, path: Path) -> None:
        with Store[Any](path) as s:
            s["a"] = [1]
        before = path.read_bytes()
        with Store[Any](path, mode="r") as s:
            assert (s["a"], len(s), list(s), s.names()) == ([1], 1, ["a"], ["a"])
            writes: list[Callable[[], Any]] = [
                lambda: s.__setitem__("b", 1),
                lambda: s.__delitem__("a"),
                lambda: s.pop("a"),
                s.popitem,
                lambda: s.setdefault("b", 1),
                lambda: s.update(b=1),
                s.clear,
                lambda: s.put("b", 1),
                lambda: s.touch("a", 5),
                s.purge,
                lambda: s.modify("a", lambda value: value),
                lambda: s.edit("a").__enter__(),
                lambda: s.transaction().__enter__(),
            ]
            for write in writes:
                with pytest.raises(ReadOnly) as caught:
                    write()
                assert isinstance(caught.value, PermissionError)
            assert s.setdefault("a", 5) == [1], "nothing to write"
        assert path.read_bytes() == before

    def test_r_sees_what_others_write(self, place: str) -> None:
        with Store[Any](place) as s, Store[Any](place, mode="r") as reader:
            s["a"] = 1
            assert reader["a"] == 1

    @pytest.mark.parametrize("mode", ["x", "", "rw", None, 5, "R"])
    def test_unknown(self, path: Path, mode: Any) -> None:
        with pytest.raises(ValueError, match="unknown mode"):
            Store[Any](path, mode=mode)
        assert not path.exists()


def test_options_are_by_keyword(place: str) -> None:
    with pytest.raises(TypeError):
        Store[Any](place, "x")  # type: ignore[misc]


@dataclass
class Limits:
    tries: int = 3


class Bytes:
    """A path as `os.scandir(b".")` gives it."""

    def __init__(self, path: os.PathLike[str]) -> None:
        self._path = os.fsencode(path)

    def __fspath__(self) -> bytes:
        return self._path


def test_path_object_of_bytes_works_wherever_a_path_does(path: Path) -> None:
    where: Any = Bytes(path)
    with Store[Any](where) as s:
        s["a"] = 1
        s.backup(Bytes(path.with_name("backup.db")))  # type: ignore[arg-type]
    with store.open(where, "r") as s:
        assert s.location == str(path)
        assert dict(s) == {"a": 1}
    store.restore(Bytes(path.with_name("backup.db")), Bytes(path.with_name("new.db")))  # type: ignore[arg-type]
    with Sessions(where) as sessions, Settings(Limits, where) as settings:  # type: ignore[arg-type]
        assert sessions.location == str(path)
        text: Any = Bytes(path.with_name("settings.json"))
        export_to(settings, text)
        import_from(settings, text)

    @memo(where)
    def double(number: int) -> int:
        return number * 2

    assert double(2) == 4
    assert double.cache_info().errors == 0
    double.close()


def test_key_file_may_be_a_path_object_of_bytes(path: Path) -> None:
    file = path.with_name("keys")
    file.write_text("ab" * 32)
    with Store[Any](path, key=Bytes(file)) as s:  # type: ignore[arg-type]
        s["a"] = 1
    with Store[Any](path, key=file, trust="own") as s:
        assert s["a"] == 1
