"""The same operations under limits of the system: a file system of 2 MB, files and memory that may not grow."""

from __future__ import annotations

from pathlib import Path

import pytest

from .faults import said
from .limits import Task, run, run_on_small_disk
from .operations import OPERATIONS

TIMEOUT = 280.0  # seconds
PAGE = 4096

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]


def tasks(kind: str, amounts: list[int], every: int = 1) -> list[Task]:
    return [Task(operation.name, kind, amounts) for operation in OPERATIONS[::every]]


def test_file_that_may_not_grow(tmp_path: Path) -> None:
    round_, seen = run(tasks("size of a file", [*range(0, 120_000, 2 * PAGE), 1_000_000, 10_000_000]), tmp_path, TIMEOUT)
    assert round_.failures == [], said(seen)
    assert seen["size of a file: StorageError"] > 50
    assert seen["size of a file: no error"] == len(OPERATIONS)


def test_disk_that_is_full(tmp_path: Path) -> None:
    round_, seen = run_on_small_disk(tasks("full disk", [*range(0, 120_000, 2 * PAGE), 1_000_000]), tmp_path, TIMEOUT)
    if round_.skipped:
        pytest.skip(round_.skipped)
    assert round_.failures == [], said(seen)
    assert seen["full disk: StorageError"] > 50
    assert seen["full disk: no error"] == len(OPERATIONS) - 1  # the one that is larger than the disk


def test_memory_that_is_used_up(tmp_path: Path) -> None:
    round_, seen = run(tasks("memory", [0, 9_000, 30_000], every=2), tmp_path, TIMEOUT)
    assert round_.failures == [], said(seen)
    assert seen["memory: MemoryError"] > 15
    assert seen["memory: no error"] > 2
