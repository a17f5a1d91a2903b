"""One record at a time, or some: `get`, `set`, `rm`, `touch`."""

from __future__ import annotations

from collections.abc import Callable
from operator import delitem
from typing import TYPE_CHECKING, Any

import click

from store import ABSENT, Store
from store.cli.output.exits import exit_with_error, usage_error
from store.cli.output.terminal import confirm, note, shown_name
from store.cli.reading import options, values
from store.cli.reading.opening import existing, open_store
from store.codecs import codecs
from store.errors import Conflict, RecordError, label
from store.opened.arguments import public
from store.opened.options import Mode
from store.opened.sentinels import Absent

if TYPE_CHECKING:
    from store.rows.record import Record


@click.command()
@options.path
@options.names
@options.namespace()
@click.option("--json", "form", flag_value="json", help="As one JSON object, name to value.")
@click.option("--raw", "form", flag_value="raw", help="Text and bytes as they are, with nothing added.")
def get(path: str, names: tuple[str, ...], namespace: str, form: str | None) -> None:
    """Shows the values of records.

    Values are printed as JSON where that loses nothing, else as Python shows them. Several values are read as of one
    moment; if one name is missing, none is printed. A record sealed with another user's key is shown if it is plain
    data; classes that it names are not loaded.

    For objects of classes of your own, run `python -m store get` where Python finds their modules.

    \b
    Examples:
      store get app.db settings
      store get app.db theme --namespace settings
      store get app.db user:1 greeting --json
      store get app.db greeting --raw
    """
    with open_store(path, mode="r", namespace=namespace) as s:
        found = _values(s, names, path)
        if form == "raw":
            values.write_raw(b"".join(values.as_raw(name, value) for name, value in found.items()))
        elif form == "json":
            click.echo(values.as_json_object(found))
        else:
            click.echo("\n".join(map(values.format_value, found.values())))


@click.command("set", cls=values.NegativeNumbers)
@options.path
@options.name
@click.argument("value", type=options.text)
@click.option("--text", "form", flag_value="text", help="VALUE is a string as it stands.")
@click.option("--bytes", "form", flag_value="bytes", help="VALUE is bytes as they stand.")
@click.option(
    "--ttl", type=options.seconds, metavar="SECONDS", help="How long it lives, for ever by default; also 30m, 2h, 7d."
)
@click.option(
    "--codec", type=click.Choice(codecs.names()), default="pickle", show_default=True, help="How it is encoded."
)
@click.option("--if-missing", is_flag=True, help="Only if there is no such record.")
@click.option(
    "--if-revision",
    metavar="N",
    type=click.IntRange(min=0),
    help="Only if it is at this revision; 0: if there is none.",
)
@click.option(
    "--if-version", metavar="V", type=options.text, help="Only if it has this version, of `store info --json`."
)
@options.namespace()
def set_(
    path: str, name: str, value: str, form: str | None, if_missing: bool, if_revision: int | None,
    if_version: str | None, ttl: float | None, codec: str, namespace: str,
) -> None:  # fmt: skip
    """Stores a value under a name.

    Replaces the record if there is one; creates the store if there is none.

    VALUE is JSON, or else a Python literal (a tuple, a set, bytes…). A string needs quotes of its own inside those
    of the shell, or --text. `@FILE` takes the content of a file, `-` that of stdin.

    \b
    Examples:
      store set app.db settings '{"theme": "dark", "font_size": 14}'
      store set app.db greeting '"hello"'
      store set app.db greeting hello --text
      store set app.db limits '(-5, 5)' --namespace settings
      store set app.db session:4f2a '{"user": 1}' --ttl 1800
      store set app.db visits 0 --if-missing
    """
    if if_missing + (if_revision is not None) + (if_version is not None) > 1:
        raise usage_error("give only one of --if-missing, --if-revision and --if-version")
    parsed = _parsed(value, form)
    mode: Mode = "w" if if_revision or if_version is not None else "c"  # a record that must exist needs no new store
    with open_store(path, mode=mode, namespace=namespace, codec=codec, ttl=ttl) as s:
        if not if_missing:
            s.put(name, parsed, if_version=_condition(s, name, if_revision) if if_version is None else if_version)
        elif not s.add(name, parsed):
            raise click.ClickException(
                f"{public(path)} has {label(name, namespace)} already; leave --if-missing out to replace it"
            )


@click.command()
@options.path
@options.some_names
@click.option("--prefix", metavar="P", type=options.text, help="All records whose name begins with P; asks first.")
@options.yes
@options.namespace()
def rm(path: str, names: tuple[str, ...], prefix: str | None, yes: bool, namespace: str) -> None:
    """Deletes records.

    Deletes all of the named records, or none if one is missing. With --prefix, says how many names begin with it,
    and asks.

    \b
    Examples:
      store rm app.db greeting
      store rm app.db session:4f2a user:1
      store rm app.db --prefix session: --yes
    """
    if prefix is not None:
        if names:
            raise usage_error("NAME or --prefix, not both")
        _rm_prefix(path, namespace, prefix, yes)
        return
    if not names:
        raise usage_error("Missing argument 'NAME...', or --prefix P")
    _change_all(path, namespace, names, delitem)


@click.command()
@options.path
@options.names
@click.option("--ttl", type=options.seconds, metavar="SECONDS", help="The lifetime from now on; also 30m, 2h, 7d.")
@click.option("--forever", is_flag=True, help="Never expire.")
@options.namespace()
def touch(path: str, names: tuple[str, ...], ttl: float | None, forever: bool, namespace: str) -> None:
    """Gives records a new lifetime.

    Changes all of the named records, or none if one is missing or was not sealed by you. No value is decoded.

    \b
    Examples:
      store touch app.db session:4f2a --ttl 30m
      store touch app.db session:4f2a user:1 --forever
    """
    if (ttl is None) != forever:
        raise usage_error("say for how long: --ttl SECONDS, or --forever")
    _change_all(path, namespace, names, lambda s, name: s.touch(name, ttl))


def _values(s: Store[Any], names: tuple[str, ...], path: str) -> dict[str, Any]:
    """Raises: click.ClickException: one is missing, or cannot be decoded."""
    try:
        found = s.get_many(names)
    except RecordError as exc:
        raise click.ClickException(f"{exc}; `store info` shows what is known without loading it") from exc
    for name in names:
        with existing(path, s.namespace, name):
            found[name]
    return found


def _parsed(value: str, form: str | None) -> Any:
    if form == "bytes":
        return values.read_bytes(value)
    given = values.read_text(value)
    return given if form == "text" else values.parse_value(given, value)


def _condition(s: Store[Any], name: str, revision: int | None) -> Record | Absent | None:
    """What `put` takes as `if_version`. Raises: Conflict: the record is at another revision, or missing."""
    if revision is None:
        return None
    if revision == 0:
        return ABSENT
    try:
        record = s.record(name)
    except KeyError:
        now_is = "there is none"
    else:
        if record.revision == revision:
            return record
        now_is = f"it is at {record.revision}"
    raise Conflict(
        f"{label(name, s.namespace)} is not at revision {revision}, {now_is}: read it again and retry",
        name=name,
        namespace=s.namespace,
    )


def _change_all(
    path: str, namespace: str, names: tuple[str, ...], change: Callable[[Store[Any], str], object]
) -> None:
    """Changes all of the records, or none if one is missing."""
    with open_store(path, mode="w", namespace=namespace) as s, s.transaction():
        for name in dict.fromkeys(names):
            with existing(path, namespace, name):
                change(s, name)


def _rm_prefix(path: str, namespace: str, prefix: str, yes: bool) -> None:
    from store.cli.reading.selection import Selection  # which `get` need not load

    selection = Selection(prefix)
    with open_store(path, mode="w", namespace=namespace) as s:
        if not yes:  # outside the transaction, which makes other writers wait
            found = sum(1 for _ in selection.names(s))
            count = f"{found} record{'' if found == 1 else 's'}"
            question = f"Delete {count} whose name begins with {shown_name(prefix)}?"
            if found and not confirm(question, "--yes deletes without asking"):
                note("nothing was deleted")
                exit_with_error()
        with s.transaction():
            deleted = sum(map(s.delete, selection.names(s)))
    click.echo(f"deleted {deleted}")
