"""Which records a listing shows, and in which order: the same options for every command that lists."""

from __future__ import annotations

import functools
import heapq
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from store import Record, Store
from store.cli.output.exits import usage_error
from store.cli.reading import options

T = TypeVar("T")

PAGE_NAMES = 500
_SORT_HELP = "The order: by name, or the largest, newest, or first to expire before others."

Key = Callable[[Any], float]

# The largest, the newest and the first to expire are listed first.
RECORD_KEYS: dict[str, Key] = {
    "size": lambda record: -record.size,
    "modified": lambda record: -record.modified.timestamp(),
    "expires": lambda record: math.inf if record.expires is None else record.expires.timestamp(),
}


@dataclass(frozen=True, slots=True)
class Selection:
    """The values of --prefix, --after, --limit, --reverse and --sort."""

    prefix: str
    after: str | None = None
    limit: int | None = None
    reverse: bool = False
    sort: str = "name"

    def is_all(self) -> bool:
        """Whether it selects every record."""
        return not (self.prefix or self.after or self.limit is not None)

    def names(self, s: Store[Any]) -> Iterator[str]:
        """The names, in pages, so that a store of any size is listed in little memory."""
        after, left = self.after, self.limit
        while left is None or left > 0:
            wanted = PAGE_NAMES if left is None else min(left, PAGE_NAMES)
            page = s.names(self.prefix, after=after, limit=wanted, reverse=self.reverse)
            if not page:
                return
            yield from page
            after = page[-1]
            left = None if left is None else left - len(page)

    def records(self, s: Store[Any]) -> Iterator[Record]:
        """The metadata, no value decoded; sorting holds all of it in memory, or `limit` records."""
        if self.sort != "name":
            yield from self.sorted(s.records(self.prefix), RECORD_KEYS[self.sort])
        else:
            yield from s.records(self.prefix, self.after, self.limit, self.reverse)

    def sorted(self, found: Iterable[T], key: Key) -> list[T]:
        """The first `limit` objects in the order of a number."""
        wanted: Key = (lambda one: -key(one)) if self.reverse else key
        return sorted(found, key=wanted) if self.limit is None else heapq.nsmallest(self.limit, found, key=wanted)

    def of(self, names: Iterable[str]) -> Iterator[str]:
        """Those of some names that are selected, in order, without the limit."""
        for name in sorted(names, reverse=self.reverse):
            past = self.after is None or (name < self.after if self.reverse else name > self.after)
            if past and name.startswith(self.prefix):
                yield name


def selecting(*orders: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options of a listing, passed to its command as `selection`; `orders` are those besides "name"."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def with_selection(
            *, prefix: str, after: str | None, limit: int | None, reverse: bool, sort: str, **given: Any
        ) -> None:
            if after is not None and sort != "name":
                raise usage_error("--after goes on in the order of names; leave it or --sort out")
            command(selection=Selection(prefix, after, limit, reverse, sort), **given)

        return options.together(
            options.prefix,
            click.option("--after", metavar="NAME", type=options.text, help="Start after this name."),
            click.option("--limit", metavar="N", type=click.IntRange(min=0), help="At most N."),
            click.option("--reverse", is_flag=True, help="In reverse order."),
            click.option("--sort", type=click.Choice(["name", *orders]), default="name", help=_SORT_HELP),
        )(with_selection)

    return decorate
