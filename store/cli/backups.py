"""A whole store, copied or removed: `backup`, `restore`, `recover`, `copy`, `destroy`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

import store
from store.care.backup import Backup, Restoration
from store.care.copy import Copied
from store.care.recover import Recovery
from store.care.stats import totals_of
from store.cli.output.exits import exit_with_error, reported_as, usage_error
from store.cli.output.json_output import print_report
from store.cli.output.progress import progress_bar
from store.cli.output.terminal import confirm, is_answered, note, shown, shown_place
from store.cli.reading import options
from store.cli.reading.opening import note_namespaces, open_store
from store.display.units import size_text
from store.errors import StoreError

MOST_DAMAGE = 20  # lines on the damage of the file; --json has them all


@click.command()
@options.path
@click.argument("target", shell_complete=options.complete_path)
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
@click.argument("backup", shell_complete=options.complete_path)
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
@click.argument("source", metavar="SRC", shell_complete=options.complete_path)
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


@click.command()
@click.argument("path", metavar="SOURCE", shell_complete=options.complete_path)
@click.argument("target", shell_complete=options.complete_path)
@options.any_namespace
@click.option("--delete", is_flag=True, help="Delete the records of TARGET that SOURCE does not have.")
@click.option("--follow", is_flag=True, help="Go on with what changes in SOURCE, until Ctrl-C or --idle.")
@click.option(
    "--idle",
    metavar="SECONDS",
    type=options.waiting_seconds,
    help="With --follow: end when nothing has changed for so long; also 30m, 2h, 7d.",
)
@options.as_object
def copy(
    path: str, target: str, namespace: str | None, delete: bool, follow: bool, idle: float | None, as_object: bool
) -> None:
    """Copies the records of a store into another.

    Both may be on any engine: paths or URLs. TARGET may have records already: those of the same name are replaced,
    the others stay. It is made if it is not there. Nothing is decoded; revision, times and order stay, and expired
    records are left out. At the end every record is compared with its copy. If it is interrupted, run it again: it
    continues. Both stores may be in use. For a copy as of one moment, see `store backup`.

    To move a store that is in use: copy it with --follow, end the programs that write it, press Ctrl-C, which copies
    the last changes and compares, and start the programs with TARGET. A second Ctrl-C ends it at once. The keys with
    --json: records (written), unchanged (there already), expired (left out) and deleted.

    \b
    Examples:
      store copy app.db other.db
      store copy app.db web.db --namespace web
      store copy app.db other.db --follow --idle 0.1
      store copy app.db other.db --delete --json
    """
    if idle is not None and not follow:
        raise click.UsageError("--idle ends what --follow does; give that too")
    with open_store(path, mode="r", namespace=namespace or "") as source, open_store(target, mode="c") as to:
        if namespace is not None:
            note_namespaces(source)
        with reported_as(usage_error), progress_bar("copy") as progress, _asked_to_stop(follow) as stop:
            done = store.copy(
                source, to, namespace=namespace, delete=delete, follow=follow, stop=stop, idle=idle, progress=progress
            )
    print_report(done, as_object, lambda done: _show_copied(done, delete or follow))


@contextmanager
def _asked_to_stop(follow: bool) -> Iterator[Callable[[], bool] | None]:
    """Gives a function that returns whether a signal has asked to stop; a second one interrupts as usual."""
    if not follow:
        yield None
        return
    asked = threading.Event()

    def ask(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@click.command()
@click.argument("path", metavar="LOCATION", shell_complete=options.complete_path)
@options.yes
@options.as_object
@options.exact
def destroy(path: str, yes: bool, as_object: bool, exact: bool) -> None:
    """Removes a store and all its files.

    Removes the database, its log and locks, and the files of large values. Shows what there is, and asks; without a
    terminal to ask on, it needs --yes. A store that a program has open is refused. If it is interrupted, run it
    again. Backups stay. The keys with --json: path, records (of all namespaces), namespaces, files (of large values)
    and bytes; all but path are null where the content cannot be read.

    \b
    Examples:
      store destroy app.db --yes
    """
    content = _content(path, yes)
    if not yes:
        if not is_answered():
            raise click.ClickException(
                f"{content.path} would be removed ({content.text(exact)}), and there is no terminal to ask on; "
                "--yes removes it without asking"
            )
        if not confirm(f"Remove {shown(content.path)} ({content.text(exact)})?", "--yes removes it without asking"):
            note("nothing was removed")
            exit_with_error()
    with reported_as(usage_error):
        store.destroy(path)
    print_report(
        content, as_object, lambda content: click.echo(f"removed {shown(content.path)}: {content.text(exact)}")
    )


@dataclass(frozen=True, slots=True)
class Content:
    """What `destroy` removes; None is unknown."""

    path: str
    records: int | None = None
    namespaces: int | None = None
    files: int | None = None
    bytes: int | None = None

    def text(self, exact: bool) -> str:
        if self.records is None or self.bytes is None:
            return "its content cannot be read"
        size = size_text(self.bytes, exact=exact)
        return f"records {self.records}, namespaces {self.namespaces}, files {self.files}, {size}"


def _content(path: str, yes: bool) -> Content:
    """Raises: click.ClickException: there is no store. StoreError, without --yes: as it is opened."""
    try:
        with open_store(path, mode="r") as s:
            namespaces = s.namespaces()
            found, file, location = totals_of(s.opened, namespaces), s.stats(), s.location
    except StoreError:  # it is damaged, removed in part, or no store, which `store.destroy` refuses
        if not yes:
            raise
        return Content(path)
    return Content(
        location,
        found.records,
        len(namespaces),
        found.spill_files,
        file.file_bytes + file.wal_bytes + found.spill_bytes,
    )


def _show_copy(done: Backup | Restoration, exact: bool) -> None:
    size = size_text(done.bytes, exact=exact)
    click.echo(f"records {done.records}, files {done.files}: {size} in {shown(done.path)}")


def _show_copied(done: Copied, with_deleted: bool) -> None:
    deleted = f", deleted {done.deleted}" if with_deleted else ""
    click.echo(f"copied {done.records}, unchanged {done.unchanged}, expired {done.expired}{deleted}")


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
