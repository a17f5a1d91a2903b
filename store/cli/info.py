"""`info` and `stats`: facts about a store or a record; no value is ever decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from store import Store
from store.care.stats import totals_of
from store.cli.output.json_output import as_json, to_json
from store.cli.output.tables import Column, print_table
from store.cli.output.terminal import shown, shown_name
from store.cli.reading import options
from store.cli.reading.opening import clock, existing, namespaces_of, open_store
from store.display.units import age_text, moment_text, size_text

FACTS = (Column("fact", style="cyan"), Column("value"))
SIZES = {
    "bytes": "size", "size": "size", "spill_bytes": "size of files", "file_bytes": "file size",
    "wal_bytes": "WAL size", "wal_pinned_bytes": "WAL pinned",
}  # fmt: skip
NAMES = {
    "spill_files": "files of large values", "wal_pinned_by": "WAL pinned by", "wal_pinned_seconds": "WAL pinned for",
}  # fmt: skip


@click.command()
@options.path
@click.argument("name", type=options.text, required=False, shell_complete=options.complete_names)
@options.namespace()
@options.as_object
@options.exact
@options.color
def info(path: str, name: str | None, namespace: str, as_object: bool, exact: bool, color: bool | None) -> None:
    """Shows facts about a store or a record.

    Without NAME, shows the figures of one namespace and of the file; `store stats` has those of all namespaces. No
    value is decoded. The keys with --json: those of `store records` for a record; path, namespace, records, bytes,
    codecs, protocols, spill_files, spill_bytes, namespaces (their names), file_bytes, wal_bytes, wal_pinned_bytes,
    wal_pinned_by, wal_pinned_seconds, checkpoint_error and purge_error for a store.

    \b
    Examples:
      store info app.db
      store info app.db settings
      store info app.db settings --json
    """
    with open_store(path, mode="r", namespace=namespace) as s:
        if name is None:
            facts = {"path": s.location, "namespace": s.namespace, **asdict(s.stats()), "namespaces": s.namespaces()}
            _show_facts(facts, as_object, exact, color)
            return
        with existing(path, namespace, name):
            record = s.record(name)
    _show_facts(as_json(record) if as_object else asdict(record), as_object, exact, color)


@click.command()
@options.path
@options.any_namespace
@options.as_object
@options.exact
@options.color
def stats(path: str, namespace: str | None, as_object: bool, exact: bool, color: bool | None) -> None:
    """Shows counts and sizes.

    Shows the number, size and encodings of the records, the files of large values beside the database, and the size
    of the database and of its write-ahead log (WAL). The keys with --json: path, namespace (null: every one),
    records, bytes, codecs (name → records), protocols ("codec protocol" → records), spill_files, spill_bytes,
    namespaces (how many), file_bytes, wal_bytes, wal_pinned_bytes (the part of the log that a reader, in process
    wal_pinned_by, keeps from being copied into the file; null on PostgreSQL), wal_pinned_seconds (on PostgreSQL for
    how long the oldest transaction has kept old rows), checkpoint_error (why the log could not be copied into the
    file, or null), purge_error.

    \b
    Examples:
      store stats app.db
      store stats app.db --namespace settings --bytes
      store stats app.db --json
    """
    with open_store(path, mode="r", namespace=namespace or "") as s:
        facts = _totals(s, namespace)
    _show_facts({"path": s.location, "namespace": namespace, **facts}, as_object, exact, color)


def _show_facts(facts: Mapping[str, Any], as_object: bool, exact: bool, color: bool | None) -> None:
    """Prints facts as a JSON object, or one on a line."""
    if as_object:
        click.echo(to_json(facts))
        return
    now = clock()()
    rows = [
        (SIZES[field], size_text(value, exact=exact)) if field in SIZES
        else (NAMES.get(field, field.replace("_", " ")), _text(field, value, now))
        for field, value in facts.items()
        if field not in SIZES or value is not None
    ]  # fmt: skip
    print_table(FACTS, rows, color=color, heading=False)


def _totals(s: Store[Any], namespace: str | None) -> dict[str, Any]:
    """The sums over all namespaces or one, and the figures of the file."""
    return asdict(s.stats()) | asdict(totals_of(s.opened, namespaces_of(s, namespace)))


def _text(field: str, value: Any, now: float) -> str:
    if isinstance(value, datetime):
        return f"{moment_text(value)} ({age_text(value, now)})"
    if value is None:
        return {"expires": "never", "namespace": "every one", "sealed_by": "no key"}.get(field, "-")
    if isinstance(value, float):
        return f"{value:g} s"
    if isinstance(value, dict):
        return ", ".join(f"{shown(str(key))}: {count}" for key, count in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(shown_name, value)) or "-"
    return shown_name(str(value))
