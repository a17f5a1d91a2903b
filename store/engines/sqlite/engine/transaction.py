"""A transaction: the writer's lock, `BEGIN IMMEDIATE`, and savepoints for those inside it."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from inspect import CO_COROUTINE
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any
from weakref import ref

from store.engines.reentry import Later, refuse, strikes_statement
from store.engines.sqlite.engine.slot import Slot, row_count
from store.errors import StorageError, StoreError
from store.system import running
from store.system.locking import Hold

if TYPE_CHECKING:
    from store.engines.sqlite.engine.engine import Engine, Touched

ENTERING, ACTIVE, LEAVING, LEFT = "entering", "active", "leaving", "left"


class SqliteTransaction(Hold):
    """All or nothing on one thread's connection; itself the token that holds the writer's lock.

    The slot refers to it weakly, and `state` says how far it came: whatever an interrupt leaves half-way is
    recognised by the next operation and rolled back (`Slot.current`, `WriterLock`).

    A `block` is the program's own: a signal handler that strikes in it joins it, as all does that the program calls
    there. Any other is a part of one operation of the library, whose frame it knows, and no handler joins it. It
    knows it by `id` alone: referred to, the frame would keep the transaction and with it the lock, for as long as a
    slot or another frame knew of it.
    """

    __slots__ = (
        "after", "anything", "block", "changes", "claims", "coroutine", "done", "engine", "frame", "header",
        "is_guarded", "outer", "savepoint", "slot", "state", "task", "timeout", "touched", "undo",
    )  # fmt: skip

    def __init__(self, engine: Engine, timeout: float, *, block: bool = False) -> None:
        super().__init__()
        self.engine = engine
        self.timeout = timeout
        self.slot: Slot = engine.slot()
        self.state = ENTERING
        self.block = block
        self.frame = 0  # the id of that which the transaction is a part of; 0: the program's own
        self.task: ref[Any] | None = None  # the asyncio task that began it
        self.coroutine = 0  # the id of the frame that did, of a coroutine of another framework
        self.is_guarded = False  # whether any of the three is to be looked at
        self.outer: SqliteTransaction | None = None
        self.savepoint = 0  # how deep; 0 is the transaction itself
        self.claims: set[tuple[str, str]] = set()
        self.undo: list[Callable[[], None]] = []
        self.touched: list[tuple[str, str]] = []  # one list for all that are nested
        self.anything = False
        self.header: bytes | None = None
        self.changes = 0
        self.done: list[Callable[[], None]] = []
        self.after: list[Callable[[], None]] = []  # what is to be done when it is over; of the outermost one alone

    def __enter__(self) -> SqliteTransaction:
        if self.state is not ENTERING:
            raise StoreError("a transaction is entered once; call transaction() again for another one")
        slot = self.slot
        if slot.operation is not None or slot.transaction is not None:
            refuse(slot)
        before = slot.operation
        try:
            slot.operation = sys._getframe()
            self._enter()
            self._belong(sys._getframe(1))
        finally:
            slot.operation = before
        return self

    def _enter(self) -> None:
        outer = self.slot.settled()
        if outer is not None:
            outer.check_alive()
            self.outer, self.savepoint, self.touched = outer, outer.savepoint + 1, outer.touched
            self._execute(f"SAVEPOINT nested_{self.savepoint}")
            self.slot.transaction = ref(self)
            return
        self.engine.take(self, self.slot, self.timeout)
        try:
            self._begin()
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
        """An interrupt ended the frame that it was a part of: whoever comes next rolls it back."""
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
        slot = self.slot
        if self.thread != running.ident():  # a collection in another thread ends the generator that began it
            self._leave(failed=kind is not None)
            return
        if slot.operation is not None and strikes_statement(slot):
            slot.put_off.append(Later(lambda: self.__exit__(kind, error, trace)))
            return
        before = slot.operation
        try:
            slot.operation = sys._getframe()
            self._leave(failed=kind is not None)
        finally:
            slot.operation = before
            if slot.put_off:
                slot.end_put_off()
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

    def touch(self, touched: Touched) -> None:
        """Remember what this transaction may have changed; what is rolled back inside it as well."""
        if touched is None:
            self.outermost().anything = True
        else:
            self.touched += touched

    def on_commit(self, done: Callable[[], None]) -> None:
        """Call `done` once what happened in this transaction is committed, the outermost one included."""
        self.done.append(done)

    def claim(self, namespace: str, name: str) -> bool:
        """Take a record for this transaction's own; False where one around it has."""
        transaction: SqliteTransaction | None = self
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

    def check_alive(self) -> None:
        """Raises: StoreError: nothing may be written in this transaction: it has ended already."""
        self.engine.check_open()
        if not self._is_open():
            self.engine.check_open()  # another thread may have closed the store just now
            raise StoreError(
                f"{self.engine.path}: the transaction had ended before its block did (a failed write or "
                "an interrupt rolled it back); nothing of it was kept, run it again"
            )

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

    def _begin(self) -> None:
        self.slot.owner = self.thread
        self.slot.begin(self.timeout)
        self.header, self.changes = self.engine.coherence.header(), self._changes()
        self.slot.outermost = self.slot.transaction = ref(self)

    def _commit(self) -> None:
        try:
            self.check_alive()
            self.engine.check_in_place()  # it may have begun long ago
            self._execute("COMMIT")
        except BaseException:
            self._give_up()
            raise
        self.slot.transaction = None
        try:
            self._check_log()
            if self.header is not None and self._changes() != self.changes:  # else any change is somebody else's
                self.engine.coherence.committed(self.header, None if self.anything else self.touched)
            while self.done:
                self.done.pop()()
            self.engine.committed(self.slot)
        finally:
            self.engine.give(self)

    def _check_log(self) -> None:
        try:
            self.engine.check_log()
        except StorageError:
            self._undo()  # what was written is kept or lost with the log
            raise

    def _give_up(self) -> None:
        if not self.engine.is_lost():  # in a forked child the connection is the parent's
            self.slot.roll_back()
            self.engine.give(self)
        self._undo()

    def _leave_nested(self, outer: SqliteTransaction, *, failed: bool) -> None:
        if not failed:
            self.check_alive()
            self._execute(f"RELEASE nested_{self.savepoint}")
            outer.undo += self.undo
            outer.done += self.done
        elif self._is_open():  # an error such as a full disk may have ended the whole transaction
            self._execute(f"ROLLBACK TO nested_{self.savepoint}")
            self._execute(f"RELEASE nested_{self.savepoint}")
        self.slot.transaction = ref(outer)
        if failed:
            self.touch(None)  # rows changed that no commit will have changed
            self._undo()

    def outermost(self) -> SqliteTransaction:
        """The transaction itself, where this one is nested."""
        return self if self.outer is None else self.outer.outermost()

    def _changes(self) -> int:
        conn = self.slot.conn
        try:
            return 0 if conn is None else conn.total_changes
        except sqlite3.ProgrammingError:  # another thread closes the store
            return 0

    def _is_open(self) -> bool:
        conn = self.slot.conn
        try:
            return not self.engine.is_lost() and conn is not None and conn.in_transaction
        except sqlite3.ProgrammingError:  # another thread closes the store
            return False

    def _execute(self, sql: str) -> None:
        self.slot.run(sql, (), row_count, self.timeout)

    def _undo(self) -> None:
        while self.undo:
            self.undo.pop()()


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith("store.")
