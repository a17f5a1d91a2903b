"""Checksums that are computed beside the writing of files."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from buffered import Buffered
from spilling import files, small_spill

from store.engines.sqlite.spill import checksums as spill_checksums
from store.engines.sqlite.spill import writing as spill_writing
from store.engines.sqlite.spill.checksums import BESIDE_BYTES, CHUNK_BYTES, Checksums
from store.errors import StorageError
from store.system import allocation
from store.system.mounts import Mount

LARGE = b"0123456789abcde" * (BESIDE_BYTES // 15 + 1)
LONGER = b"0123456789abcde" * (CHUNK_BYTES // 5)


def names_of_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize(
    "contents",
    [[], [b""], [b"small"], [b"small", b"", b"other"], [LARGE], [b"", LARGE, b"small"], [LONGER, LARGE]],
    ids=["none", "empty", "small", "some small", "large", "mixed", "of several chunks"],
)
def test_checksums_are_those_of_the_contents(contents: list[bytes]) -> None:
    with Checksums([memoryview(content) for content in contents]) as checksums:
        pass
    assert checksums.found() == [hashlib.sha256(content).hexdigest() for content in contents]


def test_one_thread_for_all_contents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four mebibytes together are enough for one."""
    started = count_threads(monkeypatch)
    with Checksums([memoryview(LARGE[: BESIDE_BYTES // 4])] * 4):
        pass
    assert started == ["store-checksum"] and "store-checksum" not in names_of_threads()


def test_small_contents_start_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    started = count_threads(monkeypatch)
    with Checksums([memoryview(LARGE[: BESIDE_BYTES // 4])] * 3):
        pass
    assert started == []


def test_without_a_thread_the_checksums_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with Checksums([memoryview(LARGE)]) as checksums:
        pass
    assert checksums.found() == [hashlib.sha256(LARGE).hexdigest()]


def test_hash_that_cannot_be_loaded_is_the_callers_error(monkeypatch: pytest.MonkeyPatch) -> None:
    started = count_threads(monkeypatch)
    monkeypatch.setattr(spill_checksums, "checksum", full)
    with pytest.raises(OSError), Checksums([memoryview(LARGE)]):
        pass
    assert started == []


def test_writing_that_fails_ends_the_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[int] = []
    monkeypatch.setattr(spill_checksums.threading, "Thread", RunsWhenJoined)
    monkeypatch.setattr(spill_checksums, "checksum", lambda: Noting(hashed))
    with pytest.raises(KeyboardInterrupt), Checksums([memoryview(LONGER)] * 2):
        raise KeyboardInterrupt
    assert hashed == []
    with Checksums([memoryview(LONGER)]):
        pass
    assert sum(hashed) == len(LONGER) and max(hashed) == CHUNK_BYTES


def test_interrupt_while_the_thread_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for again, so that it has ended after the write."""
    join, joined = threading.Thread.join, []

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        joined.append(thread)
        if len(joined) == 1:
            raise KeyboardInterrupt
        join(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt), Checksums([memoryview(LONGER)]):
        pass
    assert len(joined) == 2 and not joined[0].is_alive()


def full(*_: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupt(*_: Any) -> Any:
    raise KeyboardInterrupt


def only_once(call: Callable[..., Any], fail: Callable[..., Any]) -> Callable[..., Any]:
    """The call, which fails the second time."""
    calls: list[Any] = []

    def calling(*args: Any) -> Any:
        calls.append(args)
        return fail() if len(calls) == 2 else call(*args)

    return calling


@pytest.mark.parametrize(
    "fail, error", [(full, StorageError), (interrupt, KeyboardInterrupt)], ids=["full", "interrupted"]
)
@pytest.mark.parametrize("call", ["posix_fallocate", "write", "fsync"])
@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot allocate")
def test_large_write_that_fails_leaves_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str, fail: Any, error: type[BaseException]
) -> None:
    """In the second of two files, where a thread hashes them: there are no files, no pending ones and no thread."""
    monkeypatch.setattr(allocation, "mount_of", lambda path: Mount("/", "ext4"))
    with small_spill(path) as s:
        s["it"] = 1
        with monkeypatch.context() as patch:
            patch.setattr(spill_writing.os, call, only_once(getattr(os, call), fail))
            with pytest.raises(error) as caught:
                s["it"] = [Buffered(LARGE), Buffered(LARGE[1:])]
        assert error is KeyboardInterrupt or "the disk is full: free space and try again" in str(caught.value)
        assert files(path) == [] and s["it"] == 1
        assert "store-checksum" not in names_of_threads()
        s["it"] = Buffered(LARGE)
        assert s["it"] == Buffered(LARGE) and len(files(path)) == 1


class RunsWhenJoined:
    """A thread that runs as late as a thread can."""

    def __init__(self, target: Callable[[], None], name: str) -> None:
        self._target = target

    def start(self) -> None:
        """Begins nothing yet."""

    def join(self) -> None:
        self._target()


class Noting:
    """A hash that notes how much it gets."""

    def __init__(self, sizes: list[int]) -> None:
        self._sizes = sizes

    def update(self, content: memoryview) -> None:
        self._sizes.append(len(content))

    def hexdigest(self) -> str:
        return ""


def count_threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    started: list[str] = []
    start = threading.Thread.start

    def starting(thread: threading.Thread) -> None:
        started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", starting)
    return started
