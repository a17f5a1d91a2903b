"""The queries of addresses, which anybody may write by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from store.opened.arguments import check_name

SORTS = ("name", "size", "modified", "expires")
"""The orders of a listing."""


class BadQuery(ValueError):
    """A query that no link of the pages has; the message says what it should be."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The records that a listing is asked for."""

    namespace: str
    prefix: str = ""
    sort: str = "name"
    after: str | None = None
    """The record before the first one: its name, and before it its `sort` value, if that is another one."""
    reverse: bool = False


def wanted(query: Mapping[str, str]) -> Wanted:
    """The listing that a query asks for. Raises: BadQuery."""
    sort = query.get("sort") or "name"
    if sort not in SORTS:
        raise BadQuery(f"records are sorted by {', '.join(SORTS)}, and not by {sort[:80]!r}")
    after = query.get("after")
    return Wanted(
        name_of(query, "namespace"),
        name_of(query, "prefix"),
        sort,
        None if after is None else name_of(query, "after"),
        query.get("reverse", "") not in ("", "0"),
    )


def name_of(query: Mapping[str, str], key: str) -> str:
    """A name in a query; the empty one where it has none. Raises: BadQuery: no record can have it."""
    try:
        return check_name(query.get(key, ""), key)
    except ValueError as exc:
        raise BadQuery(str(exc)) from None


def count_of(query: Mapping[str, str], key: str) -> int | None:
    """A whole number from 0 up in a query; None where it has none. Raises: BadQuery."""
    text = query.get(key, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise BadQuery(f"{key} is a whole number from 0 up, and not {text[:80]!r}")
    return int(text)
