"""Maintenance of a store: `verify`, `compact`, `purge`, `upgrade`."""

from __future__ import annotations

import errno
import os
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import click

from store import Record, Store
from store.care.compact import Compaction
from store.care.upgrade import BATCH, Upgraded
from store.care.upgrade import upgrade as upgraded
from store.care.verify import Verification
from store.cli.output.exits import exit_with_error, reported_as, usage_error
from store.cli.output.json_output import as_json, print_array, print_report, to_json
from store.cli.output.progress import counted, progress_bar
from store.cli.output.tables import Column, print_table
from store.cli.output.terminal import note, on_one_line, shown, shown_name, shown_place
from store.cli.reading import options
from store.cli.reading.opening import clock, each_namespace, namespaces_of, open_store
from store.display.units import age_text, size_text
from store.errors import Corrupt, NotAStore, StorageError, StoreNotFound
from store.opened.arguments import public

EXPIRED_COLUMNS = (
    Column("size", right=True, style="green"),
    Column("expired", style="yellow"),
    Column("type", cut=True, style="magenta"),
    Column("namespace", cut=True),
    Column("name", cut=True, style="bold"),
)
OUTCOMES = ("upgraded", "current", "left", "failed")


@click.command()
@options.path
@click.option("--quick", is_flag=True, help="Without the content of large values' files, and of the indexes.")
@options.as_object
def verify(path: str, quick: bool, as_object: bool) -> None:
    """Checks the file and the seal of every record.

    Covers all namespaces and expired records; nothing is decoded. The exit code is 1 if a record is foreign (sealed
    by a key that is not here), tampered with, corrupt, or not found by its index; a file of a large value is
    missing, truncated or altered; or the database is damaged, or does not open. Orphans are files that no record
    names; `store compact` removes them. The keys with --json: sealed, foreign, tampered, corrupt, unfound, damage,
    files, orphans and unread (commits in the log after damage, or after the end that a power cut left).

    \b
    Examples:
      store verify app.db
      store verify app.db --quick
      store verify app.db --json
    """
    found = _verified(path, quick, as_object)
    print_report(found, as_object, lambda found: _show_verification(found, path))
    exit_with_error(not found.ok)


@click.command()
@options.path
@options.as_object
@options.exact
def compact(path: str, as_object: bool, exact: bool) -> None:
    """Gives back unused space.

    Removes the files of large values that were replaced or deleted, and those that a killed write left; frees the
    unused pages of the database, and its log. Works in small steps, so that other programs can read and write
    meanwhile. What a reader of an older state still needs is left for the next run. The keys with --json: files,
    orphans, file_bytes (of both), database_bytes and files_left.

    \b
    Examples:
      store compact app.db
      store compact app.db --json
    """
    with open_store(path, mode="w") as s, progress_bar("compact") as progress:
        freed = s.compact(progress=progress)
    print_report(freed, as_object, lambda freed: _show_compaction(freed, exact))


@click.command()
@options.path
@options.any_namespace
@click.option("--dry-run", is_flag=True, help="Delete nothing; show what would be deleted.")
@click.option("--json", "as_object", is_flag=True, help='As JSON: {"purged": N}, or an array with --dry-run.')
@options.exact
@options.color
def purge(path: str, namespace: str | None, dry_run: bool, as_object: bool, exact: bool, color: bool | None) -> None:
    """Deletes expired records.

    Expired records are absent already; this frees their space. Records that no key of yours sealed are kept: only
    the holder of their key can tell when they expire. `--dry-run --json` gives the fields that `store records
    --help` names.

    \b
    Examples:
      store purge app.db --dry-run
      store purge app.db
      store purge app.db --namespace web
    """
    if dry_run:
        _show_expired(path, namespace, as_object, exact, color)
        return
    with _before_all_time(path) as s:
        namespaces = namespaces_of(s, namespace)
    with open_store(path, mode="w") as s:
        purged = sum(inner.purge() for inner in each_namespace(s, namespaces))
    click.echo(to_json({"purged": purged}) if as_object else f"purged {purged}")


@click.command()
@options.path
@click.option(
    "--codec", metavar="CODEC", type=options.text, help="The new codec; by default the one that each record has."
)
@click.option("--protocol", metavar="N", type=int, help="The codec's protocol; its default if that is higher.")
@click.option(
    "--rename", "renames", metavar="OLD=NEW", type=options.text, multiple=True,
    help="A class or module that moved; repeatable.",
)  # fmt: skip
@options.only_namespace
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be done.")
@click.option(
    "--batch", metavar="N", type=click.IntRange(min=1), default=BATCH, help=f"The records in one batch; {BATCH}."
)
def upgrade(path: str, renames: tuple[str, ...], namespace: str | None, dry_run: bool, **how: Any) -> None:
    """Re-encodes old records in the current form.

    Updates the protocol, the codec, the names of classes that moved, and the versions of classes (store.versioned).
    The classes are imported: run it where your program's modules can be found (PYTHONPATH=.). Works in batches, each
    all or nothing: it can be stopped, and rerunning resumes. Records that your key did not seal are left as they
    are. The exit code is 1 if a record failed.

    \b
    Examples:
      store upgrade app.db --dry-run
      store upgrade app.db --protocol 5
      store upgrade app.db --rename old.module.User=new.module.User
      store upgrade app.db --codec json --namespace web
    """
    counts: Counter[str] = Counter()
    with open_store(path, mode="w", renames=_pairs(renames)) as s, reported_as(usage_error):
        total = sum(map(len, each_namespace(s, namespaces_of(s, namespace))))
        results = upgraded(s.opened, namespace=namespace, dry_run=dry_run, **how)
        for result in counted(results, counts, length=total):
            _show_upgrade(result, dry_run)
    verb = "to be upgraded" if dry_run else "upgraded"
    click.echo(", ".join(f"{verb if outcome == 'upgraded' else outcome} {counts[outcome]}" for outcome in OUTCOMES))
    exit_with_error(counts["failed"])


def _verified(path: str, quick: bool, as_object: bool) -> Verification:
    """What `verify` found; of a file that does not open, the error as its damage.

    Raises: click.ClickException: it does not open, and the result is wanted as text.
    """
    try:
        with open_store(path, mode="r") as s:
            return s.verify(quick=quick)
    except StoreNotFound:
        raise
    except (Corrupt, NotAStore, StorageError) as exc:
        if not os.path.isfile(path) or _is_denied(exc, path):
            raise
        if as_object:
            return Verification(damage=[str(exc)])
        raise click.ClickException(f"{exc}; if it was a store, {_remedy(path)}") from exc


def _is_denied(exc: Exception, path: str) -> bool:
    """Whether the file may be sound: this user may not read it, or the key cannot be read."""
    if not isinstance(exc, StorageError):
        return False
    own = os.path.realpath(path), os.path.abspath(path)
    return exc.errno in (errno.EACCES, errno.EPERM) or not (exc.path is None or exc.path.startswith(own))


def _remedy(path: str) -> str:
    return f"`store recover {shown_name(public(path))} NEW.db` copies the sound records to a new one"


def _show_verification(found: Verification, path: str) -> None:
    click.echo(f"sealed    {found.sealed}")
    for verdict in ("foreign", "tampered", "corrupt", "unfound"):
        records = getattr(found, verdict)
        if verdict != "unfound" or records:
            click.echo(f"{verdict:<8}  {len(records)}")
        for namespace, name in records:
            click.echo(f"  {shown_place(namespace, name)}")
    for namespace, name, problem in found.files:
        click.echo(f"file      {shown_place(namespace, name)}: {shown(problem)}")
    for file in found.orphans:
        click.echo(f"orphan    {shown_name(file)}")
    for line in found.damage:
        click.echo(f"damage    {shown(line)}")
    if found.unread:
        click.echo(f"unread    {found.unread} commits in the log after damage")
    if found.damage or found.unfound or found.unread:
        click.echo(f"remedy    {_remedy(path)}")


def _show_compaction(freed: Compaction, exact: bool) -> None:
    left = f"; {freed.files_left} files are left for a reader" if freed.files_left else ""
    click.echo(
        f"files {freed.files}, orphans {freed.orphans}: {size_text(freed.file_bytes, exact=exact)}; "
        f"database {size_text(freed.database_bytes, exact=exact)}{left}"
    )


def _show_expired(path: str, namespace: str | None, as_object: bool, exact: bool, color: bool | None) -> None:
    now = clock()()
    with _before_all_time(path) as s:
        found = (
            record for inner in each_namespace(s, namespaces_of(s, namespace)) for record in _expired(inner, now)
        )
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


def _expired(s: Store[Any], now: float) -> Iterator[Record]:
    """The records of a namespace that `purge` would delete: expired, and sealed by a key of this user."""
    for record in s.records():
        if record.expires is None or record.expires.timestamp() > now:
            continue
        try:
            own = s.inspect(record.name).verdict == "own"
        except KeyError:  # purged by another process meanwhile
            continue
        if own:
            yield record


def _before_all_time(path: str) -> Store[Any]:
    """The store opened with a clock by which nothing has expired yet."""
    return open_store(path, mode="r", clock=lambda: -sys.float_info.max)


def _show_upgrade(result: Upgraded, dry_run: bool) -> None:
    place = shown_place(result.namespace, result.name)
    if result.outcome == "left":
        note(f"{place} is left as it is: {on_one_line(result.why)}")
    elif result.outcome == "failed":
        note(on_one_line(result.why))  # which names the record
    elif result.outcome == "upgraded" and dry_run:
        click.echo(f"{place}: {shown(result.why)}")


def _pairs(renames: tuple[str, ...]) -> dict[str, str]:
    pairs = [rename.partition("=") for rename in renames]
    for old, separator, new in pairs:
        if not (old and separator and new):
            raise click.UsageError("--rename takes OLD=NEW, such as old.module.User=new.module.User")
    return {old: new for old, _, new in pairs}
