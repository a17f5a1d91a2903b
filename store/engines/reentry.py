"""Who may use a connection in the middle of something: the operation itself, and what the program calls in it.

A signal handler or a finalizer runs in the thread that it strikes, and another task may run in a thread whose first
task is suspended in its block. Neither is what an interrupt left of an operation, whose frame is on no stack.
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
    """What is asked of a transaction about who may go on in it."""

    frame: int
    """The id of the frame of the operation that it is a part of; 0: it is a block of the program's own."""
    task: ref[Any] | None
    coroutine: int
    is_guarded: bool
    """Whether any of the three is to be looked at."""

    def leave_behind(self) -> None:
        """An interrupt ended the frame that it was a part of."""

    def is_open_block(self) -> bool: ...

    def outermost(self) -> OpenTransaction: ...


class Visitor(Protocol):
    """A thread or greenlet as an engine knows it: the operation and the transaction that it is in."""

    path: str
    operation: FrameType | None
    put_off: list[Any]

    def own_transaction(self) -> OpenTransaction | None: ...


_STRUCK = (
    "this was called in the middle of an operation of the same thread, by a signal handler or a finalizer: nothing "
    "of it was done; note what is to be done there, and do it once the operation has ended"
)


def refuse(slot: Visitor) -> None:
    """Raises: InUse: the caller has no part in what the slot's connection is in the middle of."""
    problem = conflict(slot)
    if problem is not None:
        raise in_use(slot, problem)


def in_use(slot: Visitor, problem: str) -> InUse:
    """The error of who may not use it."""
    return InUse(f"{slot.path}: {problem}", path=slot.path)


def conflict(slot: Visitor) -> str | None:
    """Why the caller may not use the connection now; None: it may. What an interrupt left is forgotten."""
    if slot.operation is not None and strikes_statement(slot):
        return _STRUCK
    transaction = slot.own_transaction()
    if transaction is None or not transaction.is_guarded:
        return None
    if not transaction.frame:
        return _other_task(transaction)
    # What the operation calls, a function of the program's or a method of its classes, may go on in it.
    found = strangers(sys._getframe(2), transaction.frame)
    if found is None:
        transaction.leave_behind()
        return None
    return _STRUCK if found and are_uncalled(found) else None


def is_struck(slot: Visitor) -> bool:
    """Whether the caller is a signal handler or a finalizer that struck an operation on the slot."""
    return conflict(slot) is _STRUCK


def strikes_statement(slot: Visitor) -> bool:
    """Whether the caller struck an operation of the engine's on the slot, which goes on when it returns."""
    operation = slot.operation
    if operation is None:
        return False
    found = strangers(sys._getframe(1), id(operation))
    if found is None:
        slot.operation = None  # an interrupt left it
        return False
    return bool(found)


def put_off(slot: Visitor, work: Callable[[], object]) -> bool:
    """Have `work`, that of a finalizer, done after the operation that it struck; False where it struck none."""
    frame, operation = sys._getframe(1), slot.operation
    transaction = slot.own_transaction()
    ids = [0 if operation is None else id(operation), 0 if transaction is None else transaction.frame]
    if not any(id_ and strangers(frame, id_) is not None for id_ in ids):
        return False
    slot.put_off.append(Later(work))
    return True


def is_in_block(slot: Visitor) -> bool:
    """Whether the program is in a block of its own on it, and the caller in no other task."""
    transaction = slot.own_transaction()
    if transaction is None:
        return False
    outermost = transaction.outermost()
    return outermost.is_open_block() and _other_task(outermost) is None


def _other_task(transaction: OpenTransaction) -> str | None:
    """Why the caller may not go on in a block of the program's: it is another task's, which is suspended in it."""
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
    """Does its work when it is dropped: Python then reports an error of it as that of any finalizer."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work

    def __del__(self) -> None:
        self._work()
