"""`key`: the keys that seal what this user writes. Secrets are never shown."""

from __future__ import annotations

from pathlib import Path

import click

from store.cli.reading.groups import Commands
from store.errors import StoreError
from store.trust.keys.file import add_key, read_key_file, retire_key
from store.trust.keys.key import ID_BYTES, Key
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
    try:
        keys = ring.keys()
    except ValueError as exc:
        raise click.ClickException(str(exc)) from exc
    if ring.problem:
        raise click.ClickException(ring.problem)
    click.echo(f"keys from {ring.where()}")
    if not keys:
        click.echo("none yet: one is made at the first write, or by `store key new`")
    seals = next((one for one in keys if not one.retired), None)
    for one in keys:
        click.echo(f"{one.id.hex()}  {_role(one, seals)}")


@key.command()
def new() -> None:
    """Adds a key, which seals from now on; the older ones verify still.

    \b
    Examples:
      store key new
    """
    file = _key_file()
    try:
        made = add_key(file)
    except ValueError as exc:  # what the file holds is no key
        raise click.ClickException(str(exc)) from exc
    click.echo(f"{made.id.hex()}  seals and verifies")


@key.command()
@click.argument("id_", metavar="ID")
def retire(id_: str) -> None:
    """Retires a key: it verifies still, and never seals.

    \b
    Examples:
      store key retire 1f0c2a9be4d35578
    """
    key_id = _id(id_)
    file = _key_file()
    try:
        retire_key(file, key_id)
    except LookupError as exc:
        ids = ", ".join(one.id.hex() for one in read_key_file(file))
        raise click.ClickException(f"{exc.args[0]}; it has {ids}") from None
    except ValueError as exc:
        raise click.ClickException(str(exc)) from None
    click.echo(f"{key_id.hex()}  verifies only")


def _id(text: str) -> bytes:
    """Raises: click.BadParameter: it is no id; what it is is not shown, since it might be a key."""
    try:
        key_id = bytes.fromhex(text)
    except ValueError:
        key_id = b""
    if len(key_id) != ID_BYTES:
        raise click.BadParameter(
            "an id is 16 hexadecimal digits, as `store key show` shows them", click.get_current_context()
        )
    return key_id


def _keyring() -> Keyring:
    try:
        return Keyring()
    except StoreError:
        raise
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc


def _key_file() -> Path:
    """The file to change. Raises: click.ClickException: the keys come from somewhere else."""
    ring = _keyring()
    file = ring.file()
    if file is None:
        raise click.ClickException(
            "the key is in STORE_KEY, which only you can change; or unset it to use a key file"
        )
    if ring.unsafe():
        raise click.ClickException(ring.unsafe())
    return file


def _role(one: Key, seals: Key | None) -> str:
    if one.retired:
        return "retired: verifies only"
    return "seals and verifies" if one is seals else "verifies"
