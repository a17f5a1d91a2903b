"""`sessions`: the sessions of a web application, without their ids: the file holds only hashes of those."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click

from store import Record
from store.cli.output.exits import usage_error
from store.cli.output.json_output import as_json, print_array
from store.cli.output.tables import Column, print_table
from store.cli.output.terminal import shown_name
from store.cli.reading import options
from store.cli.reading.groups import Commands
from store.cli.reading.opening import open_store
from store.cli.reading.values import read_text
from store.display.units import span_text
from store.mapping.sharding.layout import shards_of
from store.mapping.sharding.sharded import AnyStore
from store.opened.arguments import public
from store.opened.options import Mode
from store.sessions import Sessions, UserSessions
from store.sessions.ids import hash_in

DIGITS = 16  # of a hash are shown, enough to tell 2**32 sessions apart
LEAST_DIGITS = 8  # of a hash must be given to delete its session
HASH_LENGTH = 64
COLUMNS = (Column("hash"), *(Column(f"{heading:>10}", right=True) for heading in ("age", "expires in", "bytes")))

namespace_option = click.option(
    "--namespace", metavar="NS", type=options.text, default="sessions", show_default=True,
    help="The namespace that holds the sessions.",
)  # fmt: skip
user_option = click.option("--user", metavar="NAME", type=options.text, help="Only those of this user.")


@click.group(cls=Commands)
def sessions() -> None:
    """Counts, lists and deletes the sessions of a web application.

    Ids are never shown: the file does not hold them. A session is named by the first digits of the hash of its id.
    It is of a user if the program named one when it made it; finding those takes the program's key.

    \b
    Examples:
      store sessions count app.db
      store sessions ls app.db
      store sessions clear app.db
    """


@sessions.command()
@options.path
@user_option
@namespace_option
def count(path: str, user: str | None, namespace: str) -> None:
    """Shows how many sessions are alive.

    \b
    Examples:
      store sessions count app.db
      store sessions count app.db --user alice
      store sessions count app.db --namespace sessions
    """
    with _sessions(path, "r", namespace) as found:
        click.echo(len(found if user is None else _of(user, found)))


@sessions.command()
@options.path
@click.option("--limit", metavar="N", type=click.IntRange(min=0), help="At most N sessions.")
@click.option("--json", "as_array", is_flag=True, help="All metadata, as a JSON array of objects.")
@user_option
@namespace_option
def ls(path: str, limit: int | None, as_array: bool, user: str | None, namespace: str) -> None:
    """Lists the sessions that are alive.

    Shows the first digits of each hash, the age, the time left and the size in bytes. No data is decoded.

    \b
    Examples:
      store sessions ls app.db
      store sessions ls app.db --limit 100
      store sessions ls app.db --user alice
      store sessions ls app.db --json
    """
    with _sessions(path, "r", namespace) as found:
        records = islice((found if user is None else _of(user, found)).records(), limit)
        if as_array:
            print_array(map(as_json, records))
        else:
            print_table(COLUMNS, map(_cells, records))


@sessions.command()
@options.path
@namespace_option
def clear(path: str, namespace: str) -> None:
    """Deletes the sessions that have expired.

    Works in small batches, so that the application can write meanwhile.

    \b
    Examples:
      store sessions clear app.db
    """
    with _sessions(path, "w", namespace) as found:
        click.echo(f"cleared {found.clear_expired()}")


# An id may begin with "-": click would take it for an option, and show it in its error.
@sessions.command(context_settings={"ignore_unknown_options": True})
@options.path
@click.argument("words", metavar="SESSION", type=options.text, nargs=-1)
@user_option
@namespace_option
def rm(path: str, words: tuple[str, ...], user: str | None, namespace: str) -> None:
    """Deletes a session, or all of a user.

    SESSION is at least eight digits of its hash, as `store sessions ls` shows them, or `-` to read its id from
    stdin: on the command line other users and the shell's history would see it.

    \b
    Examples:
      store sessions rm app.db 9f86d081884c7d65
      store sessions rm app.db --user alice
    """
    if user is not None and not words:
        with _sessions(path, "w", namespace) as found:
            click.echo(f"ended {_of(user, found).end()}")
        return
    if user is not None:  # the argument may be an id: it is not shown
        raise usage_error("give a session or --user, not both")
    session = words[0] if len(words) == 1 else ""  # click would show the words that are too many
    if session == "-":
        _delete_id(path, read_text("-").strip(), namespace)
        return
    digits = session.lower()
    if not LEAST_DIGITS <= len(digits) <= HASH_LENGTH or set(digits) - set("0123456789abcdef"):
        raise usage_error(  # the argument may be an id: it is not shown
            f"a session is named by {LEAST_DIGITS} to {HASH_LENGTH} hexadecimal digits of its hash, as `store "
            "sessions ls` shows them; give an id on stdin, with - in its place"
        )
    with _sessions(path, "w", namespace) as found:
        _delete_hash(found.store, digits, path)


def _delete_id(path: str, id: str, namespace: str) -> None:
    with _sessions(path, "w", namespace) as found:
        if not found.delete(id):
            raise click.ClickException(f"{public(path)} has no session of that id in namespace {namespace!r}")


def _delete_hash(s: AnyStore[Any], digits: str, path: str) -> None:
    names = [name for name in s.names() if hash_in(name).startswith(digits)]
    if len(names) > 1:
        raise click.ClickException(
            f"several sessions of {public(path)} have a hash that begins with {digits}; give more of its digits "
            "(`store sessions ls --json` shows all)"
        )
    if not names or not s.delete(names[0]):
        raise click.ClickException(
            f"{public(path)} has no session whose hash begins with {digits} in namespace {s.namespace!r}; "
            "`store sessions ls` shows those it has"
        )


@contextmanager
def _sessions(path: str, mode: Mode, namespace: str) -> Iterator[Sessions]:
    """The sessions at `path`, over as many shards as they have."""
    with open_store(path, mode=mode) as s, Sessions(s, namespace=namespace, shards=shards_of(s, namespace)) as found:
        yield found


def _of(user: str, found: Sessions) -> UserSessions:
    if not user:
        raise usage_error("--user is empty")
    return found.by(user)


def _cells(record: Record) -> tuple[str, ...]:
    now = datetime.now(UTC)
    left = "never" if record.expires is None else span_text((record.expires - now).total_seconds())
    age = span_text((now - record.created).total_seconds())
    return shown_name(hash_in(record.name)[:DIGITS]), age, left, str(record.size)
