"""Optimistic transactions: reads are recorded and compared at the commit, and no transaction is held open.

For engines behind a network, where an open transaction of one client would block all others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from weakref import ref

from store.engines.capabilities import Changes
from store.engines.contract import (
    ABSENT,
    ANY,
    Applied,
    Change,
    Check,
    Cursor,
    Delete,
    Fields,
    Load,
    Order,
    Page,
    Reads,
    of_row,
)
from store.engines.overlay import Overlay, in_order
from store.engines.registry import supported
from store.errors import Conflict, label
from store.rows.row import Row

KEPT_BYTES = 2**20  # of the records that a transaction has read, which it does not read again
ROW_BYTES = 400  # of a record beside its body
NEW_IDS = 2**60  # after those of the base, without asking it for its last one: others may add records meanwhile


class Committed(Reads, Protocol):
    """What an optimistic transaction needs of an engine, outside of any transaction."""

    kind: str

    @property
    def changes(self) -> Changes | None: ...

    def apply(self, namespace: str, changes: Sequence[Change | Load], *, stamps: bool = False) -> Applied:
        """As `Engine.apply`."""

    @property
    def apply_several(self) -> Callable[[Mapping[str, Sequence[Change | Load]]], object] | None:
        """Makes changes of several namespaces, all or none; None: it cannot. Raises: Unsupported, Conflict."""


class Optimistic:
    """A transaction without locks; of two that touch the same record, the later commit fails."""

    def __init__(self, engine: Committed) -> None:
        self._engine = engine
        self._seen = _Recorder(engine)
        self.view = Overlay(self._seen, NEW_IDS)
        """Its reads and writes; `savepoint` and `roll_back_to` are methods of the view."""

    @property
    def overtaken(self) -> ref[Conflict] | None:
        """The error for a record that others had changed, by which this transaction ended."""
        return self._seen.overtaken

    def saw(self, namespace: str, rows: Mapping[str, Row | None]) -> None:
        """These records were read for it when it began; None: that name has no record."""
        self._seen.record(namespace, rows)

    def commit(self) -> None:
        """Raises: Conflict: a record changed after it was read. Unsupported: it spans several namespaces."""
        try:
            self._commit()
        except Conflict as exc:
            self._seen.overtaken = ref(exc)
            raise

    def _commit(self) -> None:
        changes = self.view.changes
        if not self.view.is_changed:
            return
        expected = dict(self._seen.expected)
        writes: dict[str, list[Change | Load]] = {}
        for key, (row, is_new, base) in in_order(changes):
            steps = writes.setdefault(key[0], [])
            if base is not None and (row is None or is_new):
                steps.append(Delete(key[1], expected.pop(key, ANY)))
            if row is not None:
                steps.append(Load(row._replace(id=None), expected.pop(key, ANY)))
        every: dict[str, list[Change | Load]] = {}
        for (namespace, name), state in expected.items():
            every.setdefault(namespace, []).append(Check(name, state))
        for namespace, steps in writes.items():
            every.setdefault(namespace, []).extend(steps)
        if len(every) > 1:
            supported(self._engine.apply_several, self._engine.kind, "transactions over several namespaces")(every)
        for namespace, steps in every.items() if len(every) == 1 else ():
            self._engine.apply(namespace, steps)


class _Recorder:
    """Reads an engine, and records the first state of each record that it reads, for the commit to expect.

    A record that is read again, also to be written, is the same as before: it comes from here, or it is a Conflict.
    """

    def __init__(self, engine: Committed) -> None:
        self.expected: dict[tuple[str, str | None], Any] = {}
        self.overtaken: ref[Conflict] | None = None
        self._engine = engine
        self._versions = engine.changes
        self._kept: dict[tuple[str, str], Row | None] = {}
        self._room = KEPT_BYTES

    def get(self, namespace: str, names: Sequence[str], fields: Fields = Fields.ROW) -> dict[str, Any]:
        kept = self._kept
        rows: dict[str, Row | None] = {name: kept[namespace, name] for name in names if (namespace, name) in kept}
        if len(rows) < len(names):
            others = [name for name in names if name not in rows]
            read = self._engine.get(namespace, others)
            found = {name: read.get(name) for name in others}
            self.record(namespace, found)
            rows |= found
        return {name: of_row(row, fields) for name in names if (row := rows[name]) is not None}

    def record(self, namespace: str, rows: Mapping[str, Row | None]) -> None:
        """Expect these states. Raises: Conflict: another state of one was read before."""
        for name, row in rows.items():
            state = ABSENT if row is None else row.stamp
            if self.expected.setdefault((namespace, name), state) != state:
                raise self._overtake(namespace, name)
            size = ROW_BYTES + (0 if row is None else len(row.body))
            if size <= self._room:
                self._room -= size
                self._kept[namespace, name] = row

    def _overtake(self, namespace: str, name: str) -> Conflict:
        error = Conflict(
            f"{label(name, namespace)} was changed by another writer since this transaction read it; run the "
            "transaction again",
            name=name,
            namespace=namespace,
        )
        self.overtaken = ref(error)
        return error

    def scan(self, namespace: str | None, order: Order, **how: Any) -> Page:
        self._all_of(namespace)
        return self._engine.scan(namespace, order, **how)

    def end(self, namespace: str | None) -> Cursor:
        self._all_of(namespace)
        return self._engine.end(namespace)

    def count(self, namespace: str, now: float) -> tuple[int, float]:
        self._all_of(namespace)
        return self._engine.count(namespace, now)

    def namespaces(self, now: float, after: str | None = None, limit: int | None = None) -> list[str]:
        return self._engine.namespaces(now, after, limit)

    def _all_of(self, namespace: str | None) -> None:
        """Expect the whole namespace to stay unchanged; called before it is read, since the version may grow."""
        if namespace is not None and self._versions is not None and (namespace, None) not in self.expected:
            self.expected[namespace, None] = self._versions.version_of(namespace)
