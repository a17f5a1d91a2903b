"""`key`, `rekey`: the keys that seal what this user writes. Secrets are never shown."""

from __future__ import annotations

import click

from store.care.rekey import Rekeying
from store.cli.output.exits import exit_with_error, reported_as
from store.cli.output.json_output import print_report
from store.cli.output.progress import progress_bar
from store.cli.output.terminal import note, on_one_line, shown_place
from store.cli.reading import options
from store.cli.reading.groups import Commands
from store.cli.reading.opening import open_store
from store.trust.keys.changing import add_key, retire_key
from store.trust.keys.file import read_key_file
from store.trust.keys.key import ID_BYTES
from store.trust.keys.ring import Keyring


@click.group(cls=Commands)
def key() -> None:
    """Shows, adds and retires the keys that seal records.

    The key file is the one that STORE_KEY_FILE names, or else the user's own.

    \b
    Examples:
      store key show
      store key new
      store key retire 1f0c2a9be4d35578
    """


@key.command()
def show() -> None:
    """Shows where the keys come from, and their ids, newest first.

    \b
    Examples:
      store key show
    """
    ring = _keyring()
    with reported_as(click.ClickException):
        keys = ring.keys()
    if ring.problem:
        raise click.ClickException(ring.problem)
    click.echo(f"keys from {ring.where()}")
    if not keys:
        click.echo("none yet: one is made at the first write, or by `store key new`")
    newest = next((one for one in keys if not one.retired), None)
    for one in keys:
        role = "retired: verifies only" if one.retired else "seals and verifies" if one is newest else "verifies"
        click.echo(f"{one.id.hex()}  {role}")


@key.command()
def new() -> None:
    """Adds a key, which seals from now on; the older ones still verify.

    \b
    Examples:
      store key new
    """
    file = _key_file()
    with reported_as(click.ClickException):  # the file holds something else than keys
        made = add_key(file)
    click.echo(f"{made.id.hex()}  seals and verifies")


@key.command()
@click.argument("id_", metavar="ID")
def retire(id_: str) -> None:
    """Retires a key: it still verifies, and never seals.

    \b
    Examples:
      store key retire 1f0c2a9be4d35578
    """
    problem = "an id is 16 hexadecimal digits, as `store key show` shows them"  # it may be a key: it is not shown
    key_id = options.id_of(id_, ID_BYTES, problem)
    file = _key_file()
    with reported_as(click.ClickException):
        try:
            retire_key(file, key_id)
        except LookupError as exc:
            ids = ", ".join(one.id.hex() for one in read_key_file(file))
            raise click.ClickException(f"{exc.args[0]}; it has {ids}") from None
    click.echo(f"{key_id.hex()}  verifies only")


@click.command()
@options.path
@options.as_object
def rekey(path: str, as_object: bool) -> None:
    """Seals every record with the newest key.

    Run it after `store key new`. It covers all namespaces and expired records; then no record needs an older key,
    whose line can be deleted from the key file once every store was rekeyed; that ends sessions which named a user
    while it was the newest. Only seals change. It works in batches,
    each all or nothing: it can be stopped, and rerunning resumes. Records that no key of yours sealed, and those
    whose seal does not match, are left as they are; the exit code is 1 if there are any. Backups keep their seals.
    The keys with --json: key (the id of the newest), resealed, current (sealed with it before), left (namespace,
    name, reason) and keys (the ids of those that seal records now, and how many).

    \b
    Examples:
      store rekey app.db
      store rekey app.db --json
    """
    with open_store(path, mode="w") as s, progress_bar("rekey") as progress:
        done = s.rekey(progress=progress)
    print_report(done, as_object, _show_rekeying)
    exit_with_error(done.left)


def _keyring() -> Keyring:
    with reported_as(click.UsageError):
        return Keyring()


def _key_file() -> str:
    """The file to change. Raises: click.ClickException: the keys come from the environment."""
    ring = _keyring()
    file = ring.file()
    if file is None:
        raise click.ClickException(
            "the key is in STORE_KEY, which only you can change; or unset it to use a key file"
        )
    if ring.unsafe():
        raise click.ClickException(ring.unsafe())
    return file


def _show_rekeying(done: Rekeying) -> None:
    for namespace, name, reason in done.left:
        note(f"{shown_place(namespace, name)} is left as it is: {on_one_line(reason)}")
    click.echo(f"resealed {done.resealed}, current {done.current}, left {len(done.left)}")
    for key_id, count in done.keys.items():
        click.echo(f"{key_id:<16}  {count} records" + ("  (the newest key)" if key_id == done.key else ""))
