"""`ls`, `records`, `namespaces`: names and metadata, page by page; no value is ever decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import click

from store import Record, Store
from store.care.stats import totals_of
from store.cli.output.json_output import PAGE, as_json, print_array
from store.cli.output.tables import Column, print_table
from store.cli.output.terminal import shown_name
from store.cli.reading import options
from store.cli.reading.opening import clock, note_namespaces, open_store
from store.cli.reading.selection import RECORD_KEYS, Selection, selecting
from store.display.units import age_text, moment_text, size_text

COLUMNS = (
    Column("size", right=True, style="green"),
    Column("rev", right=True),
    Column("modified", style="cyan"),
    Column("expires", style="yellow"),
    Column("type", cut=True, style="magenta"),
    Column("name", cut=True, style="bold"),
)
LONG_COLUMNS = (
    *COLUMNS[:2],
    Column("created", style="cyan"),
    *COLUMNS[2:4],
    *(Column(heading, cut=True) for heading in ("codec", "python", "sealed by")),
    *COLUMNS[4:],
)
NAMESPACE_COLUMNS = (
    Column("records", right=True, style="cyan"),
    Column("size", right=True, style="green"),
    Column("namespace", cut=True, style="bold"),
)
NAMESPACE_KEYS = {"records": lambda one: -one["records"], "size": lambda one: -one["bytes"]}


def _listing(long_help: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The arguments and options of `ls` and `records`."""
    return options.together(
        options.path,
        options.namespace(),
        selecting(*RECORD_KEYS),
        click.option("--long", "form", flag_value="long", help=long_help),
        click.option("--json", "form", flag_value="json", help="All metadata, as a JSON array of objects."),
        options.exact,
        click.option("--utc", is_flag=True, help="Times in UTC, not as ages."),
        options.color,
    )


@click.command()
@_listing("As a table with sizes, revisions, ages and types.")
def ls(path: str, namespace: str, selection: Selection, form: str | None, **style: Any) -> None:
    """Lists names.

    Prints one name on a line, in the order of their characters. A name that is not printable, or begins or ends with
    a blank, is printed as a JSON string. --json gives the fields that `store records --help` names.

    \b
    Examples:
      store ls app.db
      store ls app.db --prefix user: --long
      store ls app.db --limit 100 --after user:1
      store ls app.db --long --sort size --limit 10
      store ls app.db --json
    """
    with open_store(path, mode="r", namespace=namespace) as s:
        if form == "json":
            print_array(map(as_json, selection.records(s)))
        elif form == "long":
            _print_records(selection.records(s), **style)
        else:
            by_name = selection.sort == "name"
            _print_names(selection.names(s) if by_name else (record.name for record in selection.records(s)))
        if selection.is_all():
            note_namespaces(s)


@click.command()
@_listing("With all that is known of each.")
def records(path: str, namespace: str, selection: Selection, form: str | None, **style: Any) -> None:
    """Shows the metadata of all records as a table.

    With --json as an array of objects with the keys namespace, name, codec, protocol, type, python, size
    (bytes), revision, created, modified, expires (RFC 3339, or null), sealed_by (the id of a key, or null) and
    version (another one after each write).

    \b
    Examples:
      store records app.db
      store records app.db --sort size --limit 10 --bytes
      store records app.db --sort expires --prefix session:
      store records app.db --long --utc
      store records app.db --json
    """
    with open_store(path, mode="r", namespace=namespace) as s:
        if form == "json":
            print_array(map(as_json, selection.records(s)))
        else:
            _print_records(selection.records(s), long=form == "long", **style)
        if selection.is_all():
            note_namespaces(s)


@click.command()
@options.path
@selecting(*NAMESPACE_KEYS)
@click.option("--json", "as_array", is_flag=True, help="As a JSON array of objects.")
@options.exact
@options.color
def namespaces(path: str, selection: Selection, as_array: bool, exact: bool, color: bool | None) -> None:
    """Lists the namespaces that have records.

    Shows how many records each has, and their size. The unnamed namespace is shown as "". With --json as an array of
    objects with the keys namespace, records and bytes.

    \b
    Examples:
      store namespaces app.db
      store namespaces app.db --sort size
      store namespaces app.db --json
    """
    with open_store(path, mode="r") as s:
        found: Iterator[dict[str, Any]] = (_figures(s, one) for one in selection.of(s.namespaces()))
        if selection.sort != "name":
            found = iter(selection.sorted(found, NAMESPACE_KEYS[selection.sort]))
        found = islice(found, selection.limit)
        if as_array:
            print_array(found)
            return
        rows = (
            (str(one["records"]), size_text(one["bytes"], exact=exact), shown_name(one["namespace"])) for one in found
        )
        print_table(NAMESPACE_COLUMNS, rows, color=color)


def _print_records(
    found: Iterable[Record], *, exact: bool, utc: bool, color: bool | None, long: bool = False
) -> None:
    now = clock()()

    def cells(record: Record) -> list[str]:
        created, modified, expires = (
            moment_text(moment) if utc else age_text(moment, now)
            for moment in (record.created, record.modified, record.expires)
        )
        size, revision = size_text(record.size, exact=exact), str(record.revision)
        name, kind = shown_name(record.name), str(record.type or "?")
        if not long:
            return [size, revision, modified, expires, kind, name]
        codec, python = f"{record.codec} {record.protocol}", str(record.python or "?")
        seal = record.sealed_by or "no key"
        return [size, revision, created, modified, expires, codec, python, seal, kind, name]

    print_table(LONG_COLUMNS if long else COLUMNS, map(cells, found), color=color)


def _print_names(names: Iterator[str]) -> None:
    """Writes many lines at a time: each write is flushed."""
    lines = map(shown_name, names)
    while page := list(islice(lines, PAGE)):
        click.echo("\n".join(page))


def _figures(s: Store[Any], namespace: str) -> dict[str, Any]:
    totals = totals_of(s.opened, [namespace])
    return {"namespace": namespace, "records": totals.records, "bytes": totals.bytes}
