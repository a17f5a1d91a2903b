"""Rows that were read together → names and values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Any

from store.errors import CodecUnavailable, Corrupt, RecordError
from store.opened.namespace import Namespace
from store.opened.options import OnUnreadable
from store.rows.row import Row, Sealed


def decoded(ns: Namespace, rows: Iterable[Row], on_unreadable: OnUnreadable = "raise") -> Iterator[tuple[str, Any]]:
    """Names and values, one by one, less those that expired or were deleted since the rows were read.

    `on_unreadable` says what is done with a row that cannot be decoded.
    """
    return _each(ns, rows, ns.is_alive, partial(_value_of, ns), on_unreadable)


def _value_of(ns: Namespace, row: Row) -> Any:
    """The value of a row that was read beside others; the user's own needs only the columns that its seal covers."""
    try:
        return ns.value_of(row)
    except Corrupt:
        sealed = row.sealed()
        if ns.writeback is not None or not ns.values.are_own((sealed,)):
            raise
        return ns.value_of_own(sealed)


def decoded_own(
    ns: Namespace, rows: Collection[Sealed], on_unreadable: OnUnreadable = "raise"
) -> Iterator[tuple[str, Any]] | None:
    """As `decoded`, on a faster path; None unless keys of ours sealed all those rows."""
    if ns.writeback is not None or not ns.values.are_own(rows):
        return None
    # The method of `ns` looks for files that a row has lost meanwhile; here no row has files.
    value_of = ns.values.value_of_own if ns.values.large is None else ns.value_of_own
    return _each(ns, rows, _is_alive, value_of, on_unreadable)


def _each(
    ns: Namespace,
    rows: Iterable[Any],
    is_alive: Callable[[Any, float], bool],
    value_of: Callable[[Any], Any],
    on_unreadable: OnUnreadable,
) -> Iterator[tuple[str, Any]]:
    for row in rows:
        try:
            if row.expires is not None and not is_alive(row, ns.clock()):
                continue
            value = value_of(row)
        except KeyError:
            continue
        except (RecordError, CodecUnavailable) as exc:
            if on_unreadable == "skip":
                continue
            if not callable(on_unreadable):
                raise
            value = on_unreadable(row.name, exc)
        yield row.name, value


def _is_alive(row: Sealed, now: float) -> bool:
    """Whether a row of ours has not expired: its seal proves its expiry."""
    return row.expires is None or row.expires > now
