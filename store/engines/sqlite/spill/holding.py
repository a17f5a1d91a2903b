"""The lock on the spill folder for all values that are being written: one descriptor, however many there are."""

from __future__ import annotations

from weakref import ref

from store.engines.sqlite.spill.folder import Folder
from store.system.descriptors import Descriptor


class SharedHold:
    """Gives everyone who writes files of one folder the same descriptor, while there is one. Safe across threads.

    It refers to it weakly, and the lock goes with the last reference: no interrupt can come between counting a user
    and keeping what was counted.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._last: ref[Descriptor] | None = None

    def take(self, timeout: float) -> Descriptor:
        """The lock, to be kept until the row that names the files is committed. Raises: as `Folder.hold`."""
        held = None if self._last is None else self._last()
        if held is None or not self._folder.is_at_path(held.number):
            held = self._folder.hold(timeout)
            self._last = ref(held)
        return held

    def close(self) -> None:
        """In a forked child: the lock is the parent's, and would outlive it with this descriptor."""
        held, self._last = None if self._last is None else self._last(), None
        if held is not None:
            held.close()
