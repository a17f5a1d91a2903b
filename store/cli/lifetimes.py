"""`touch` and `purge`: how long records live, and what is left of those that have ended."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

from store import Record, Store
from store.cli.output.json_output import as_json, print_array, to_json
from store.cli.output.tables import Column, print_table
from store.cli.output.terminal import shown_name
from store.cli.output.units import age_text, size_text
from store.cli.reading.options import (
    any_namespace_option,
    bytes_option,
    clock,
    color_option,
    missing,
    names_argument,
    namespace_option,
    open_store,
    path_argument,
    seconds,
)

EXPIRED_COLUMNS = (
    Column("size", right=True, style="green"),
    Column("expired", style="yellow"),
    Column("type", cut=True, style="magenta"),
    Column("namespace", cut=True),
    Column("name", cut=True, style="bold"),
)


@click.command()
@path_argument
@names_argument
@click.option("--ttl", type=seconds, metavar="SECONDS", help="To live from now on; also 30m, 2h, 7d.")
@click.option("--forever", is_flag=True, help="Not to expire at all.")
@namespace_option
def touch(path: str, names: tuple[str, ...], ttl: float | None, forever: bool, namespace: str) -> None:
    """Gives records a new lifetime.

    All of those named or, if one is missing or is not yours, none. The values are not decoded.

    \b
    Examples:
      store touch app.db session:4f2a --ttl 30m
      store touch app.db session:4f2a user:1 --forever
    """
    if (ttl is None) != forever:
        raise click.UsageError("say for how long: --ttl SECONDS, or --forever", click.get_current_context())
    with open_store(path, mode="w", namespace=namespace) as s, s.transaction():
        for name in dict.fromkeys(names):
            try:
                s.touch(name, ttl)
            except KeyError:
                raise missing(name, path, namespace) from None


@click.command()
@path_argument
@any_namespace_option
@click.option("--dry-run", is_flag=True, help="Delete nothing; show what would go.")
@click.option("--json", "as_object", is_flag=True, help='As JSON: {"purged": N}, or an array with --dry-run.')
@bytes_option
@color_option
def purge(path: str, namespace: str | None, dry_run: bool, as_object: bool, exact: bool, color: bool | None) -> None:
    """Deletes what has expired.

    An expired record is absent already; this gives back its place. One that a key of yours did not seal stays:
    only who holds its key can tell when it was to expire. `--dry-run --json` gives the fields that
    `store records --help` names.

    \b
    Examples:
      store purge app.db --dry-run
      store purge app.db
      store purge app.db --namespace web
    """
    if dry_run:
        _show_expired(path, namespace, as_object, exact, color)
        return
    with open_store(path, mode="w") as s:
        purged = 0
        for each in _namespaces(path, namespace):
            with s.within(each) as inner:
                purged += inner.purge()
    click.echo(to_json({"purged": purged}) if as_object else f"purged {purged}")


def _show_expired(path: str, namespace: str | None, as_object: bool, exact: bool, color: bool | None) -> None:
    now = clock()()
    with _before_all_time(path) as s:
        found = _expired(s, _namespaces(path, namespace), now)
        if as_object:
            print_array(map(as_json, found))
            return
        rows = (
            (size_text(one.size, exact=exact), age_text(one.expires, now), str(one.type or "?"),
             shown_name(one.namespace), shown_name(one.name))
            for one in found
        )  # fmt: skip
        count = print_table(EXPIRED_COLUMNS, rows, color=color)
    click.echo(f"to be purged {count}")


def _expired(s: Store[Any], namespaces: list[str], now: float) -> Iterator[Record]:
    """Those that `purge` would delete: expired, and sealed by a key of ours that matches."""
    for namespace in namespaces:
        with s.within(namespace) as inner:
            for record in inner.records():
                if record.expires is None or record.expires.timestamp() > now:
                    continue
                try:
                    own = inner.inspect(record.name).verdict == "own"
                except KeyError:  # purged by somebody else meanwhile
                    continue
                if own:
                    yield record


def _namespaces(path: str, namespace: str | None) -> list[str]:
    if namespace is not None:
        return [namespace]
    with _before_all_time(path) as s:
        return s.namespaces()


def _before_all_time(path: str) -> Store[Any]:
    """The store as one reads it by whose clock nothing has expired yet."""
    return open_store(path, mode="r", clock=lambda: -sys.float_info.max)
