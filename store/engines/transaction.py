"""The life of a transaction that a thread holds open: nesting, ownership, and what an interrupt leaves of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from inspect import CO_COROUTINE
from types import FrameType, TracebackType
from typing import Any, Protocol
from weakref import ref

from store.engines.reentry import Later, Visitor, refuse, strikes_statement
from store.errors import StoreError
from store.system import running
from store.system.locking import Hold

ENTERING, ACTIVE, LEAVING, LEFT = "entering", "active", "leaving", "left"


class Place(Visitor, Protocol):
    """A thread's or greenlet's part of an engine, in which it has one transaction, and savepoints in that."""

    transaction: ref[HeldTransaction] | None
    outermost: ref[HeldTransaction] | None

    def settled(self) -> HeldTransaction | None:
        """The transaction that is open; what an interrupt left of one is rolled back."""

    def end_put_off(self) -> None:
        """Do what finalizers left, unless the thread is still inside something of the library's own."""

    def begin(self, hold: Hold, timeout: float) -> None:
        """Take the writer's lock for `hold`, and begin."""

    def commit(self, hold: Hold) -> None:
        """Raises: StoreError: nothing was committed; `roll_back` follows."""

    def roll_back(self) -> None:
        """End what is open. Never raises."""

    def give(self, hold: Hold) -> None:
        """Give the writer's lock back; nothing happens where `hold` does not have it."""

    def committed(self) -> None:
        """After the commit, the lock still held: maintenance that is due, such as a checkpoint."""

    def savepoint(self) -> Any: ...

    def release(self, savepoint: Any) -> None:
        """Keep the changes since the savepoint, as a part of the transaction around it."""

    def roll_back_to(self, savepoint: Any) -> None: ...

    def check_open(self, *, is_inside: bool) -> None:
        """Raises: StoreError: the store is closed, or, where one is inside a transaction, that has ended."""


class HeldTransaction(Hold):
    """All or nothing in one thread's place; itself the token that holds the writer's lock.

    The place refers to it weakly, and `state` says how far it came: whatever an interrupt leaves half-way is
    recognised by the next operation and rolled back.

    A `block` is the program's own: a signal handler that strikes in it joins it, as all does that the program calls
    there. Any other is a part of one operation of the library, whose frame it knows, and no handler joins it. It
    knows it by `id` alone: referred to, the frame would keep the transaction and with it the lock.
    """

    __slots__ = (
        "after", "block", "claims", "coroutine", "done", "frame", "is_guarded", "outer", "place", "savepoint",
        "state", "task", "timeout", "undo",
    )  # fmt: skip

    def __init__(self, place: Place, timeout: float, *, block: bool = False) -> None:
        super().__init__()
        self.place = place
        self.timeout = timeout
        self.block = block
        self.state = ENTERING
        self.frame = 0  # the id of the frame that the transaction is a part of; 0: the program's own
        self.task: ref[Any] | None = None  # the asyncio task that began it
        self.coroutine = 0  # the id of the frame that did, of a coroutine of another framework
        self.is_guarded = False  # whether any of the three is to be looked at
        self.outer: HeldTransaction | None = None
        self.savepoint: Any = None
        self.claims: set[tuple[str, str]] = set()
        self.undo: list[Callable[[], None]] = []
        self.done: list[Callable[[], None]] = []
        self.after: list[Callable[[], None]] = []  # what is to be done when it is over; of the outermost one alone

    def __enter__(self) -> HeldTransaction:
        if self.state is not ENTERING:
            raise StoreError("a transaction is entered once; call transaction() again for another one")
        place = self.place
        if place.operation is not None or place.transaction is not None:
            refuse(place)
        before = place.operation
        try:
            place.operation = sys._getframe()
            self._enter()
            self._belong(sys._getframe(1))
        finally:
            place.operation = before
        return self

    def _enter(self) -> None:
        place = self.place
        self.outer = place.settled()
        if self.outer is not None:
            place.check_open(is_inside=True)
            self.savepoint = place.savepoint()
            place.transaction = ref(self)
            return
        try:
            place.begin(self, self.timeout)
            place.outermost = place.transaction = ref(self)
        except BaseException:
            self._give_up()
            raise

    def _belong(self, caller: FrameType) -> None:
        """It has begun, for that frame of the library's, or for the program and one of its tasks."""
        task = running.task()
        if task is not None:
            self.task = ref(task)
        elif self.block and caller.f_code.co_flags & CO_COROUTINE:
            self.coroutine = id(caller)
        self._own(0 if self.block else id(caller))
        self.state = ACTIVE

    def _own(self, frame: int) -> None:
        self.frame = frame
        self.is_guarded = frame != 0 or self.task is not None or self.coroutine != 0

    def hand_over(self) -> None:
        """From now on it is the program's own block, until it is taken back."""
        self._own(0)

    def take_back(self) -> None:
        """It is a part of the caller again, which ends it."""
        self._own(id(sys._getframe(1)))

    def leave_behind(self) -> None:
        """An interrupt ended the frame that it was a part of: the next operation rolls it back."""
        self.state = LEFT

    def is_open_block(self) -> bool:
        """Whether the program is in it, and it is the program's own."""
        return self.state is ACTIVE and not self.frame

    def is_program_own(self) -> bool:
        """Whether nothing of the library's is going on in it."""
        return not self.frame and (self.outer is None or self.outer.is_program_own())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        place = self.place
        if self.thread != running.ident():  # a collection in another thread ends the generator that began it
            self._leave(failed=kind is not None)
            return
        if place.operation is not None and strikes_statement(place):
            place.put_off.append(Later(lambda: self.__exit__(kind, error, trace)))
            return
        before = place.operation
        try:
            place.operation = sys._getframe()
            self._leave(failed=kind is not None)
        finally:
            place.operation = before
            if place.put_off:
                place.end_put_off()
        if kind is None:
            while self.after:
                self.after.pop()()

    def _leave(self, *, failed: bool) -> None:
        self.state, self.is_guarded = LEAVING, False
        if self.outer is not None:
            self._leave_nested(self.outer, failed=failed)
        elif failed:
            self._give_up()
        else:
            self._commit()

    def on_rollback(self, undo: Callable[[], None]) -> None:
        """Call `undo` if this transaction, or one around it, is rolled back."""
        self.undo.append(undo)

    def on_commit(self, done: Callable[[], None]) -> None:
        """Call `done` once what happened in this transaction is committed, the outermost one included."""
        self.done.append(done)

    def claim(self, namespace: str, name: str) -> bool:
        """Take a record for this transaction's own; False where one around it has."""
        transaction: HeldTransaction | None = self
        while transaction is not None:
            if (namespace, name) in transaction.claims:
                return False
            transaction = transaction.outer
        self.claims.add((namespace, name))
        return True

    def was_left(self) -> bool:
        """Whether an interrupt ended the `with` block without `__exit__` having done its work."""
        if self.state is not ACTIVE:
            return True
        # An interrupt may strike at the very first instruction of __exit__, of ours or of what wraps us. The
        # exception that is being handled then tells, or the one that an interactive session keeps.
        error, last = sys.exc_info()[1], sys.__dict__.get("last_value")
        return (error is not None and self._passed(error)) or (last is not None and self._passed(last))

    def _passed(self, error: BaseException | None) -> bool:
        """Whether an exception, or one that it was raised in the handling of, left our `with` block."""
        while error is not None:
            trace = error.__traceback__
            while trace is not None:
                frame = trace.tb_frame
                if frame.f_code.co_name in ("__enter__", "__exit__") and _is_ours(frame):
                    owner = frame.f_locals.get("self")
                    if owner is self or getattr(owner, "transaction", None) is self:
                        return True
                trace = trace.tb_next
            error = error.__context__
        return False

    def _commit(self) -> None:
        place = self.place
        try:
            place.check_open(is_inside=True)
            place.commit(self)
        except BaseException:
            self._give_up()
            raise
        try:
            place.transaction = None
            while self.done:
                self.done.pop()()
            place.committed()
        finally:
            place.give(self)

    def _give_up(self) -> None:
        self.place.roll_back()
        self.place.give(self)
        self._undo()

    def _leave_nested(self, outer: HeldTransaction, *, failed: bool) -> None:
        if failed:
            self.place.roll_back_to(self.savepoint)
        else:
            self.place.check_open(is_inside=True)
            self.place.release(self.savepoint)
            outer.undo += self.undo
            outer.done += self.done
        self.place.transaction = ref(outer)
        if failed:
            self._undo()

    def outermost(self) -> HeldTransaction:
        """The transaction itself, where this one is nested."""
        return self if self.outer is None else self.outer.outermost()

    def _undo(self) -> None:
        while self.undo:
            self.undo.pop()()


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith("store.")
