"""`ls`, `records`, `namespaces`: names and metadata, page by page; no value is ever decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import click

from store import Record, Store
from store.cli.json_output import PAGE, as_json, print_array
from store.cli.options import bytes_option, clock, color_option, namespace_option, open_store, path_argument
from store.cli.selection import RECORD_KEYS, Selection, selecting
from store.cli.tables import Column, print_table
from store.cli.terminal import shown_name
from store.cli.units import age_text, moment_text, size_text

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

utc_option = click.option("--utc", is_flag=True, help="Times in UTC, not as ages.")
array_option = click.option("--json", "form", flag_value="json", help="All metadata, as a JSON array of objects.")


@click.command()
@path_argument
@namespace_option
@selecting(*RECORD_KEYS)
@click.option("--long", "form", flag_value="long", help="As a table with sizes, revisions, ages and types.")
@array_option
@bytes_option
@utc_option
@color_option
def ls(
    path: str, namespace: str, selection: Selection, form: str | None, exact: bool, utc: bool, color: bool | None
) -> None:
    """Lists names.

    One on a line, in the order of their characters. A name that is not printable, or begins or ends with a
    blank, is shown as a JSON string. --json gives the fields that `store records --help` names.

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
            print_records(selection.records(s), exact=exact, utc=utc, color=color)
        elif selection.sort == "name":
            _print_names(selection.names(s))
        else:
            _print_names(record.name for record in selection.records(s))
        _tell_where_records_are(s, selection)


@click.command()
@path_argument
@namespace_option
@selecting(*RECORD_KEYS)
@click.option("--long", "form", flag_value="long", help="With all that is known of each.")
@array_option
@bytes_option
@utc_option
@color_option
def records(
    path: str, namespace: str, selection: Selection, form: str | None, exact: bool, utc: bool, color: bool | None
) -> None:
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
            print_records(selection.records(s), exact=exact, utc=utc, color=color, long=form == "long")
        _tell_where_records_are(s, selection)


@click.command()
@path_argument
@selecting(*NAMESPACE_KEYS)
@click.option("--json", "as_array", is_flag=True, help="As a JSON array of objects.")
@bytes_option
@color_option
def namespaces(path: str, selection: Selection, as_array: bool, exact: bool, color: bool | None) -> None:
    """Lists the namespaces that have records.

    With how many, and what they take. The unnamed namespace is shown as "". With --json as an array of objects
    with the keys namespace, records and bytes.

    \b
    Examples:
      store namespaces app.db
      store namespaces app.db --sort size
      store namespaces app.db --json
    """
    with open_store(path, mode="r") as s:
        found: Iterable[dict[str, Any]] = (_figures(s, name) for name in selection.of(s.namespaces()))
        if selection.sort != "name":
            found = selection.sorted(found, NAMESPACE_KEYS[selection.sort])
        found = islice(found, selection.limit)
        if as_array:
            print_array(found)
            return
        rows = (
            (str(one["records"]), size_text(one["bytes"], exact=exact), shown_name(one["namespace"])) for one in found
        )
        print_table(NAMESPACE_COLUMNS, rows, color=color)


def print_records(found: Iterable[Record], *, exact: bool, utc: bool, color: bool | None, long: bool = False) -> int:
    """A table of metadata; how many lines it had."""
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

    return print_table(LONG_COLUMNS if long else COLUMNS, map(cells, found), color=color)


def _print_names(names: Iterator[str]) -> None:
    """One write for many lines: each one is flushed."""
    lines = map(shown_name, names)
    while page := list(islice(lines, PAGE)):
        click.echo("\n".join(page))


def _tell_where_records_are(s: Store[Any], selection: Selection) -> None:
    """A namespace that is empty, in a store that is not, was probably not the one that was meant."""
    if not selection.is_all():
        return
    found = s.namespaces()
    if found and s.namespace not in found:
        listed = ", ".join(map(shown_name, found[:10])) + (", …" if len(found) > 10 else "")
        click.echo(f"store: nothing here; these namespaces have records: {listed}", err=True)


def _figures(s: Store[Any], namespace: str) -> dict[str, Any]:
    with s.within(namespace) as inner:
        stats = inner.stats()
    return {"namespace": namespace, "records": stats.records, "bytes": stats.bytes}
