"""`Place`: the file that a store is in, and whether another one is there by now."""

from __future__ import annotations

import os


class Place:
    """The file of a store that is open. The store itself looks once a second at most, and advises programs."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = file_at(path)

    def problem(self) -> str | None:
        """What has happened to the file since, and what to do; None if it is still there."""
        now = file_at(self._path)
        if now == self._file:
            return None
        what, advice = (
            ("deleted", "Put it back, or end `store web`.")
            if now is None
            else ("replaced", "End `store web`, and start it again to see the new one.")
        )
        return f"The file of the store was {what} after these pages were started. {advice}"


def place_of(location: str) -> Place | None:
    """The file of a store; None for one on a server or in memory."""
    return None if "://" in location or file_at(location) is None else Place(location)


def file_at(path: str) -> tuple[int, int] | None:
    """Device and number of a file; None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
