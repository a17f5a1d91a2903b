"""Whether an engine may still be used, and the error if it may not."""

from __future__ import annotations

import errno

from store.errors import StorageError, StoreClosed, StoreError


class Usability:
    """The usability of one engine, which ends when it is closed, loses its log, or is forked in a transaction."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.has_ended = False
        """Whether any of the following is set."""
        self.is_closed = False
        self.is_forked = False
        """This process was forked while a connection to the file was in use, and must not touch it."""
        self.failure = ""
        """Why the engine cannot be used any more."""

    def close(self) -> None:
        """The engine was closed."""
        self.has_ended = self.is_closed = True

    def fork(self) -> None:
        """This process was forked while the file was in use."""
        self.has_ended = self.is_forked = True

    def fail(self, error: str) -> None:
        """Every use raises this error from now on."""
        self.failure, self.has_ended = error, True

    def check(self) -> None:
        """Raises: StoreError: this process was forked while the file was in use. StoreClosed. StorageError."""
        if self.is_forked:
            raise forked(self.path)
        if self.is_closed:
            raise StoreClosed(f"{self.path} is closed; open the store again")
        if self.failure:
            raise self.failed()

    def failed(self) -> StorageError:
        """The error that says what failed."""
        return StorageError(self.failure, errno=errno.ESTALE, path=self.path)


def forked(path: str) -> StoreError:
    """The error in a forked child for a file that its parent was using at the fork."""
    return StoreError(
        f"{path} was in a transaction when this process was forked from another, and cannot be used here: "
        'fork outside of transactions, or use spawn (multiprocessing.get_context("spawn"))'
    )


def moved(path: str, what: str) -> StorageError:
    """The error for a file that was "deleted" or "replaced"."""
    return StorageError(
        f"{path} was {what} while it was open, so a write would go nowhere; open the store again",
        errno=errno.ENOENT if what == "deleted" else errno.ESTALE,
        path=path,
    )
