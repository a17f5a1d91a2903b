"""`ls`: names and metadata, page by page; no value is ever decoded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import Any

import click

from store import Record, Store
from store.cli.options import namespace_option, open_store, path_argument, text
from store.cli.terminal import shown, shown_name

PAGE_NAMES = 500

_COLUMNS = "{:>10}  {:>4}  {:<20}  {:<20}  {:<20}  {}"
_HEADING = _COLUMNS.format("bytes", "rev", "modified", "expires", "type", "name")


@click.command()
@path_argument
@click.option("--prefix", metavar="P", type=text, default="", help="Only names that begin with P.")
@click.option("--after", metavar="NAME", type=text, help="Go on after this name.")
@click.option("--limit", metavar="N", type=click.IntRange(min=0), help="At most N names.")
@namespace_option
@click.option("--long", "form", flag_value="long", help="With sizes, revisions, times (UTC) and types.")
@click.option("--json", "form", flag_value="json", help="All metadata, as a JSON array of objects.")
def ls(path: str, prefix: str, after: str | None, limit: int | None, namespace: str, form: str | None) -> None:
    """Lists names.

    One on a line, in the order of their characters. A name that is not printable, or begins or ends with a
    blank, is shown as a JSON string.

    \b
    Examples:
      store ls app.db
      store ls app.db --prefix user: --long
      store ls app.db --limit 100 --after user:1
      store ls app.db --json
    """
    with open_store(path, mode="r", namespace=namespace) as s:
        names = _names(s, prefix, after, limit)
        if not (prefix or after or limit is not None):
            _tell_where_records_are(s)
        if form == "json":
            _print_json(s, names)
        elif form == "long":
            _print_pages(map(_line, _records(s, names)), heading=_HEADING)
        else:
            _print_pages(map(shown_name, names))


def _names(s: Store[Any], prefix: str, after: str | None, limit: int | None) -> Iterator[str]:
    """In pages, so that a store of any size is listed in little memory."""
    left = limit
    while left is None or left > 0:
        page = s.names(prefix, after=after, limit=PAGE_NAMES if left is None else min(left, PAGE_NAMES))
        if not page:
            return
        yield from page
        after = page[-1]
        left = None if left is None else left - len(page)


def _tell_where_records_are(s: Store[Any]) -> None:
    """A namespace that is empty, in a store that is not, was probably not the one that was meant."""
    namespaces = s.namespaces()
    if namespaces and s.namespace not in namespaces:
        listed = ", ".join(map(shown_name, namespaces[:10])) + (", …" if len(namespaces) > 10 else "")
        click.echo(f"store: nothing here; these namespaces have records: {listed}", err=True)


def _records(s: Store[Any], names: Iterator[str]) -> Iterator[Record]:
    for name in names:
        try:
            yield s.record(name)
        except KeyError:  # deleted since the page was read
            pass


def _print_pages(lines: Iterator[str], heading: str = "") -> None:
    """One write for many lines: each one is flushed."""
    while page := list(islice(lines, PAGE_NAMES)):
        click.echo("\n".join([heading, *page] if heading else page))
        heading = ""


def _print_json(s: Store[Any], names: Iterator[str]) -> None:
    items = (to_json(as_json(record)) for record in _records(s, names))
    separator = "["
    while page := list(islice(items, PAGE_NAMES)):
        click.echo(separator + ",\n ".join(page), nl=False)
        separator = ",\n "
    click.echo("[]" if separator == "[" else "]")


def _line(record: Record) -> str:
    expires = "never" if record.expires is None else _moment(record.expires)
    columns = (record.size, record.revision, _moment(record.modified), expires, record.type or "?")
    return _COLUMNS.format(*map(shown, map(str, columns)), shown_name(record.name))


def _moment(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ")


def to_json(facts: dict[str, Any]) -> str:
    """As one line. In a damaged file anything can stand in any column, so it must not matter what does."""
    return shown(json.dumps(facts, ensure_ascii=False, default=str))


def as_json(record: Record) -> dict[str, Any]:
    """The fields of a record; times as RFC 3339 has them."""
    return {
        field: value.isoformat() if isinstance(value, datetime) else value for field, value in asdict(record).items()
    }
