"""`rekey`: every record sealed with the newest key."""

from __future__ import annotations

from dataclasses import asdict

import click

from store.care.rekey import Rekeying
from store.cli.output.exits import EXIT_ERROR
from store.cli.output.json_output import to_json
from store.cli.output.progress import progress_bar
from store.cli.output.terminal import on_one_line, shown_name
from store.cli.reading.options import json_option, open_store, path_argument


@click.command()
@path_argument
@json_option
def rekey(path: str, as_object: bool) -> None:
    """Seals every record with the newest key.

    After `store key new`. In all namespaces, expired records too; then no record needs an older key, and its line
    can be deleted from the key file once each store was rekeyed. Only seals change. In batches, each all or nothing:
    stop it when you like and run it again. Records that no key of yours sealed, and those whose seal does not hold,
    are left as they are; exit code 1 if there are any. Backups keep the seals they were made with. The keys with
    --json: key (the id of the newest), resealed, current (sealed with it before), left (namespace, name, reason) and
    keys (the ids of those that seal records now, and how many).

    \b
    Examples:
      store rekey app.db
      store rekey app.db --json
    """
    with open_store(path, mode="w") as s, progress_bar("rekey") as progress:
        done = s.rekey(progress=progress)
    if as_object:
        click.echo(to_json(asdict(done)))
    else:
        _show(done)
    if done.left:
        click.get_current_context().exit(EXIT_ERROR)


def _show(done: Rekeying) -> None:
    for namespace, name, reason in done.left:
        where = shown_name(name) + (f" ({shown_name(namespace)})" if namespace else "")
        click.echo(f"store: {where} is left as it is: {on_one_line(reason)}", err=True)
    click.echo(f"resealed {done.resealed}, current {done.current}, left {len(done.left)}")
    for key_id, count in done.keys.items():
        click.echo(f"{key_id:<16}  {count} records" + ("  (the newest key)" if key_id == done.key else ""))
