"""The registry of fork hooks, in the order of their stages.

A child inherits locks that threads of the parent hold for ever, connections whose locks it does not share, and values
that the parent will write back. Each module that keeps such state registers its hooks here.

Before a fork the stages run from the last to the first, so that the users of a lock stop before the lock does. After
it they run from the first to the last, in the parent and in the child, so that each finds the parts that it uses
renewed. On a system without fork (Windows) nothing is registered and nothing runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from enum import IntEnum

Hook = Callable[[], None]


class Stage(IntEnum):
    """The order of the hooks."""

    LOCKS = 1
    """Locks on files: the child closes its copies without unlocking what the parent holds."""
    ENGINES = 2
    """Idle connections are closed before the fork; the child starts with none."""
    WRITEBACK = 3
    """Only the parent writes back live values."""
    MEMO = 4
    """The child does not wait for calls that threads of the parent compute."""


_before: dict[Stage, list[Hook]] = {stage: [] for stage in reversed(Stage)}
_in_parent: dict[Stage, list[Hook]] = {stage: [] for stage in Stage}
_in_child: dict[Stage, list[Hook]] = {stage: [] for stage in Stage}


def register(stage: Stage, *, in_child: Hook, before: Hook | None = None, in_parent: Hook | None = None) -> None:
    """Call these at each fork, at that stage, in the order of registration."""
    _in_child[stage].append(in_child)
    if before is not None:
        _before[stage].append(before)
    if in_parent is not None:
        _in_parent[stage].append(in_parent)


def _run(stages: Iterable[list[Hook]]) -> None:
    """Run every hook, even if others raise: Python reports the last error, and the fork happens anyway."""
    failure: BaseException | None = None
    for hook in [hook for hooks in stages for hook in hooks]:
        try:
            hook()
        except BaseException as exc:
            exc.__context__ = failure
            failure = exc
    if failure is not None:
        raise failure


if hasattr(os, "register_at_fork") and sys.platform != "win32":
    os.register_at_fork(
        before=lambda: _run(_before.values()),
        after_in_parent=lambda: _run(_in_parent.values()),
        after_in_child=lambda: _run(_in_child.values()),
    )
