"""Deleting expired records: on request, and some with every so many writes, so that no store grows for ever.

The first write of a `Store`, and every PURGE_EVERY-th after it, looks for what has expired, in its own namespace and
in those that come next in the file; other writes do not look, and cost nothing more. What is found is deleted after
the write is committed and other writers had their turn: in a transaction of its own, so that an error in it does not
affect the write.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from store.engines.contract import Backend
from store.errors import InUse, LockTimeout, RecordError, StoreError
from store.rows.row import Row
from store.trust.seal import Sealer, Verdict

PAGE = 256  # expired records that `purge` deletes in one transaction
PURGE_EVERY = 100  # writes
PURGED_AT_ONCE = 200  # records: more than can have expired since the last time, or a backlog would never shrink
NAMESPACES_AT_ONCE = 200  # likewise: a namespace may have been made for each record
WAIT_SECONDS = 0.01  # for other writers: the caller has its answer already, and should not wait for this


class Page(NamedTuple):
    """Some expired rows: how many were looked at and deleted; `end`: when the last of them expired, and its id."""

    looked: int
    deleted: int
    end: tuple[float, int] | None


class Expired(NamedTuple):
    """The expired records of a location, and what decides whether they may be deleted."""

    engine: Backend
    sealer: Sealer
    clock: Callable[[], float]

    def delete_page(
        self,
        namespace: str,
        after: tuple[float, int] | None,
        limit: int,
        timeout: float | None = None,
        now: float | None = None,
    ) -> Page:
        """Deletes some, in one transaction, so that other writers get their turn between two of them."""
        with self.engine.transaction(timeout):
            rows = self.engine.expired(namespace, after, self.clock() if now is None else now, limit)
            own = [row for row in rows if self._is_own(row)]
            if own:
                self.engine.delete_rows(own)
        last = rows[-1] if rows else None
        return Page(len(rows), len(own), None if last is None else (last.expires or 0.0, last.id or 0))

    def delete_all(self, namespace: str) -> int:
        """Deletes those of a namespace that a key of ours sealed; returns how many."""
        now, deleted = self.clock(), 0
        end: tuple[float, int] | None = None
        while True:
            page = self.delete_page(namespace, end, PAGE, now=now)
            if page.end is None:
                return deleted
            deleted += page.deleted
            end = page.end

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
        self._namespace: str | None = None  # the one that was searched last
        # By namespace: where the last page ended; its rows may have stayed.
        self._ends: dict[str, tuple[float, int]] = {}

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
        room = PURGED_AT_ONCE - self._purge_one(expired, namespace, PURGED_AT_ONCE)
        if room <= 0:
            return
        found = expired.engine.expiring(self._namespace, expired.clock(), NAMESPACES_AT_ONCE)
        # After the last one, from the first one on.
        self._namespace = found[-1][0] if len(found) == NAMESPACES_AT_ONCE else None
        others = [name for name, has_expired in found if has_expired]
        if others:
            with expired.engine.transaction(WAIT_SECONDS):  # one, not one for each
                self._purge_others(expired, others, room)

    def _purge_others(self, expired: Expired, namespaces: list[str], room: int) -> None:
        for namespace in namespaces:
            room -= self._purge_one(expired, namespace, room)
            if room <= 0:
                self._namespace = namespace
                return

    def _purge_one(self, expired: Expired, namespace: str, room: int) -> int:
        """How many rows of a namespace were looked at; those that stay are looked at again after all others."""
        after = self._ends.pop(namespace, None)
        if not expired.engine.expired(namespace, after, expired.clock(), 1):  # takes no lock
            return 0
        page = expired.delete_page(namespace, after, room, WAIT_SECONDS)
        if page.end is not None and page.looked == room:  # else those that stay would be looked at again and again
            self._ends[namespace] = page.end
        return page.looked
