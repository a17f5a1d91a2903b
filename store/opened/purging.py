"""Deleting expired records: on request, and some with every so many writes, so that no store grows for ever.

The first write of a `Store`, and every PURGE_EVERY-th after it, looks for what has expired, in its own namespace and
in those that come next in the file; other writes do not look, and cost nothing more. What is found is deleted after
the write is committed and other writers had their turn: in a transaction of its own, so that an error in it does not
affect the write.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple

from store.engines.contract import Cursor, Delete, Engine, Order, Page
from store.errors import Conflict, InUse, LockTimeout, RecordError, StoreError
from store.rows.row import Row, has_expired
from store.trust.seal import Sealer, Verdict

PAGE = 256  # expired records that `purge` deletes in one transaction
PURGE_EVERY = 100  # writes
PURGED_AT_ONCE = 200  # records: more than can have expired since the last time, or a backlog would never shrink
WAIT_SECONDS = 0.01  # for other writers: the caller has its answer already, and should not wait for this


class Purged(NamedTuple):
    """Some expired rows: how many were looked at and deleted; and where the rest begins, None where there is none."""

    looked: int
    deleted: int
    next: Cursor | None


class Expired(NamedTuple):
    """The expired records of a location, and what decides whether they may be deleted."""

    engine: Engine
    sealer: Sealer
    clock: Callable[[], float]

    def page(self, namespace: str | None, after: Cursor | None, limit: int, now: float) -> Page:
        """Some of a namespace, or of all, those of other keys too. Takes no lock."""
        return self.engine.scan(namespace, Order.EXPIRY, after=after, until=now, limit=limit)

    def delete_page(
        self, namespace: str | None, after: Cursor | None, limit: int, now: float, timeout: float | None = None
    ) -> Purged:
        """Deletes some, in one transaction, so that other writers get their turn between two of them."""
        # Other writers go on: a record that one of them replaces meanwhile has another stamp, and stays. So a
        # transaction would add nothing where none is held open, and it could not read all namespaces.
        transactions = self.engine.transactions
        if transactions is not None and transactions.optimistic:
            transactions = None
        with nullcontext() if transactions is None else transactions.begin(timeout, scope=(namespace or "", ())):
            page = self.page(namespace, after, limit, now)
            own: dict[str, list[Delete]] = {}
            for row in page.items:
                if has_expired(row, now) and self._is_own(row):
                    own.setdefault(row.namespace, []).append(Delete(row.name, row.stamp))
            deleted = sum([self._delete(name, changes) for name, changes in own.items()])
        return Purged(len(page.items), deleted, page.next)

    def delete_all(self, namespace: str) -> int:
        """Deletes those of a namespace that a key of ours sealed; returns how many."""
        now = self.clock()
        page = self.delete_page(namespace, None, PAGE, now)
        deleted = page.deleted
        while page.next is not None:
            page = self.delete_page(namespace, page.next, PAGE, now)
            deleted += page.deleted
        return deleted

    def _delete(self, namespace: str, changes: list[Delete]) -> int:
        try:
            return self.engine.apply(namespace, changes).deleted
        except Conflict:  # one of them was written meanwhile
            return 0 if len(changes) == 1 else sum([self._delete(namespace, [change]) for change in changes])

    def _is_own(self, row: Row) -> bool:
        try:
            return self.sealer.check(row) is Verdict.OWN
        except RecordError:
            return False


class Purging:
    """When the next purge is due, and where the last one ended; shared by the namespaces of one `Store`.

    Safe across threads: it does not matter if two count at once, and one at a time purges.
    """

    def __init__(self) -> None:
        self.left = 0
        """Writes until the next purge; 0: at the next write."""
        self.error: StoreError | None = None
        """Why the last purge failed, if it did."""
        self._lock = threading.Lock()
        # By namespace, None being all of them: where the last page ended; its rows may have stayed.
        self._ends: dict[str | None, Cursor] = {}

    def run(self, expired: Expired, namespace: str) -> None:
        """Deletes some expired records, of that namespace first. Raises no StoreError; see `error`."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._purge(expired, namespace)
            self.error = None
        except (LockTimeout, InUse):
            self.left = PURGE_EVERY // 4
        except StoreError as exc:
            self.error = exc
        finally:
            self._lock.release()

    def _purge(self, expired: Expired, namespace: str) -> None:
        looked = self._purge_some(expired, namespace, PURGED_AT_ONCE)
        if looked < PURGED_AT_ONCE:
            self._purge_some(expired, None, PURGED_AT_ONCE - looked)

    def _purge_some(self, expired: Expired, namespace: str | None, room: int) -> int:
        """How many rows of a namespace were looked at; those that stay are looked at again after all others."""
        after, now = self._ends.pop(namespace, None), expired.clock()
        end = expired.page(namespace, after, 1, now)
        looked = 0
        if end.items:
            page = expired.delete_page(namespace, after, room, now, WAIT_SECONDS)
            looked, end = page.looked, end._replace(next=page.next)
        if end.next is not None:
            self._ends[namespace] = end.next
        return looked
