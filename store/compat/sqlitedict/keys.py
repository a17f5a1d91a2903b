"""The keys of a `SqliteDict`, and the names of their records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from store.compat.sqlitedict.coding import column_text, decode_key, identity
from store.engines.contract import Fields
from store.mapping.store import Store

T = TypeVar("T")
PAGE = 200  # records whose values or seals are read at once


class Keys(NamedTuple):
    """Key ⇄ name of a record."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]

    @property
    def run_code(self) -> bool:
        """Whether a function of the program decodes, which may run code that the text names."""
        return self.decode not in (identity, decode_key)

    def sought(self, key: Any) -> str | None:
        """The name to look up; None where no record can have it. Raises: TypeError, OverflowError."""
        return column_text(self.encode(key))

    def new(self, key: Any) -> str:
        """The name to write. Raises: TypeError, OverflowError."""
        name = column_text(self.encode(key))
        if name is None:
            raise TypeError(f"{key!r} would be stored as a key that no look-up finds; use a str or a number")
        return name

    def keys(self, store: Store[Any], names: Iterable[str], own: frozenset[str]) -> Iterator[Any]:
        """The keys of those names; `own` are those of this process.

        A decoder of the program gets only names that a key of the user sealed, unless the store trusts others.

        Raises:
            Untrusted, Tampered, Corrupt: another user, or damage, put the name there.
        """
        if not self.run_code or store.opened.options.trust != "own":
            yield from map(self.decode, names)
            return
        for page in pages(names):
            check_own(store, [name for name in page if name not in own])
            yield from map(self.decode, page)


def pages(items: Iterable[T]) -> Iterator[list[T]]:
    """The items in lists of at most `PAGE`."""
    left = iter(items)
    while page := list(islice(left, PAGE)):
        yield page


def present(store: Store[Any], names: Iterable[str]) -> list[str]:
    """Those of the names that have a record, by one look-up for many."""
    ns = store.opened
    found = ns.engine.get(ns.name, list(names), Fields.LISTED)
    return [name for name, item in found.items() if item.expires is None or name in store]


def check_own(store: Store[Any], names: list[str]) -> None:
    """Raises: Untrusted, Tampered, Corrupt: a record of one of these names has no seal of the user's keys."""
    ns = store.opened
    for row in ns.engine.get(ns.name, names).values():
        ns.check_own(
            row,
            "decode_key() does not get its name; look at it with `store inspect`, then take it over with "
            "`store admit`, or delete it",
        )
