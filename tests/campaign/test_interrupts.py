"""CI's share of the interrupts at random moments; tests/concurrency/test_interrupt.py has every moment of the commonest."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from store import Store
from store.system.descriptors import Descriptor
from store.system.locking import WriterLock

from .interrupts import OPERATIONS, Interrupted, Trial, interrupt

SHARES, TRIALS = 2, 100  # 200 interrupts


@pytest.mark.heavy
@pytest.mark.orphans  # of what was interrupted
@pytest.mark.parametrize("share", range(SHARES))
def test_interrupts_at_random_moments_of_every_operation(tmp_path: Path, share: int) -> None:
    found = interrupt(Random(share), tmp_path, TRIALS)
    assert found.failures == []
    assert found.trials == TRIALS > len(OPERATIONS)


def found_by(folder: Path, operation: str, fault: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What interrupts of an operation bring to light, with a fault that the process inherits."""
    with monkeypatch.context():
        fault()
        with Interrupted(folder) as interrupted:
            for number in range(30):
                try:
                    failures = interrupted.try_(Trial(operation, "moment", number / 30))
                except AssertionError as exc:
                    return [str(exc)]
                if failures:
                    return failures
            return interrupted.end()


@pytest.mark.slow
def test_lock_that_is_kept_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, kept = WriterLock.release, []

    def careless(self: WriterLock, hold: Any) -> None:
        if isinstance(sys.exc_info()[1], KeyboardInterrupt):
            kept.append(hold)
        else:
            release(self, hold)

    found = found_by(tmp_path, "set", lambda: monkeypatch.setattr(WriterLock, "release", careless), monkeypatch)
    assert "BlockingIOError" in found[0]


@pytest.mark.slow
def test_update_that_is_half_done_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def update(self: Store[Any], other: Any = (), /, **named: Any) -> None:
        for name, value in {**dict(other), **named}.items():
            self[name] = value

    found = found_by(tmp_path, "update", lambda: monkeypatch.setattr(Store, "update", update), monkeypatch)
    assert "half done" in found[0]


@pytest.mark.slow
def test_stale_cache_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    get = Store.get

    def stale(self: Store[Any], name: str, default: Any = None, /) -> Any:
        seen = self.__dict__.setdefault("seen", {})
        return seen.setdefault(name, get(self, name, default))

    found = found_by(tmp_path, "get", lambda: monkeypatch.setattr(Store, "get", stale), monkeypatch)
    assert "the cache says" in found[0]


@pytest.mark.heavy
def test_leak_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close, parent = Descriptor.close, os.getpid()

    def forgetful(self: Descriptor) -> None:
        if os.getpid() == parent:
            close(self)

    def leak() -> None:
        monkeypatch.setattr(Descriptor, "close", forgetful)
        monkeypatch.setattr(Descriptor, "__del__", lambda self: None)

    found = found_by(tmp_path, "get large", leak, monkeypatch)
    assert "left open" in found[0] and "-spill" in found[0]
