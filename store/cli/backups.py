"""Copies of a whole store: `backup`, `restore`, `recover`."""

from __future__ import annotations

import click

import store
from store.care.backup import Backup, Restoration
from store.care.recover import Recovery
from store.cli.output.exits import exit_with_error, reported_as, usage_error
from store.cli.output.json_output import print_report
from store.cli.output.progress import progress_bar
from store.cli.output.terminal import shown, shown_place
from store.cli.output.units import size_text
from store.cli.reading import options
from store.cli.reading.completion import complete_path
from store.cli.reading.opening import open_store

MOST_DAMAGE = 20  # lines on the damage of the file; --json has them all


@click.command()
@options.path
@click.argument("target", shell_complete=complete_path)
@options.as_object
@options.exact
def backup(path: str, target: str, as_object: bool, exact: bool) -> None:
    """Copies a store to TARGET, as of one moment.

    Other programs may read and write meanwhile. Everything is checked on the way. An earlier backup at TARGET is
    replaced in one step, once the new one is complete and synced; any other file there is refused. Large values are
    in TARGET-spill: the two belong together. A backup is a store, which every command can read; it does not contain
    the key. The keys with --json: path, records, files (of large values) and bytes.

    \b
    Examples:
      store backup app.db app.backup.db
      store backup app.db app.backup.db --json
    """
    with open_store(path, mode="r") as s, reported_as(usage_error), progress_bar("backup") as progress:
        done = s.backup(target, progress=progress)
    print_report(done, as_object, lambda done: _show_copy(done, exact))


@click.command()
@click.argument("backup", shell_complete=complete_path)
@options.path
@options.as_object
@options.exact
def restore(backup: str, path: str, as_object: bool, exact: bool) -> None:
    """Restores the store at PATH from its backup.

    Creates the store if there is none. The backup is checked before anything is changed. Programs that have it open
    see all of the old content or all of the restored; what was written since the backup is lost. If PATH is another
    store, the backup is refused: restore to a new path. The keys with --json: those of `store backup`, and replaced,
    which tells whether there was a store.

    \b
    Examples:
      store backup app.db app.backup.db
      store restore app.backup.db app.db
      store restore app.backup.db other.db --json
    """
    with reported_as(usage_error), progress_bar("restore") as progress:
        done = store.restore(backup, path, progress=progress)
    print_report(done, as_object, lambda done: _show_copy(done, exact))


def _store_id(argument: str) -> bytes:
    return options.id_of(argument, 16, "a store's id is 32 hex digits")


@click.command()
@click.argument("source", metavar="SRC", shell_complete=complete_path)
@click.argument("target", metavar="DST")
@click.option(
    "--store-id",
    metavar="HEX",
    type=_store_id,
    help="The id in the table identity of a backup, if SRC lost its own.",
)
@options.as_object
def recover(source: str, target: str, store_id: bytes | None, as_object: bool) -> None:
    """Copies the sound records of a damaged store.

    Copies every record of SRC whose seal matches to the new store DST, with its files. SRC is not changed, and may
    be too damaged to open. Close the programs that use it first. "Unsure" records come from pages that the database
    no longer refers to: they may be out of date. The exit code is 1 if there was damage. The keys with --json:
    sealed, foreign, lost, unsure, damage, files and file_bytes.

    \b
    Examples:
      store recover app.db recovered.db
    """
    with reported_as(usage_error), progress_bar("recover") as progress:
        found = store.recover(source, target, store_id=store_id, progress=progress)
    print_report(found, as_object, _show_recovery)
    exit_with_error(not found.ok)


def _show_copy(done: Backup | Restoration, exact: bool) -> None:
    size = size_text(done.bytes, exact=exact)
    click.echo(f"records {done.records}, files {done.files}: {size} in {shown(done.path)}")


def _show_recovery(found: Recovery) -> None:
    click.echo(f"sealed   {found.sealed}")
    click.echo(f"foreign  {found.foreign}")
    click.echo(f"files    {found.files}, {size_text(found.file_bytes)}")
    click.echo(f"unsure   {len(found.unsure)}")
    for namespace, name in found.unsure:
        click.echo(f"  {shown_place(namespace, name)}")
    click.echo(f"lost     {len(found.lost)}")
    for namespace, name, why in found.lost:
        click.echo(f"  {shown_place(namespace, name)}: {shown(why)}")
    for line in found.damage[:MOST_DAMAGE]:
        click.echo(f"damage   {shown(line)}")
    if len(found.damage) > MOST_DAMAGE:
        click.echo(f"damage   and {len(found.damage) - MOST_DAMAGE} more; --json has them all")
