"""One record at a time, or some: `get`, `set`, `rm`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click

from store import ABSENT, Record, Store
from store.cli.completion import complete_names
from store.cli.exits import EXIT_ERROR
from store.cli.options import (
    missing,
    name_argument,
    names_argument,
    namespace_option,
    open_store,
    path_argument,
    seconds,
    text,
    yes_option,
)
from store.cli.terminal import confirm, shown_name
from store.cli.values import as_json_object, as_raw, format_value, parse_value, read_bytes, read_text, write_raw
from store.codecs import codecs
from store.errors import Conflict, RecordError, label
from store.opened.options import Mode
from store.opened.sentinels import Absent

_NOT_OPTIONS = re.compile(r"-|-[\d.].*", re.DOTALL)  # stdin, and negative numbers
PAGE_NAMES = 500


@click.command()
@path_argument
@names_argument
@namespace_option
@click.option("--json", "form", flag_value="json", help="As one JSON object, name to value.")
@click.option("--raw", "form", flag_value="raw", help="Text and bytes as they are, with nothing added.")
def get(path: str, names: tuple[str, ...], namespace: str, form: str | None) -> None:
    """Shows the values of records.

    As JSON where that loses nothing, else as Python shows it; of several names one after another, as of one moment,
    or none if one is missing. A record that was sealed with somebody else's key is shown if it is plain data;
    classes that it names are not loaded.

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
            write_raw(b"".join(as_raw(name, value) for name, value in found.items()))
        elif form == "json":
            click.echo(as_json_object(found))
        else:
            click.echo("\n".join(map(format_value, found.values())))


class _TakesNegativeNumbers(click.Command):
    """click takes "-5" for an option; told to let unknown options pass, it also lets mistyped ones pass."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        typed = list(args)
        rest = super().parse_args(ctx, args)
        if "--" not in typed:
            for given in ctx.params.values():
                if isinstance(given, str) and given.startswith("-") and not _NOT_OPTIONS.fullmatch(given):
                    raise click.NoSuchOption(given, ctx=ctx)
        return rest


@click.command("set", cls=_TakesNegativeNumbers, context_settings={"ignore_unknown_options": True})
@path_argument
@name_argument
@click.argument("value", type=text)
@click.option("--text", "form", flag_value="text", help="VALUE is a string as it stands.")
@click.option("--bytes", "form", flag_value="bytes", help="VALUE is bytes as they stand.")
@click.option(
    "--ttl", type=seconds, metavar="SECONDS", help="How long it lives, for ever by default; also 30m, 2h, 7d."
)
@click.option(
    "--codec", type=click.Choice(codecs.names()), default="pickle", show_default=True, help="How it is encoded."
)
@click.option("--if-missing", is_flag=True, help="Only where there is no such record.")
@click.option(
    "--if-revision", metavar="N", type=click.IntRange(min=0), help="Only where it is at this revision; 0 is missing."
)
@namespace_option
def set_(
    path: str, name: str, value: str, form: str | None, if_missing: bool, if_revision: int | None, ttl: float | None,
    codec: str, namespace: str,
) -> None:  # fmt: skip
    """Stores a value under a name.

    As an assignment does: what was there is replaced. Makes the store where there is none.

    VALUE is JSON, or else a Python literal (a tuple, a set, bytes…). A string needs quotes of its own inside
    those of the shell, or --text. `@FILE` takes the content of a file, `-` that of stdin.

    \b
    Examples:
      store set app.db settings '{"theme": "dark", "font_size": 14}'
      store set app.db greeting '"hello"'
      store set app.db greeting hello --text
      store set app.db limits '(-5, 5)' --namespace settings
      store set app.db session:4f2a '{"user": 1}' --ttl 1800
      store set app.db visits 0 --if-missing
    """
    if if_missing and if_revision is not None:
        raise click.UsageError("--if-missing or --if-revision, not both", click.get_current_context())
    parsed = _parsed(value, form)
    mode: Mode = "w" if if_revision else "c"  # a store for a record that must be there already is not made
    with open_store(path, mode=mode, namespace=namespace, codec=codec, ttl=ttl) as s:
        condition = _condition(s, name, if_missing, if_revision)
        try:
            s.put(name, parsed, if_version=condition)
        except Conflict as exc:
            if not if_missing:
                raise
            raise click.ClickException(
                f"{path} has {label(name, namespace)} already; leave --if-missing out to replace it"
            ) from exc


@click.command()
@path_argument
@click.argument("names", metavar="[NAME...]", type=text, nargs=-1, shell_complete=complete_names)
@click.option("--prefix", metavar="P", type=text, help="All whose name begins with P; asks first.")
@yes_option
@namespace_option
def rm(path: str, names: tuple[str, ...], prefix: str | None, yes: bool, namespace: str) -> None:
    """Deletes records.

    All of those named or, if one is missing, none; or all whose name begins with a prefix, after saying how many
    those are, and asking.

    \b
    Examples:
      store rm app.db greeting
      store rm app.db session:4f2a user:1
      store rm app.db --prefix session: --yes
    """
    if prefix is not None:
        if names:
            raise click.UsageError("NAME or --prefix, not both", click.get_current_context())
        _rm_prefix(path, namespace, prefix, yes)
        return
    if not names:
        raise click.UsageError("Missing argument 'NAME...', or --prefix P", click.get_current_context())
    with open_store(path, mode="w", namespace=namespace) as s, s.transaction():
        for name in dict.fromkeys(names):
            try:
                del s[name]
            except KeyError:
                raise missing(name, path, namespace) from None


def _values(s: Store[Any], names: tuple[str, ...], path: str) -> dict[str, Any]:
    """Raises: click.ClickException: one is missing, or cannot be decoded."""
    try:
        found = s.get_many(names)
    except RecordError as exc:
        raise click.ClickException(f"{exc}; `store info` shows what is known without loading it") from exc
    for name in names:
        if name not in found:
            raise missing(name, path, s.namespace)
    return found


def _parsed(value: str, form: str | None) -> Any:
    if form == "bytes":
        return read_bytes(value)
    return read_text(value) if form == "text" else parse_value(read_text(value), value)


def _condition(s: Store[Any], name: str, if_missing: bool, revision: int | None) -> Record | Absent | None:
    """What `put` takes as `if_version`. Raises: Conflict: the record is at another revision, or missing."""
    if if_missing or revision == 0:
        return ABSENT
    if revision is None:
        return None
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


def _rm_prefix(path: str, namespace: str, prefix: str, yes: bool) -> None:
    with open_store(path, mode="w", namespace=namespace) as s:
        if not yes:  # asked before the transaction, which would keep other writers waiting
            found = sum(len(page) for page in _pages(s, prefix))
            count = f"{found} record{'' if found == 1 else 's'}"
            if found and not confirm(
                f"Delete {count} whose name begins with {shown_name(prefix)}?", "--yes deletes without asking"
            ):
                click.echo("store: nothing was deleted", err=True)
                click.get_current_context().exit(EXIT_ERROR)
        deleted = 0
        with s.transaction():
            for page in _pages(s, prefix):
                deleted += sum(_deleted(s, name) for name in page)
    click.echo(f"deleted {deleted}")


def _deleted(s: Store[Any], name: str) -> bool:
    try:
        del s[name]
    except KeyError:  # it has expired since the page was read
        return False
    return True


def _pages(s: Store[Any], prefix: str) -> Iterator[list[str]]:
    after: str | None = None
    while page := s.names(prefix, after=after, limit=PAGE_NAMES):
        yield page
        after = page[-1]
