"""Whoever waits for a lock has it at its first look after the holder was killed, however long it would have waited."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from store import Store
from store.engines.sqlite import schema as sqlite_schema
from store.engines.sqlite.spill.folder import Folder
from store.trust.keys import changing as key_files
from store.trust.keys.changing import add_key
from store.trust.keys.file import read_key_file

from .killer import ended, forked

FOR_EVER = 3600.0  # seconds
LOOKS = 5  # of the waiter's, before the holder is killed
BIG = b"big" * 1000

Tell = Callable[[], NoReturn]


def hold_by_transaction(path: Path, tell: Tell) -> None:
    with Store[Any](path) as s, s.transaction():
        s["a"] = "never committed"
        tell()


def take_by_setting(path: Path) -> None:
    with Store[Any](path, timeout=FOR_EVER) as s:
        s["b"] = 1
        assert dict(s) == {"a": 0, "b": 1}


def hold_by_name(path: Path, tell: Tell) -> None:
    with Store[Any](path) as s, s.lock("job"):
        tell()


def take_by_name(path: Path) -> None:
    with Store[Any](path) as s, s.lock("job", timeout=FOR_EVER):
        s["b"] = 1


def hold_the_folder(path: Path, tell: Tell) -> None:
    with Folder(str(path), f"{path}-spill").opened() as folder:
        assert folder.lock_exclusively(0)
        tell()


def take_by_a_large_value(path: Path) -> None:
    with Store[Any](path, timeout=FOR_EVER, spill_bytes=1000) as s:
        s["b"] = BIG
        assert s["b"] == BIG


def hold_by_writing_a_file(path: Path, tell: Tell) -> None:
    with Store[Any](path, spill_bytes=1000) as s, s.transaction():
        s["large"] = BIG
        tell()


def take_by_compacting(path: Path) -> None:
    with Store[Any](path, timeout=FOR_EVER) as s:
        assert s.compact().orphans == 1
        assert dict(s) == {"a": 0}


def hold_the_key_file(path: Path, tell: Tell) -> None:
    with key_files._changing(path.with_name("keys")):
        tell()


def take_by_a_new_key(path: Path) -> None:
    made = add_key(path.with_name("keys"))
    assert [key.id for key in read_key_file(path.with_name("keys"))] == [made.id]


def hold_by_making(path: Path, tell: Tell) -> None:
    sqlite_schema.migrate = lambda conn, path: tell()
    Store[Any](path.with_name("new.db"))


def take_by_making(path: Path) -> None:
    with Store[Any](path.with_name("new.db"), timeout=FOR_EVER) as s:
        s["a"] = 1


LOCKS = {
    "writer's": (hold_by_transaction, take_by_setting),
    "named": (hold_by_name, take_by_name),
    "of the folder, for compact": (hold_the_folder, take_by_a_large_value),
    "of the folder, for a value": (hold_by_writing_a_file, take_by_compacting),
    "of the key file": (hold_the_key_file, take_by_a_new_key),
    "of the making": (hold_by_making, take_by_making),
}


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_of_a_killed_process_is_had_at_the_next_look(path: Path, monkeypatch: pytest.MonkeyPatch, lock: str) -> None:
    hold, take = LOCKS[lock]
    with Store[Any](path, spill_bytes=1000) as s:
        s["large"] = BIG  # makes the folder
        s["a"] = 0
        del s["large"]
        s.compact()
    holder = held_by(lambda tell: hold(path, tell))
    looks = 0
    really_sleep, mine = time.sleep, threading.get_ident()

    def sleep(seconds: float) -> None:
        """Between two looks at the lock. Nobody sleeps here: the holder is killed between two of them."""
        nonlocal looks
        if threading.get_ident() != mine:
            really_sleep(seconds)
            return
        looks += 1
        if looks == LOOKS:
            os.kill(holder, signal.SIGKILL)
            assert ended(holder) == -signal.SIGKILL

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(key_files, "LOCK_SECONDS", FOR_EVER)
    take(path)
    assert looks == LOOKS


def held_by(hold: Callable[[Tell], None]) -> int:
    """The process that holds the lock by now."""
    read, write = os.pipe()

    def tell() -> NoReturn:
        os.write(write, b"!")
        while True:
            signal.pause()

    pid = forked(lambda: hold(tell))
    os.close(write)
    assert os.read(read, 1) == b"!"
    os.close(read)
    return pid
