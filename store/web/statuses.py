"""The HTTP status of an error: one table for what a page could not show and what a form could not do."""

from __future__ import annotations

from store.errors import (
    Conflict,
    InUse,
    LockTimeout,
    NotSerializable,
    ReadOnly,
    StorageError,
    StoreClosed,
    StoreError,
    StoreNotFound,
    UnknownProtocol,
    Unsupported,
)

# The first kind that an error is of; 400 for others, which are about the request.
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (Conflict, 409),
    (NotSerializable, 400),
    (UnknownProtocol, 400),
    (StoreNotFound, 404),
    (ReadOnly, 403),
    (Unsupported, 501),
    (LockTimeout, 503),
    (InUse, 503),
    (StoreClosed, 503),
    (StorageError, 503),
    (StoreError, 500),  # and what is stored that cannot be read
)


def status_of(error: Exception) -> int:
    """The HTTP status of the page that shows an error of the library, of a query or of a form."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 400)
