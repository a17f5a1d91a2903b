"""`verify`: whether a store is what was written, record by record."""

from __future__ import annotations

import errno
import os
from dataclasses import asdict

import click

from store.care.verify import Verification
from store.cli.output.exits import EXIT_ERROR
from store.cli.output.json_output import to_json
from store.cli.output.terminal import shown, shown_name
from store.cli.reading.options import json_option, open_store, path_argument
from store.errors import Corrupt, NotAStore, StorageError, StoreNotFound


@click.command()
@path_argument
@click.option("--quick", is_flag=True, help="Without the content of large values' files, and of the indexes.")
@json_option
def verify(path: str, quick: bool, as_object: bool) -> None:
    """Checks the file and the seal of every record.

    In all namespaces, expired records too; none is decoded. The exit code is 1 if a record is foreign (sealed by a
    key that is not here), tampered with, corrupt, or not found by its index; a file of a large value is missing,
    truncated or altered; or the database is damaged, or does not open. Orphans are files that no record names;
    `store compact` removes them. The keys with --json: sealed, foreign, tampered, corrupt, unfound, damage, files,
    orphans and unread (commits that the log has behind damage, or behind the end that a power cut left).

    \b
    Examples:
      store verify app.db
      store verify app.db --quick
      store verify app.db --json
    """
    found = _verified(path, quick, as_object)
    if as_object:
        click.echo(to_json(asdict(found)))
    else:
        _show(found)
        if found.damage or found.unfound or found.unread:
            click.echo(f"remedy    {_remedy(path)}")
    if not found.ok:
        click.get_current_context().exit(EXIT_ERROR)


def _verified(path: str, quick: bool, as_object: bool) -> Verification:
    """A file that does not open is one that is damaged, or none of ours.

    Raises: click.ClickException: it does not open, and nobody asked for an object that says so.
    """
    try:
        with open_store(path, mode="r") as s:
            return s.verify(quick=quick)
    except StoreNotFound:
        raise
    except (Corrupt, NotAStore, StorageError) as exc:
        if not os.path.isfile(path) or _is_of_surroundings(exc, path):
            raise
        if as_object:
            return Verification(damage=[str(exc)])
        raise click.ClickException(f"{exc}; if it was a store, {_remedy(path)}") from exc


def _is_of_surroundings(exc: Exception, path: str) -> bool:
    """Whether it is not the file that is at fault: its key cannot be read, or this user may not read it."""
    if not isinstance(exc, StorageError):
        return False
    own = os.path.realpath(path), os.path.abspath(path)
    return exc.errno in (errno.EACCES, errno.EPERM) or not (exc.path is None or exc.path.startswith(own))


def _remedy(path: str) -> str:
    return f"`store recover {shown_name(path)} NEW.db` copies what still holds to a new one"


def _show(found: Verification) -> None:
    click.echo(f"sealed    {found.sealed}")
    for verdict in ("foreign", "tampered", "corrupt", "unfound"):
        records = getattr(found, verdict)
        if verdict != "unfound" or records:
            click.echo(f"{verdict:<8}  {len(records)}")
        for namespace, name in records:
            click.echo(f"  {_where(namespace, name)}")
    for namespace, name, problem in found.files:
        click.echo(f"file      {_where(namespace, name)}: {shown(problem)}")
    for file in found.orphans:
        click.echo(f"orphan    {shown_name(file)}")
    for line in found.damage:
        click.echo(f"damage    {shown(line)}")
    if found.unread:
        click.echo(f"unread    {found.unread} commits, which the log has behind damage")


def _where(namespace: str, name: str) -> str:
    return shown_name(name) + (f" ({shown_name(namespace)})" if namespace else "")
