"""The HTTP statuses of errors are the same for a page that cannot be shown and a form that could not be done."""

from __future__ import annotations

import pytest

from store.errors import (
    Conflict,
    Corrupt,
    InUse,
    LockTimeout,
    NotAStore,
    NotSerializable,
    OutcomeUnknown,
    ReadOnly,
    StorageError,
    StoreClosed,
    StoreNotFound,
    Tampered,
    UnknownProtocol,
    Unsupported,
    Untrusted,
)
from store.web.pages.query import BadQuery
from store.web.statuses import status_of


@pytest.mark.parametrize(("status", "kinds"), [
    (400, [NotSerializable, UnknownProtocol, BadQuery, ValueError, TypeError]),  # of what was sent
    (403, [ReadOnly]),
    (404, [StoreNotFound]),
    (409, [Conflict]),
    (500, [Corrupt, Tampered, Untrusted, NotAStore]),  # of what is there
    (501, [Unsupported]),
    (503, [LockTimeout, InUse, StoreClosed, StorageError, OutcomeUnknown]),  # of the moment
])  # fmt: skip
def test_status_says_whose_fault_it_is(status: int, kinds: list[type[Exception]]) -> None:
    for kind in kinds:
        assert (kind, status_of(kind("x"))) == (kind, status)
