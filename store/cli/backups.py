"""`backup` and `restore`: all of a store in another place, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import click

from store.care.backup import Backup, Restoration
from store.care.backup import restore as restored
from store.cli.output.json_output import to_json
from store.cli.output.progress import progress_bar
from store.cli.output.terminal import shown
from store.cli.output.units import size_text
from store.cli.reading.completion import complete_path
from store.cli.reading.options import bytes_option, json_option, open_store, path_argument
from store.errors import StoreError

target_argument = click.argument("target", shell_complete=complete_path)
backup_argument = click.argument("backup", shell_complete=complete_path)


@click.command()
@path_argument
@target_argument
@json_option
@bytes_option
def backup(path: str, target: str, as_object: bool, exact: bool) -> None:
    """Copies a store to TARGET, as of one moment.

    Others may read and write meanwhile. All of it is checked on the way, and TARGET takes the place of the backup
    before it in one step, when it is whole and on the disk; a TARGET that is anything else is refused. Large values
    are in TARGET-spill: the two belong together. A backup is a store, which every command can read; the key is not in
    it. The keys with --json: path, records, files (of large values) and bytes.

    \b
    Examples:
      store backup app.db app.backup.db
      store backup app.db app.backup.db --json
    """
    with open_store(path, mode="r") as s, _usage_errors(), progress_bar("backup") as progress:
        done = s.backup(target, progress=progress)
    _tell(done, as_object, exact)


@click.command()
@backup_argument
@path_argument
@json_option
@bytes_option
def restore(backup: str, path: str, as_object: bool, exact: bool) -> None:
    """Makes the store at PATH what it was at its backup.

    Or a new store, where there is none. The backup is checked before anything is changed. Programs that have it open
    see all of the old content or all that is restored; what was written since the backup is gone. Where PATH is
    another store it is refused: restore to a new path. The keys with --json: those of `store backup`, and replaced,
    which is whether there was one.

    \b
    Examples:
      store backup app.db app.backup.db
      store restore app.backup.db app.db
      store restore app.backup.db other.db --json
    """
    with _usage_errors(), progress_bar("restore") as progress:
        done = restored(backup, path, progress=progress)
    _tell(done, as_object, exact)


def _tell(done: Backup | Restoration, as_object: bool, exact: bool) -> None:
    if as_object:
        click.echo(to_json(asdict(done)))
        return
    click.echo(
        f"records {done.records}, files {done.files}: {size_text(done.bytes, exact=exact)} in {shown(done.path)}"
    )


@contextmanager
def _usage_errors() -> Iterator[None]:
    """A path that can never be right is a wrong call."""
    try:
        yield
    except StoreError:
        raise
    except ValueError as exc:
        raise click.UsageError(str(exc), click.get_current_context()) from exc
