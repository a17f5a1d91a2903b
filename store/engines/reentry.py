"""Which callers may use a connection during an operation or a transaction: only code that it calls itself.

A signal handler or a finalizer runs in the thread that it interrupts, and another task may run in a thread whose
first task is suspended in its block: both are refused. An operation that an interrupt ended is forgotten; its frame
is on no stack.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol
from weakref import ref

from store.errors import InUse
from store.system import running
from store.system.reentry import are_uncalled, strangers


class OpenTransaction(Protocol):
    """A transaction, as this module checks whether the caller may use it."""

    frame: int
    """The id of the frame of the operation that it belongs to; 0: it is a block of the program."""
    task: ref[Any] | None
    coroutine: int
    is_guarded: bool
    """Whether any of the three is set."""

    def leave_behind(self) -> None:
        """Record that an interrupt ended its frame."""

    def is_open_block(self) -> bool: ...

    def outermost(self) -> OpenTransaction: ...


class Visitor(Protocol):
    """A thread or greenlet of an engine: the operation and the transaction that it is in."""

    path: str
    operation: FrameType | None
    deferred: list[Any]

    def own_transaction(self) -> OpenTransaction | None: ...


_INTERRUPTS = (
    "this was called in the middle of an operation of the same thread, by a signal handler or a finalizer: nothing "
    "of it was done; note what is to be done there, and do it once the operation has ended"
)


def refuse(visitor: Visitor) -> None:
    """Raises: InUse: the visitor's connection is in use, and the caller is not part of that use."""
    problem = conflict(visitor)
    if problem is not None:
        raise in_use(visitor, problem)


def in_use(visitor: Visitor, problem: str) -> InUse:
    """The error for a caller that may not use the connection."""
    return InUse(f"{visitor.path}: {problem}", path=visitor.path)


def conflict(visitor: Visitor) -> str | None:
    """Why the caller may not use the connection now; None: it may. Operations that an interrupt ended are cleared."""
    if visitor.operation is not None and interrupts_operation(visitor):
        return _INTERRUPTS
    transaction = visitor.own_transaction()
    if transaction is None or not transaction.is_guarded:
        return None
    if not transaction.frame:
        return _other_task(transaction)
    # Functions and methods of the program that the operation calls may use its transaction.
    found = strangers(sys._getframe(2), transaction.frame)
    if found is None:
        transaction.leave_behind()
        return None
    return _INTERRUPTS if found and are_uncalled(found) else None


def is_interrupting(visitor: Visitor) -> bool:
    """Whether the caller is a signal handler or a finalizer that runs during an operation of the visitor."""
    return conflict(visitor) is _INTERRUPTS


def interrupts_operation(visitor: Visitor) -> bool:
    """Whether the caller runs during an engine operation of the visitor, which resumes when the caller returns."""
    operation = visitor.operation
    if operation is None:
        return False
    found = strangers(sys._getframe(1), id(operation))
    if found is None:
        visitor.operation = None  # an interrupt left it
        return False
    return bool(found)


def defer(visitor: Visitor, work: Callable[[], object]) -> bool:
    """Run a finalizer's `work` after the operation that it interrupts; False if it interrupts none."""
    frame, operation = sys._getframe(1), visitor.operation
    transaction = visitor.own_transaction()
    ids = [0 if operation is None else id(operation), 0 if transaction is None else transaction.frame]
    if not any(id_ and strangers(frame, id_) is not None for id_ in ids):
        return False
    visitor.deferred.append(Later(work))
    return True


def is_in_block(visitor: Visitor) -> bool:
    """Whether the program is in a transaction block of its own, in the same task as the caller."""
    transaction = visitor.own_transaction()
    if transaction is None:
        return False
    outermost = transaction.outermost()
    return outermost.is_open_block() and _other_task(outermost) is None


def _other_task(transaction: OpenTransaction) -> str | None:
    """Why the caller may not use the program's block: it belongs to another task, which is suspended in it."""
    if transaction.task is not None:
        began = transaction.task()
        if began is None or began.done() or began is (mine := running.task()):
            return None
        return _tasks(running.name_of(began), running.name_of(mine))
    if transaction.coroutine and strangers(sys._getframe(1), transaction.coroutine) is None:
        return _tasks("a coroutine that is suspended", "another one")
    return None


def _tasks(first: str, second: str) -> str:
    return (
        f"{first} is inside a transaction or an edit of this thread, and {second} cannot use it meanwhile: do not "
        "await inside the block, or use store.aio.AsyncStore, where others wait for their turn"
    )


class Later:
    """Does its work when it is collected, so that Python reports its errors as those of a finalizer."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work

    def __del__(self) -> None:
        self._work()
