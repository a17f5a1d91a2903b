"""A file that the system does not let us look at: a folder that may not be searched, links in a circle, a failing disk."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import store
from store import Store
from store.errors import LockTimeout, ReadOnly, StorageError, StoreError, StoreNotFound

FAILING = (errno.EACCES, errno.ELOOP, errno.EIO, errno.ENOMEM)

CALLS: dict[str, Callable[[Store[Any]], Any]] = {
    "get": lambda s: s["a"], "set": lambda s: s.__setitem__("a", 2), "stats": lambda s: s.stats(),
    "compact": lambda s: s.compact(), "backup": lambda s: s.backup(s.location + ".backup"), "lock": lambda s: s.lock("a").__enter__(),
    "verify": lambda s: s.verify(), "watch": lambda s: next(s.watch(timeout=1)), "transaction": lambda s: s.transaction().__enter__(),
}  # fmt: skip


@pytest.fixture
def stat_fails(monkeypatch: pytest.MonkeyPatch, path: Path) -> Callable[[int], None]:
    """From then on no status of the store's files is had."""
    stat = os.stat

    def begin(number: int) -> None:
        def failing(file: Any, *args: Any, **options: Any) -> os.stat_result:
            if isinstance(file, str | Path) and str(file).startswith(str(path)):
                raise OSError(number, os.strerror(number), str(file))
            return stat(file, *args, **options)

        monkeypatch.setattr(os, "stat", failing)

    return begin


@pytest.mark.parametrize("number", FAILING, ids=lambda number: errno.errorcode[number])
@pytest.mark.parametrize("call", CALLS)
def test_call_on_a_file_that_cannot_be_looked_at(
    path: Path, clock: Any, call: str, number: int, stat_fails: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store[Any](path, clock=clock, timeout=0.1) as s:
        s["a"] = 1
        clock.advance(10)  # the place is looked at again
        stat_fails(number)
        try:
            CALLS[call](s)
        except StoreError as exc:
            assert str(path) in str(exc)
            assert not isinstance(exc, LockTimeout | StoreNotFound)
            if isinstance(exc, StorageError):
                assert exc.errno == number
        monkeypatch.undo()
        s["b"] = 2
        assert s["b"] == 2


@pytest.mark.parametrize("number", FAILING, ids=lambda number: errno.errorcode[number])
@pytest.mark.parametrize("mode", ["r", "c", "n"])
def test_opening_a_file_that_cannot_be_looked_at(
    path: Path, mode: str, number: int, stat_fails: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store[Any](path) as s:
        s["a"] = 1
    stat_fails(number)
    with pytest.raises(StorageError) as caught:
        Store[Any](path, mode=mode)
    assert (caught.value.errno, caught.value.path) == (number, str(path))
    assert not isinstance(caught.value, StoreNotFound)
    monkeypatch.undo()
    with Store[Any](path) as s:
        assert s["a"] == 1


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    for path in (tmp_path / "one", tmp_path / "one" / "app.db"):
        for mode in ("r", "c"):
            with pytest.raises(StorageError, match="lead in a circle") as caught:
                Store[Any](path, mode=mode)
            assert caught.value.errno == errno.ELOOP
        with Store[Any](tmp_path / "app.db") as s, pytest.raises(StorageError):
            s.backup(path)
        with pytest.raises(StorageError):
            store.restore(tmp_path / "app.db", path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may search every folder")
def test_folder_that_may_not_be_searched(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with Store[Any](folder / "app.db") as s:
        s["a"] = 1
        folder.chmod(0o600)
        try:
            for mode in ("r", "c"):
                with pytest.raises(StorageError, match="may not search") as caught:
                    Store[Any](folder / "app.db", mode=mode)
                assert caught.value.errno == errno.EACCES
            with pytest.raises((StorageError, ReadOnly)):
                s["a"] = 2
        finally:
            folder.chmod(0o700)
        s["a"] = 3


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_named_lock_where_nothing_may_be_written(path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It said that space is to be freed."""

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    with Store[Any](path) as s:
        monkeypatch.setattr(os, "mkdir", refused)
        with pytest.raises(ReadOnly, match="a named lock is a file beside the store"), s.lock("job"):
            pass


def test_thread_that_cannot_be_started(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was told as 'the store was closed'; and nothing of what was asked is done later."""
    import asyncio

    from store.aio import AsyncSessions, AsyncStore

    def refused(*_: Any, **__: Any) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        for kind in (AsyncStore, AsyncSessions):
            opened: Any = kind(path)
            with monkeypatch.context() as patched:
                patched.setattr(threading.Thread, "start", refused)
                with pytest.raises(StorageError, match="no thread could be started") as caught:
                    await opened.open()
                assert caught.value.errno == errno.EAGAIN
                assert str(path) in str(caught.value)
            async with opened:
                assert opened.location == str(path)

    asyncio.run(main())
