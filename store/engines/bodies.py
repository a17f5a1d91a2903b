"""Bodies that a handle has read, so that the server sends one again only if it changed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

LEAST_BYTES = 4096  # of a body that is kept: to compare the seals of a smaller one takes as long as to send it


class Body(NamedTuple):
    """A body, and the seal of its row."""

    seal: bytes
    body: bytes


class Bodies:
    """Bodies by namespace and name, up to a number of bytes; the oldest goes first. Safe across threads.

    None is given out before the server has said, in the same read, that the row still has the seal that it was read
    with. The seal covers the body, and is checked after every read: rows with the same seal have the same body, also
    where the record was deleted and written again in between.
    """

    def __init__(self) -> None:
        self.limit = 0
        self._size = 0
        self._kept: OrderedDict[tuple[str, str], Body] = OrderedDict()
        self._mutex = threading.RLock()

    def keep_bytes(self, limit: int) -> None:
        """Keep up to so many bytes from now on; 0 keeps none."""
        self.limit = limit
        self.clear()

    def get(self, namespace: str, name: str) -> Body | None:
        return self._kept.get((namespace, name))

    def keep(self, namespace: str, name: str, seal: bytes, body: bytes) -> None:
        """Keep a body in place of that of the same name, if it is neither too small nor too large."""
        self.forget(namespace, name)
        if LEAST_BYTES <= len(body) <= self.limit:
            with self._mutex:
                self._kept[namespace, name] = Body(seal, body)
                self._size += len(body)
                while self._size > self.limit and self._kept:
                    self._size -= len(self._kept.popitem(last=False)[1].body)

    def forget(self, namespace: str, name: str) -> None:
        if (namespace, name) in self._kept:
            with self._mutex:
                kept = self._kept.pop((namespace, name), None)
                if kept is not None:
                    self._size -= len(kept.body)

    def clear(self) -> None:
        with self._mutex:
            self._kept.clear()
            self._size = 0

    def renew(self) -> None:
        """In a forked child: begin with none, and with a lock that no thread of the parent holds."""
        self._mutex = threading.RLock()
        self._kept, self._size = OrderedDict(), 0
