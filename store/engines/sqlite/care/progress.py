"""Reports progress to the program, and keeps errors of its function apart from those of the copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int], object]


class Stopped(BaseException):
    """Carries an error of the progress function past the handlers of errors of the copy."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(cause)
        self.cause = cause


@contextmanager
def stoppable() -> Iterator[None]:
    """Raises the error that a `Stopped` carries, unchanged."""
    try:
        yield
    except Stopped as exc:
        raise exc.cause from exc.cause.__cause__


class Report:
    """Reports how much of a copy is done, in bytes."""

    def __init__(self, tell: Progress | None) -> None:
        self._tell = tell
        self._done = self._total = 0

    def begin(self, total: int) -> None:
        self._done, self._total = 0, total
        self.add(0)

    def add(self, size: int) -> None:
        """Report so many more bytes. Raises: Stopped: the progress function raised an error, which ends the copy."""
        self._done += size
        if self._tell is not None:
            try:
                self._tell(self._done, self._total)
            except Exception as exc:
                raise Stopped(exc) from exc
