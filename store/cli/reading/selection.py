"""Which records a listing shows, and in which order: the same options for every command that lists."""

from __future__ import annotations

import functools
import heapq
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import click

from store import Record, Store
from store.cli.reading.options import text

T = TypeVar("T")

PAGE_NAMES = 500

Key = Callable[[Any], float]

# What comes first is what one looks for: the largest, the newest, the first to end.
RECORD_KEYS: dict[str, Key] = {
    "size": lambda record: -record.size,
    "modified": lambda record: -record.modified.timestamp(),
    "expires": lambda record: math.inf if record.expires is None else record.expires.timestamp(),
}


@dataclass(frozen=True, slots=True)
class Selection:
    """What --prefix, --after, --limit, --reverse and --sort ask for."""

    prefix: str
    after: str | None
    limit: int | None
    reverse: bool
    sort: str = "name"

    def is_all(self) -> bool:
        """Whether a store in which it finds nothing is empty."""
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
        """The metadata, no value decoded; in another order than that of names it is held, all of it or `limit`."""
        if self.sort != "name":
            yield from self.sorted(s.records(self.prefix), RECORD_KEYS[self.sort])
        elif self.after is None and not self.reverse:
            yield from islice(s.records(self.prefix), self.limit)
        else:
            yield from _records(s, self.names(s))

    def sorted(self, found: Iterable[T], key: Key) -> list[T]:
        """The first `limit` of them by a number."""
        wanted: Key = (lambda one: -key(one)) if self.reverse else key
        return sorted(found, key=wanted) if self.limit is None else heapq.nsmallest(self.limit, found, key=wanted)

    def of(self, names: Iterable[str]) -> Iterator[str]:
        """Those of some names, whatever they are of, in order; not yet limited."""
        for name in sorted(names, reverse=self.reverse):
            past = self.after is None or (name < self.after if self.reverse else name > self.after)
            if past and name.startswith(self.prefix):
                yield name


def selecting(*orders: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options of a listing, which give its command a `selection`; `orders` are those besides "name"."""
    options = (
        click.option("--prefix", metavar="P", type=text, default="", help="Only names that begin with P."),
        click.option("--after", metavar="NAME", type=text, help="Go on after this name."),
        click.option("--limit", metavar="N", type=click.IntRange(min=0), help="At most N."),
        click.option("--reverse", is_flag=True, help="The other way round."),
        click.option("--sort", type=click.Choice(["name", *orders]), default="name", help=_HELP),
    )

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def with_selection(
            *, prefix: str, after: str | None, limit: int | None, reverse: bool, sort: str, **given: Any
        ) -> None:
            if after is not None and sort != "name":
                raise click.UsageError(
                    "--after goes on in the order of names; leave it or --sort out", click.get_current_context()
                )
            command(selection=Selection(prefix, after, limit, reverse, sort), **given)

        for option in reversed(options):
            with_selection = option(with_selection)
        return with_selection

    return decorate


_HELP = "The order: by name, or the largest, newest, or first to expire before others."


def _records(s: Store[Any], names: Iterator[str]) -> Iterator[Record]:
    for name in names:
        try:
            yield s.record(name)
        except KeyError:  # deleted since the page was read
            pass
