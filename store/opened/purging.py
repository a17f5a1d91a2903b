"""Expired records, deleted by whoever writes: a few at a time, so that a store of sessions does not grow for ever.

The first write of a `Store`, and every PURGE_EVERY-th after it, looks for what has expired, in its own namespace and
in those that come next in the file; other writes do not look, and cost nothing more. What is found is deleted after
the write is committed and others had their turn: in a transaction of its own, so that nothing that goes wrong with it
touches the write.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from store.errors import InUse, LockTimeout, StoreError

if TYPE_CHECKING:
    from store.mapping.maintenance import Maintenance

PURGE_EVERY = 100  # writes
PURGED_AT_ONCE = 200  # records: more than can have expired since the last time, or what there is would never go
NAMESPACES_AT_ONCE = 200  # likewise: a namespace may have been made for each record
WAIT_SECONDS = 0.01  # for other writers: whoever wrote has its answer already, and should not wait for this


class Page(NamedTuple):
    """What became of some expired rows; `end`: when the last of them expired, and its id."""

    looked: int
    deleted: int
    end: tuple[float, int] | None


class Purging:
    """What the handles on one file know of it together: when the next purge is due, and where the last one ended.

    Safe across threads: that two count at once matters to nobody, and one at a time purges.
    """

    def __init__(self) -> None:
        self.left = 0
        """Writes until the next purge; none are: at the next write."""
        self.error: StoreError | None = None
        """Why the last purge failed, if it did."""
        self._lock = threading.Lock()
        self._namespace: str | None = None  # the one that was looked through last
        # By namespace: where the last page ended; its rows may have stayed.
        self._ends: dict[str, tuple[float, int]] = {}

    def run(self, store: Maintenance[Any]) -> None:
        """Deletes some of what has expired. Raises: nothing of the store's; see `error`."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._purge(store)
            self.error = None
        except (LockTimeout, InUse):
            self.left = PURGE_EVERY // 4
        except StoreError as exc:
            self.error = exc
        finally:
            self._lock.release()

    def _purge(self, store: Maintenance[Any]) -> None:
        room = PURGED_AT_ONCE - self._purge_one(store, store.namespace, PURGED_AT_ONCE)
        if room <= 0:
            return
        found = store._backend.expiring(self._namespace, store._clock(), NAMESPACES_AT_ONCE)
        # After the last one, from the first one on.
        self._namespace = found[-1][0] if len(found) == NAMESPACES_AT_ONCE else None
        expired = [namespace for namespace, has_expired in found if has_expired]
        if expired:
            with store._backend.transaction(WAIT_SECONDS):  # one, not one for each
                self._purge_others(store, expired, room)

    def _purge_others(self, store: Maintenance[Any], namespaces: list[str], room: int) -> None:
        for namespace in namespaces:
            room -= self._purge_one(store, namespace, room)
            if room <= 0:
                self._namespace = namespace
                return

    def _purge_one(self, store: Maintenance[Any], namespace: str, room: int) -> int:
        """How many rows of a namespace were looked at; those that stay are come back to once the others were."""
        after = self._ends.pop(namespace, None)
        if not store._backend.expired(namespace, after, store._clock(), 1):  # nothing is locked to learn that
            return 0
        page = store._purge_page(namespace, after, room, WAIT_SECONDS)
        if page.end is not None and page.looked == room:  # else those that stay would be looked at again and again
            self._ends[namespace] = page.end
        return page.looked
