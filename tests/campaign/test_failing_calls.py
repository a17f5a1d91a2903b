"""System calls that fail: each one of the main operations, some of all others; see `fault_trial` for what must hold.

The campaign takes all calls of all operations by and by; see `faults.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .failing_calls import LOOKS, Task, run, some, tasks
from .faults import said

TIMEOUT = 280.0  # seconds
SOME = 1  # call of a kind, of an operation that is none of the main ones
MAIN = (
    "set of a new record", "set of a record that is there", "delete", "transaction", "set that replaces one", "compact", "backup",
)  # fmt: skip
"""Every call of these fails once, with EIO, and each of their writes with a disk that is full."""

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]


def chosen(choose: Callable[[Task], bool], most: int | None = None) -> list[Task]:
    found = enumerate(filter(choose, tasks()))
    return [some(task, most or (task.most if task.operation in MAIN else SOME), seed) for seed, task in found]


def is_plain(task: Task) -> bool:
    return (task.durability, task.number, task.how) == ("normal", "EIO", "once")


SWEEPS: dict[str, list[Task]] = {
    "write": chosen(lambda task: is_plain(task) and task.call == "write"),
    "short write on a disk that is full then": chosen(
        lambda task: task.durability == "normal" and (task.number, task.how) == ("ENOSPC", "short and then full")
    ),
    "open and read": chosen(lambda task: is_plain(task) and task.call in ("open", "read"))[::2],
    "all others": chosen(lambda task: is_plain(task) and task.call not in ("open", "read", "write", *LOOKS))[::2],
    "a look that fails, or a thread": chosen(
        lambda task: (task.durability, task.how) == ("normal", "once") and task.number in LOOKS.get(task.call, [])[:1],
        most=4,
    )[::2],
    "a look that may not be": chosen(
        lambda task: (task.durability, task.how) == ("normal", "once") and task.number in LOOKS.get(task.call, [])[1:],
        most=2,
    )[::2],
    "no descriptors": chosen(lambda task: (task.durability, task.number) == ("normal", "EMFILE"), most=1)[::2],
    "fsync, durability full": chosen(
        lambda task: task.durability == "full" and task.call == "sync" and (task.number, task.how) == ("EIO", "always")
    ),
    "a few of the rest": chosen(
        lambda task: not is_plain(task) and task.number != "EWOULDBLOCK" and task.call not in LOOKS, most=1
    )[::23],
    "lock that others have": chosen(lambda task: task.number == "EWOULDBLOCK", most=1)[::11],
}


@pytest.mark.parametrize("what", SWEEPS)
def test_call_that_fails(what: str, tmp_path: Path) -> None:
    round_, seen = run(SWEEPS[what], tmp_path / "trials", TIMEOUT)
    if round_.skipped:
        pytest.skip(round_.skipped)
    assert round_.failures == [], f"{len(round_.failures)} failures; {said(seen)}"
    calls = {task.call for task in SWEEPS[what]} - {"rename", "allocate", "copy"}  # which are not made, or seldom
    assert {call for call in calls if not any(text.startswith(f"{call}: ") for text in seen)} == set()
    assert any("StorageError" in text or "LockTimeout" in text for text in seen), said(seen)


@pytest.mark.parametrize("operation, call", [("swallows the error", "write"), ("does half", "sync"), ("raises what the system raises", "unlink")])
def test_operation_that_breaks_the_promise_is_found_out(operation: str, call: str, tmp_path: Path) -> None:
    round_, _ = run([Task(operation, call, "EIO", "once")], tmp_path / "trials", TIMEOUT)
    if round_.skipped:
        pytest.skip(round_.skipped)
    assert round_.trials > 0
    assert len(round_.failures) == round_.trials
