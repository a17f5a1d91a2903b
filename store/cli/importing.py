"""`import`: records of other programs, and exports of stores."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click

from store import Store
from store.care.foreign import TRUST, Foreign
from store.cli.exits import EXIT_ERROR
from store.cli.json_output import to_json
from store.cli.options import namespace_option, open_store, text
from store.cli.raw import import_undecoded, words_of
from store.cli.terminal import on_one_line, shown_name
from store.errors import StoreNotFound
from store.importers.kinds import check_source, importers
from store.importers.run import ON_CONFLICT, OUTCOMES, TROUBLE, Imported, import_into

KINDS = ("shelve", "dbm", "sqlitedict", "diskcache", "pickles", "joblib", "json")
SHOWN = 10  # records with nothing amiss whose names changed; the others are counted


@click.command("import")
@click.argument("words", metavar="KIND SRC DST", nargs=-1)
@click.option("--raw", is_flag=True, help="The other form: FILE PATH, what `store export --raw` wrote.")
@namespace_option
@click.option(
    "--allow", metavar="MOD.CLASS", type=text, multiple=True, help="A class that pickles may make; repeatable."
)
@click.option(
    "--trust",
    type=click.Choice(TRUST),
    default="data",
    help='How pickles are read: with restraint ("data"), or running what they say ("all"); data.',
)
@click.option("--prefix", metavar="P", type=text, default="", help="Put P before each name.")
@click.option("--table", metavar="T", type=text, help="Of a sqlitedict: only this table.")
@click.option(
    "--on-conflict",
    type=click.Choice(ON_CONFLICT),
    default="keep",
    help="What a name does that has another value already: keep that; replace takes the expiry too.",
)
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would be done.")
@click.option("--json", "as_array", is_flag=True, help="Every record and what became of it, as a JSON array.")
def import_(words: tuple[str, ...], raw: bool, dry_run: bool, as_array: bool, namespace: str, **options: Any) -> None:
    """Copies records from another program's file.

    KIND is shelve, dbm, sqlitedict, diskcache, pickles, joblib or json; SRC is its file or folder, which stays as it
    is. Makes the store DST where there is none. Pickles are read with restraint: classes only as --allow names them
    (run it where they can be imported: PYTHONPATH=.). Stop it when you like and run it again: what is there is left
    alone. The exit code is 1 if a record was refused or failed.

    `store import --raw FILE PATH` reads records that a store exported undecoded, and replaces those of the same name;
    what your key sealed is sealed anew, foreign records stay foreign. FILE `-` is stdin.

    \b
    Examples:
      store import shelve old_shelf copy.db
      store import shelve old_shelf copy.db --allow collections.UserDict --dry-run
      store import json settings.json copy.db --prefix settings:
      store import --raw records.jsonl copy.db
    """
    if raw:
        _check_raw_alone()
        import_undecoded(*words_of(words, ("FILE", "PATH")))
        return
    kind, source, path = words_of(_with_kind(words), ("KIND", "SRC", "DST"))
    source = os.path.abspath(source)
    try:  # before a store is made for what cannot be read
        Foreign(options["trust"], options["allow"])
    except (TypeError, ValueError) as exc:
        raise click.UsageError(str(exc), click.get_current_context()) from exc
    if options["table"] is not None and kind != "sqlitedict":
        raise click.UsageError("--table goes with sqlitedict alone", click.get_current_context())
    check_source(kind, source)
    with _target(path, namespace, dry_run) as s:
        results = import_into(s, kind, source, dry_run=dry_run, **options)
        counts = _listed(results) if as_array else _told(results)
    if not as_array:
        click.echo(", ".join(_summary(counts, dry_run)))
    if any(counts[one] for one in TROUBLE):
        click.get_current_context().exit(EXIT_ERROR)


def _with_kind(words: tuple[str, ...]) -> tuple[str, ...]:
    if words and words[0] not in importers:
        raise click.UsageError(
            f"{words[0]!r} is no kind of source: one of {', '.join(KINDS)}; for a raw export pass --raw",
            click.get_current_context(),
        )
    return words


def _check_raw_alone() -> None:
    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name in ("words", "raw"):
            continue
        if context.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--raw takes no {parameter.opts[0]}: records come as they are", context)


@contextmanager
def _target(path: str, namespace: str, dry_run: bool) -> Iterator[Store[Any]]:
    """The store to fill; without one, a dry run is against an empty one in memory."""
    if not dry_run:
        with open_store(path, mode="c", namespace=namespace) as s:
            yield s
        return
    try:
        s = Store(path, mode="r", namespace=namespace)
    except StoreNotFound:
        s = Store(":memory:", namespace=namespace)
    with s:
        yield s


def _told(results: Iterable[Imported]) -> Counter[str]:
    """How many there were of each outcome; those that people should know of are told one by one."""
    counts: Counter[str] = Counter()
    renamed = 0
    is_watched = sys.stderr is not None and sys.stderr.isatty()
    with click.progressbar(results, length=None, file=sys.stderr, hidden=not is_watched, show_pos=True) as bar:
        for result in bar:
            counts[result.outcome] += 1
            if result.outcome in ("imported", "replaced", "unchanged"):
                renamed += bool(result.why)
                if not result.why or renamed > SHOWN:
                    continue
            click.echo(
                f"store: {shown_name(result.name)} {_verb(result.outcome)}: {on_one_line(result.why)}", err=True
            )
    if renamed > SHOWN:
        click.echo(f"store: {renamed - SHOWN} more names were changed; --json tells all", err=True)
    return counts


def _summary(counts: Counter[str], dry_run: bool) -> Iterator[str]:
    for outcome in OUTCOMES:
        if counts[outcome] or outcome == "imported":
            planned = dry_run and outcome in ("imported", "replaced")
            yield f"{'to be ' if planned else ''}{outcome} {counts[outcome]}"


def _verb(outcome: str) -> str:
    return f"has {outcome}" if outcome in ("failed", "expired") else f"is {outcome}"


def _listed(results: Iterable[Imported]) -> Counter[str]:
    counts: Counter[str] = Counter()
    separator = "["
    try:
        for result in results:
            counts[result.outcome] += 1
            click.echo(separator + to_json(asdict(result)), nl=False)
            separator = ",\n "
    finally:  # what was told stays JSON, whatever happens
        click.echo("[]" if separator == "[" else "]")
    return counts
