"""`import`: records of other programs, and exports of stores."""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import click

from store import Store
from store.care.foreign import TRUST, Foreign
from store.care.raw import import_raw
from store.cli.output.exits import exit_with_error, reported_as, usage_error
from store.cli.output.json_output import print_array
from store.cli.output.progress import counted
from store.cli.output.terminal import note, on_one_line, shown_name, shown_place
from store.cli.reading import options
from store.cli.reading.opening import open_store
from store.compat.sqlitedict.importing import import_tables
from store.errors import StoreNotFound
from store.importers.kinds import check_source, importers
from store.importers.run import ON_CONFLICT, OUTCOMES, TROUBLE, Imported, import_into
from store.importers.sqlitedict import tables_at

KINDS = ("shelve", "dbm", "sqlitedict", "diskcache", "pickles", "joblib", "json")
MOST_TABLES = 20  # tables of a file that are named
MOST_RENAMED = 10  # imported records with a changed name that are noted; the others are counted


@click.command("import")
@click.argument("words", metavar="KIND SRC DST", nargs=-1)
@click.option("--raw", is_flag=True, help="The other form: FILE PATH, what `store export --raw` wrote.")
@options.namespace()
@click.option(
    "--allow",
    metavar="MOD.CLASS",
    type=options.text,
    multiple=True,
    help="A class that pickles may make; repeatable.",
)
@click.option(
    "--trust", type=click.Choice(TRUST), default="data",
    help='How pickles are read: with restraint ("data"), or running what they say ("all"); data.',
)  # fmt: skip
@click.option("--prefix", metavar="P", type=options.text, default="", help="Put P before each name.")
@click.option("--table", metavar="T", type=options.text, help="Of a sqlitedict: only this table.")
@click.option(
    "--tables",
    is_flag=True,
    help="Of a sqlitedict: each table into a namespace of its own, as store.compat.sqlitedict reads them.",
)
@click.option(
    "--encoded", is_flag=True,
    help="Of a sqlitedict: values as they are stored, for a program with an encode= and decode= of its own.",
)  # fmt: skip
@click.option(
    "--on-conflict", type=click.Choice(ON_CONFLICT), default="keep",
    help="What to do if a name has another value already: keep that; replace takes the expiry too.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would be done.")
@click.option("--json", "as_array", is_flag=True, help="Every record with its outcome, as a JSON array.")
def import_(
    words: tuple[str, ...], raw: bool, dry_run: bool, as_array: bool, namespace: str, tables: bool, **how: Any
) -> None:
    """Copies records from another program's file.

    KIND is shelve, dbm, sqlitedict, diskcache, pickles, joblib or json; SRC is its file or folder, which is not
    changed. Creates the store DST if there is none. Pickles are read without running code, and only classes that
    --allow names are loaded, unless --trust says otherwise (run it where they can be imported: PYTHONPATH=.). It can
    be stopped; rerunning resumes, and leaves alone what is there. The exit code is 1 if a record was refused or
    failed.

    A sqlitedict with one table keeps its names; with several, a record is called `table:name`. --table T copies only
    one, under its own names; --tables copies each into the namespace of its name, the table `unnamed` into the
    default one, which is how `import store.compat.sqlitedict as sqlitedict` finds them.

    `store import --raw FILE PATH` reads records that a store exported undecoded, and replaces those of the same
    name; what your key sealed is sealed anew, foreign records stay foreign. FILE `-` is stdin.

    \b
    Examples:
      store import shelve old_shelf copy.db
      store import shelve old_shelf copy.db --allow collections.UserDict --dry-run
      store import sqlitedict old.sqlite copy.db --tables
      store import json settings.json copy.db --prefix settings:
      store import --raw records.jsonl copy.db
    """
    if raw:
        _check_raw_alone()
        _import_undecoded(*options.words_of(words, ("FILE", "PATH")))
        return
    if words and words[0] not in importers:
        raise usage_error(
            f"{words[0]!r} is no kind of source: one of {', '.join(KINDS)}; for a raw export pass --raw"
        )
    kind, source, path = options.words_of(words, ("KIND", "SRC", "DST"))
    source = os.path.abspath(source)
    with reported_as(usage_error):  # before a store is made for a source that cannot be read
        Foreign(how["trust"], how["allow"])
    _check_tables(kind, namespace, tables, how)
    check_source(kind, source)
    if kind == "sqlitedict" and how["table"] is None:
        _tell_of_tables(source, tables)
    counts: Counter[str] = Counter()
    with _target(path, namespace, dry_run) as s:
        found = _found(s, kind, source, tables, dry_run=dry_run, **how)
        results = counted(found, counts, hidden=as_array)
        if as_array:
            print_array(map(asdict, results), as_they_come=True)
        else:
            _show(results)
    if not as_array:
        click.echo(", ".join(_summary(counts, dry_run)))
    exit_with_error(any(counts[outcome] for outcome in TROUBLE))


def _check_tables(kind: str, namespace: str, tables: bool, how: Mapping[str, Any]) -> None:
    """Ends the command where the options of a sqlitedict do not go with the others."""
    for option, given in (("--table", how["table"] is not None), ("--tables", tables), ("--encoded", how["encoded"])):
        if given and kind != "sqlitedict":
            raise usage_error(f"{option} goes with sqlitedict alone")
    if tables and (namespace or how["table"] is not None):
        raise usage_error("--tables copies each table into a namespace of its own; leave out --table and --namespace")


def _tell_of_tables(source: str, tables: bool) -> None:
    """Says how the records of a file with several tables are named."""
    there = tables_at(source)
    if len(there) < 2 and not tables:
        return
    names = ", ".join(map(shown_name, there[:MOST_TABLES])) + (", …" if len(there) > MOST_TABLES else "")
    if tables:
        note(f"each table goes into the namespace of its name, unnamed into the default one: {names}")
    else:
        note(
            f"{len(there)} tables, so each record is named table:name; --table T copies one of {names}, --tables all"
        )


def _found(s: Store[Any], kind: str, source: str, tables: bool, **how: Any) -> Iterator[Imported]:
    if not tables:
        return import_into(s, kind, source, **how)
    del how["table"]
    return import_tables(s, source, **how)


def _check_raw_alone() -> None:
    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name in ("words", "raw"):
            continue
        if context.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE:
            raise usage_error(f"--raw takes no {parameter.opts[0]}: records come as they are")


def _target(path: str, namespace: str, dry_run: bool) -> Store[Any]:
    """The store to fill; if there is none, a dry run takes an empty one in memory."""
    if not dry_run:
        return open_store(path, mode="c", namespace=namespace)
    try:
        return Store(path, mode="r", namespace=namespace)
    except StoreNotFound:
        return Store(":memory:", namespace=namespace)


def _show(results: Iterable[Imported]) -> None:
    """Notes the records that were not imported as they are; of changed names the first few."""
    renamed = 0
    for result in results:
        if result.outcome in ("imported", "replaced", "unchanged"):
            renamed += bool(result.why)
            if not result.why or renamed > MOST_RENAMED:
                continue
        verb = "has" if result.outcome in ("failed", "expired") else "is"
        note(f"{shown_name(result.name)} {verb} {result.outcome}: {on_one_line(result.why)}")
    if renamed > MOST_RENAMED:
        note(f"{renamed - MOST_RENAMED} more names were changed; --json tells all")


def _summary(counts: Counter[str], dry_run: bool) -> Iterator[str]:
    for outcome in OUTCOMES:
        if counts[outcome] or outcome == "imported":
            planned = dry_run and outcome in ("imported", "replaced")
            yield f"{'to be ' if planned else ''}{outcome} {counts[outcome]}"


def _import_undecoded(file: str, path: str) -> None:
    """Reads raw records from FILE, or with "-" from stdin; the exit code is 1 if one is altered or damaged."""
    counts: Counter[str] = Counter()
    stdin = io.BytesIO() if sys.stdin is None else sys.stdin.buffer
    with nullcontext(stdin) if file == "-" else open(file, "rb") as lines, open_store(path, mode="c") as s:
        for namespace, name, verdict in import_raw(s.opened, lines):
            counts[verdict] += 1
            if verdict in ("tampered", "corrupt"):
                note(f"{shown_place(namespace, name)} is {verdict}, and stays so")
    click.echo(f"imported {counts.total()}" + "".join(f", {verdict} {counts[verdict]}" for verdict in sorted(counts)))
    exit_with_error(counts["tampered"] or counts["corrupt"])
