"""`recover`: what of a damaged store still holds, in a new one."""

from __future__ import annotations

from dataclasses import asdict

import click

import store
from store.care.recover import Recovery
from store.cli.output.exits import EXIT_ERROR
from store.cli.output.json_output import to_json
from store.cli.output.progress import progress_bar
from store.cli.output.terminal import shown, shown_name
from store.cli.output.units import size_text
from store.cli.reading.completion import complete_path
from store.cli.reading.options import json_option
from store.errors import StoreError

SHOWN = 20  # lines on the damage of the file; --json has them all


def store_id_of(argument: str) -> bytes:
    """The type of a store's id: 32 hex digits."""
    try:
        found = bytes.fromhex(argument)
    except ValueError:
        found = b""
    if len(found) != 16:
        raise click.BadParameter("a store's id is 32 hex digits")
    return found


@click.command()
@click.argument("source", metavar="SRC", shell_complete=complete_path)
@click.argument("target", metavar="DST")
@click.option(
    "--store-id",
    metavar="HEX",
    type=store_id_of,
    help="The id in the table identity of a backup, if SRC lost its own.",
)
@json_option
def recover(source: str, target: str, store_id: bytes | None, as_object: bool) -> None:
    """Copies what still holds from a damaged store.

    Every record of SRC whose seal holds goes to the new store DST, with its files; SRC is not changed, and may be so
    damaged that it does not open. Close the programs that use it first. "Unsure" records come from pages that
    nothing leads to any more: they may be older than what was stored last. The exit code is 1 if there was damage.
    The keys with --json: sealed, foreign, lost, unsure, damage, files and file_bytes.

    \b
    Examples:
      store recover app.db recovered.db
    """
    with progress_bar("recover") as progress:
        try:
            found = store.recover(source, target, store_id=store_id, progress=progress)
        except (TypeError, ValueError) as exc:  # a key in the environment that can never be right
            if isinstance(exc, StoreError):
                raise
            raise click.UsageError(str(exc), click.get_current_context()) from exc
    if as_object:
        click.echo(to_json(asdict(found)))
    else:
        _show(found)
    if not found.ok:
        click.get_current_context().exit(EXIT_ERROR)


def _show(found: Recovery) -> None:
    click.echo(f"sealed   {found.sealed}")
    click.echo(f"foreign  {found.foreign}")
    click.echo(f"files    {found.files}, {size_text(found.file_bytes)}")
    click.echo(f"unsure   {len(found.unsure)}")
    for namespace, name in found.unsure:
        click.echo(f"  {_where(namespace, name)}")
    click.echo(f"lost     {len(found.lost)}")
    for namespace, name, why in found.lost:
        click.echo(f"  {_where(namespace, name)}: {shown(why)}")
    for line in found.damage[:SHOWN]:
        click.echo(f"damage   {shown(line)}")
    if len(found.damage) > SHOWN:
        click.echo(f"damage   and {len(found.damage) - SHOWN} more; --json has them all")


def _where(namespace: str, name: str) -> str:
    return shown_name(name) + (f" ({shown_name(namespace)})" if namespace else "")
