"""`settings`: show, set, reset, export and import what a program keeps with `store.settings`.

The command line does not know the program's class: it has the stored values only, no defaults and no types.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from typing import Any

import click

from store import Store
from store.classes.size import too_large
from store.cli.output.exits import exit_with_error, reported_as, usage_error
from store.cli.output.tables import MOST_PADDED
from store.cli.output.terminal import note, on_one_line, shown, shown_name
from store.cli.reading import options
from store.cli.reading.groups import Commands
from store.cli.reading.opening import open_store
from store.cli.reading.values import NegativeNumbers, format_value, many_digits, parse_value, read_text
from store.errors import CodecUnavailable, RecordError, label
from store.opened.arguments import public
from store.settings.containers import Anything
from store.settings.leaves import fitted
from store.settings.opening import NAMESPACE, put_plain
from store.settings.text import FORMATS, SUFFIXES, format_of, has_comments, target_of, text_of, values_in

_namespace_option = click.option(
    "--namespace",
    metavar="NS",
    type=options.text,
    default=NAMESPACE,
    show_default=True,
    help="Where the settings are.",
)
_format_option = click.option(
    "--format", type=click.Choice(list(FORMATS)), help="The format; that of the file's suffix by default."
)


@click.group(cls=Commands)
def settings() -> None:
    """Shows, sets and resets what a program keeps as settings.

    Only stored values are shown: defaults, types and environment variables belong to the program, which checks the
    values when it reads them.

    \b
    Examples:
      store settings show app.db
      store settings set app.db font_size 16
      store settings export app.db prefs.toml
    """


@settings.command()
@options.path
@_namespace_option
@options.as_object
def show(path: str, namespace: str, as_object: bool) -> None:
    """Shows the stored values; fields that have their default are not there.

    \b
    Examples:
      store settings show app.db
      store settings show app.db --json
    """
    with open_store(path, mode="r", namespace=namespace) as s:
        values, failed = _values(s)
    if as_object:
        with many_digits():
            click.echo(shown(_json(_plain(values, "json"))))
    else:
        _show(path, namespace, values)
    exit_with_error(failed)


def _show(path: str, namespace: str, values: Mapping[str, Any]) -> None:
    if not values:
        click.echo(
            f"{shown(public(path))} has no settings in namespace {namespace!r}: the program's defaults hold", err=True
        )
    width = min(MOST_PADDED, max(map(len, map(shown_name, values)), default=0))
    for name, value in values.items():
        click.echo(f"{shown_name(name):<{width}}  {_formatted(value)}")


@settings.command("set", cls=NegativeNumbers)
@options.path
@click.argument("field", type=options.text)
@click.argument("value", type=options.text)
@_namespace_option
def set_(path: str, field: str, value: str, namespace: str) -> None:
    """Stores the value of a field, which the program checks when it reads it.

    VALUE is JSON, or else a Python literal; a string needs quotes of its own inside those of the shell. `@FILE`
    takes the text of a file, `-` that of stdin. Creates the store if there is none.

    \b
    Examples:
      store settings set app.db font_size 16
      store settings set app.db theme '"light"'
    """
    values = _checked({field: parse_value(read_text(value, or_bytes=False), value, or_text=False)})
    with open_store(path, mode="c", namespace=namespace) as s:
        _put_all(s, values)


@settings.command()
@options.path
@click.argument("fields", metavar="FIELD...", type=options.text, nargs=-1)
@click.option("--all", "every", is_flag=True, help="All fields, in place of FIELD.")
@_namespace_option
def reset(path: str, fields: tuple[str, ...], every: bool, namespace: str) -> None:
    """Puts fields back to the program's defaults.

    Resets all of the named fields, or none if one has no stored value.

    \b
    Examples:
      store settings reset app.db theme
      store settings reset app.db --all
    """
    if bool(fields) == every:
        raise usage_error("name the fields, or pass --all")
    with open_store(path, mode="w", namespace=namespace) as s, s.transaction():
        for field in dict.fromkeys(s.names() if every else fields):
            if field not in s:
                raise click.ClickException(
                    f"{public(path)} has no stored value for {field!r}; `store settings show` shows those it has"
                )
            del s[field]


@settings.command()
@options.path
@click.argument("file", metavar="[FILE]", default="-")
@_format_option
@_namespace_option
def export(path: str, file: str, format: str | None, namespace: str) -> None:
    """Writes the stored values as TOML, JSON or YAML.

    FILE must not exist yet; it is stdout by default, and the format JSON then. TOML has no null: what is None is
    named in the list `_none`. Comments of a file that was imported are lost.

    \b
    Examples:
      store settings export app.db
      store settings export app.db prefs.toml
      store settings export app.db --format yaml
    """
    format = _format(file, format or ("json" if file == "-" else None))
    with open_store(path, mode="r", namespace=namespace) as s:
        values, failed = _values(s)
    with reported_as(click.ClickException), many_digits():
        written = text_of(_plain(values, format), format)
    if file == "-":
        click.echo(written, nl=False)
    else:
        _write_new(file, written)
    exit_with_error(failed)


def _write_new(file: str, written: str) -> None:
    try:
        with open(file, "x", encoding="utf-8", newline="\n") as out:
            out.write(written)
    except FileExistsError as exc:
        raise click.ClickException(f"{file} exists already; name a new file, or remove it") from exc


@settings.command("import")
@options.path
@click.argument("file", metavar="FILE")
@_format_option
@_namespace_option
def import_(path: str, file: str, format: str | None, namespace: str) -> None:
    """Stores the values of a TOML, JSON or YAML file: all, or none.

    The store comes first, as with `export`.

    Fields that the file does not name stay as they are; comments are lost, which is reported. The program checks the
    values when it reads them. FILE `-` is stdin, and needs --format. Creates the store if there is none.

    \b
    Examples:
      store settings import app.db prefs.toml
    """
    _check_order(path, file)
    format = _format(file, format)
    content = read_text("-" if file == "-" else f"@{file}", or_bytes=False)
    source = "stdin" if file == "-" else file
    with reported_as(lambda why: click.ClickException(f"{source}: {why}; nothing was stored")), many_digits():
        values = _checked(values_in(content, format))
    with open_store(path, mode="c", namespace=namespace) as s:
        _put_all(s, values)
    if has_comments(content, format):
        where = "the text" if file == "-" else on_one_line(file)
        note(f"the comments of {where} are not in the store, which keeps values alone")
    click.echo(f"imported {len(values)} field{'' if len(values) == 1 else 's'}")


def _check_order(path: str, file: str) -> None:
    """Raises: click.UsageError: by their suffixes, the store was named last."""
    is_text = [os.path.splitext(one)[1].lower() in SUFFIXES for one in (path, file)]
    if is_text == [True, False] and file != "-":
        raise usage_error(f"the store comes first: store settings import {shlex.quote(file)} {shlex.quote(path)}")


def _values(s: Store[Any]) -> tuple[dict[str, Any], bool]:
    """The values that can be read, and whether there are others, which are reported on stderr."""
    values: dict[str, Any] = {}
    failed = False
    for name in s.names():
        try:
            values[name] = s[name]
        except KeyError:  # deleted since
            continue
        except (RecordError, CodecUnavailable) as exc:
            note(on_one_line(str(exc)))
            failed = True
        except MemoryError:
            note(f"{on_one_line(label(name))}: there is not enough memory for it")
            failed = True
    return values, failed


def _json(values: Mapping[str, Any]) -> str:
    with reported_as(lambda why: click.ClickException(f"JSON cannot hold the settings: {why}")):  # too many digits
        return json.dumps(values, ensure_ascii=False)


def _formatted(value: Any) -> str:
    """The value as text, or the reason why it has none."""
    try:
        return format_value(value)
    except click.ClickException as exc:
        return f"<{exc.message}>"


def _format(file: str, format: str | None) -> str:
    """The format to use. Raises: click.UsageError: neither the option nor the suffix names one."""
    if file == "-" and format is None:
        raise usage_error("stdin has no suffix: pass --format")
    with reported_as(lambda why: usage_error(f"{why} (--format)")):
        return format_of(file, format)


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, all of them plain data under names that a field can have."""
    for name in values:
        if name.startswith("_") or not name.isidentifier():
            raise usage_error(f"{shown_name(name)} is no name of a field")
    with reported_as(usage_error):
        return {name: Anything().take(value, name) for name, value in values.items()}


def _plain(values: Mapping[str, Any], format: str) -> dict[str, Any]:
    """The values as the format holds them. Raises: click.ClickException: one is no plain data."""
    target, kind = target_of(format), Anything()
    if items := too_large(values):
        raise click.ClickException(
            f"parts of the values are in them many times, and {target.format} would have to write each of those, "
            f"{items}; `store settings show` shows the beginning"
        )
    with reported_as(click.ClickException):
        return {name: fitted(kind.take(value, name), name, target) for name, value in values.items()}


def _put_all(s: Store[Any], values: Mapping[str, Any]) -> None:
    with s.transaction():
        for name, value in values.items():
            put_plain(s, name, value)
