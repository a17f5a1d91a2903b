"""A transaction that a thread holds open: nesting, ownership, and cleanup after an interrupt."""

from __future__ import annotations

import sys
from collections.abc import Callable
from sys import exc_info
from types import FrameType, TracebackType
from typing import Any, Protocol
from weakref import ref

from store.engines.capabilities import WHOLE, Scope
from store.engines.reentry import Later, Visitor, interrupts_operation, refuse
from store.errors import StoreError
from store.system import running
from store.system.locking import Hold

_SYS = sys.__dict__
CO_COROUTINE = 0x80  # as in `inspect`, whose import takes 4 ms
ENTERING, ACTIVE, LEAVING, LEFT = "entering", "active", "leaving", "left"


class Place(Visitor, Protocol):
    """The part of an engine that one thread or greenlet uses; it has one transaction, with savepoints in it."""

    transaction: ref[HeldTransaction] | None
    outermost: ref[HeldTransaction] | None

    def live_transaction(self) -> HeldTransaction | None:
        """The open transaction; one that an interrupt ended is rolled back."""

    def run_deferred(self) -> None:
        """Run the deferred work of finalizers, unless the thread is still inside an operation of the library."""

    def begin(self, hold: Hold, timeout: float) -> None:
        """Acquire the writer's lock for `hold`, and begin."""

    def commit(self, hold: Hold) -> None:
        """Raises: StoreError: nothing was committed; `roll_back` follows."""

    def roll_back(self) -> None:
        """Roll back the open transaction. Never raises."""

    def give(self, hold: Hold) -> None:
        """Release the writer's lock; does nothing if `hold` does not have it."""

    def committed(self) -> None:
        """Do maintenance that is due after the commit, such as a checkpoint, with the lock still held."""

    def settle(self, timeout: float) -> None:
        """Wait until the commit is on the disk, if the durability requires it; the lock is released.

        Raises: OutcomeUnknown: it may not be. It can be read all the same.
        """

    def savepoint(self, transaction: HeldTransaction) -> Any:
        """The savepoint at which a nested transaction begins."""

    def release(self, savepoint: Any) -> None:
        """Keep the changes since the savepoint, as part of the enclosing transaction."""

    def roll_back_to(self, savepoint: Any) -> None: ...

    def check_open(self, *, is_inside: bool) -> None:
        """Raises: StoreError: the store is closed, or `is_inside` and the transaction has ended."""


class HeldTransaction(Hold):
    """A transaction in one thread's place; it is also the token that holds the writer's lock.

    The place refers to it weakly, and `state` says how far it got: the next operation recognises a transaction that
    an interrupt ended, and rolls it back.

    The program opens a `block`: all that it calls there takes part in it, signal handlers too. Any other transaction
    belongs to one operation of the library, and no handler takes part in it. It stores only the `id` of the
    operation's frame: a reference to the frame would keep the transaction alive, and with it the lock.
    """

    __slots__ = (
        "after", "block", "claims", "coroutine", "done", "frame", "is_guarded", "outer", "place", "savepoint",
        "scope", "state", "task", "timeout", "undo",
    )  # fmt: skip

    def __init__(self, place: Place, timeout: float, *, block: bool = False, scope: Scope = WHOLE) -> None:
        super().__init__()
        self.place = place
        self.timeout = timeout
        self.block = block
        self.scope = scope
        self.state = ENTERING
        self.frame = 0  # the id of the frame that the transaction belongs to; 0: a block of the program
        self.task: ref[Any] | None = None  # the asyncio task that began it
        self.coroutine = 0  # the id of the frame that began it, for a coroutine of another framework
        self.is_guarded = False  # whether any of the three is set
        self.outer: HeldTransaction | None = None
        self.savepoint: Any = None
        self.claims: set[tuple[str, str]] = set()
        self.undo: list[Callable[[], None]] = []
        self.done: list[Callable[[], None]] = []
        self.after: list[Callable[[], None]] = []  # called once it has ended; used in the outermost one only

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
        self.outer = place.live_transaction()
        if self.outer is not None:
            place.check_open(is_inside=True)
            self.savepoint = place.savepoint(self)
            place.transaction = ref(self)
            return
        try:
            place.begin(self, self.timeout)
            place.outermost = place.transaction = ref(self)
        except BaseException:
            self._give_up()
            raise

    def _belong(self, caller: FrameType) -> None:
        """Mark it as begun by that frame of the library, or by the program and one of its tasks."""
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
        """Make it a block of the program, until it is taken back."""
        self._own(0)

    def take_back(self) -> None:
        """Make it part of the caller's frame again; the caller ends it."""
        self._own(id(sys._getframe(1)))

    def leave_behind(self) -> None:
        """Mark it as ended by an interrupt, so that the next operation rolls it back."""
        self.state = LEFT

    def is_open_block(self) -> bool:
        """Whether it is active, and a block of the program."""
        return self.state is ACTIVE and not self.frame

    def is_program_own(self) -> bool:
        """Whether no operation of the library is running in it."""
        return not self.frame and (self.outer is None or self.outer.is_program_own())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        place = self.place
        if self.thread != running.ident():  # garbage collection in another thread ended the generator that began it
            self._leave(failed=kind is not None)
            return
        if place.operation is not None and interrupts_operation(place):
            place.deferred.append(Later(lambda: self.__exit__(kind, error, trace)))
            return
        before = place.operation
        try:
            place.operation = sys._getframe()
            self._leave(failed=kind is not None)
        finally:
            place.operation = before
            if place.deferred:
                place.run_deferred()
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
        """Call `undo` if this transaction or an enclosing one is rolled back."""
        self.undo.append(undo)

    def on_commit(self, done: Callable[[], None]) -> None:
        """Call `done` once the outermost transaction is committed."""
        self.done.append(done)

    def claim(self, namespace: str, name: str) -> bool:
        """Claim a record for this transaction; False if it or an enclosing one has claimed it."""
        transaction: HeldTransaction | None = self
        while transaction is not None:
            if (namespace, name) in transaction.claims:
                return False
            transaction = transaction.outer
        self.claims.add((namespace, name))
        return True

    def is_untouched(self) -> bool:
        """Whether it is active, and there is no exception that may have ended it; False: see `was_left`."""
        return self.state is ACTIVE and exc_info()[1] is None and "last_value" not in _SYS

    def was_left(self) -> bool:
        """Whether an interrupt ended the `with` block before `__exit__` finished."""
        if self.state is not ACTIVE:
            return True
        # An interrupt may come at the first instruction of __exit__, ours or that of a wrapper. The traceback of the
        # exception that is being handled shows it, or of the one that an interactive session keeps.
        error, last = sys.exc_info()[1], sys.__dict__.get("last_value")
        return (error is not None and self._passed(error)) or (last is not None and self._passed(last))

    def _passed(self, error: BaseException | None) -> bool:
        """Whether an exception, or one in its context, left our `with` block."""
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
        place.settle(self.timeout)

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
        """The outermost of the transactions that it is nested in, or itself."""
        return self if self.outer is None else self.outer.outermost()

    def _undo(self) -> None:
        while self.undo:
            self.undo.pop()()


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith("store.")
