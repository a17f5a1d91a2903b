"""Telling a program how far a copy is, without taking an error of its function for one of the copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int], object]


class Stopped(BaseException):
    """Carries what whoever was told of the progress raised past all that would take it for an error of theirs."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(cause)
        self.cause = cause


@contextmanager
def stoppable() -> Iterator[None]:
    """What a `Stopped` carries is raised as it was."""
    try:
        yield
    except Stopped as exc:
        raise exc.cause from exc.cause.__cause__


class Report:
    """Tells how much of a copy is done, in bytes."""

    def __init__(self, tell: Progress | None) -> None:
        self._tell = tell
        self._done = self._total = 0

    def begin(self, total: int) -> None:
        self._done, self._total = 0, total
        self.add(0)

    def add(self, size: int) -> None:
        """So much more is done. Raises: Stopped: whoever was told raised something, which ends the copy."""
        self._done += size
        if self._tell is not None:
            try:
                self._tell(self._done, self._total)
            except Exception as exc:
                raise Stopped(exc) from exc
