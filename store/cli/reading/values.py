"""Values on the command line: JSON, a Python literal, text or bytes in; JSON, `repr`, text or bytes out."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from store.classes.shown import in_full, message_of
from store.cli.output.exits import usage_error
from store.cli.output.terminal import is_terminal, shown
from store.codecs import codecs
from store.errors import NotSerializable, label

MAX_DIGITS = 100_000  # of an integer: Python takes 0.3 s for them, and a minute for ten times as many


@contextmanager
def many_digits() -> Iterator[None]:
    """Allows integers of up to MAX_DIGITS digits in the block; Python's own limit is 4,300."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(max(before, MAX_DIGITS) if before else before)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(before)


def read_text(argument: str, *, or_bytes: bool = True) -> str:
    """The text that an argument VALUE names: "-" is stdin, "@file" that file, anything else itself.

    `or_bytes`: the command has the option --bytes.

    Raises:
        OSError: the file cannot be read. click.ClickException: it is not text.
    """
    try:
        return read_bytes(argument).decode()
    except UnicodeDecodeError as exc:
        advice = "; --bytes takes any content" if or_bytes else ""
        raise click.ClickException(f"{_source(argument)} is not text in UTF-8 ({exc.reason}){advice}") from exc


def read_bytes(argument: str) -> bytes:
    """The bytes that an argument VALUE names. Raises: OSError: the file cannot be read."""
    if argument == "-":
        return b"" if sys.stdin is None else sys.stdin.buffer.read()
    if not argument.startswith("@"):
        return argument.encode()
    with open(argument[1:], "rb") as file:
        return file.read()


@many_digits()
def parse_value(text: str, argument: str, *, or_text: bool = True) -> Any:
    """The value of a text in JSON, or else of a Python literal; no code in it is run.

    `or_text`: the command has the option --text.

    Raises:
        click.UsageError: it is neither; the message says how to quote a string.
    """
    from store.display.literals import value_of  # which `get` need not load

    try:
        return value_of(text)
    except ValueError:
        raise usage_error(
            f"{_source(argument)} is neither JSON nor a Python literal; a string needs quotes of its own inside "
            f"those of the shell: {_quoted(text)}{', or --text' if or_text else ''}"
        ) from None


@many_digits()
def format_value(value: Any) -> str:
    """The value as JSON where that loses nothing, else its `repr`; without control characters.

    Raises:
        click.ClickException: its `repr` fails.
    """
    try:
        return shown(_as_json(value))
    except NotSerializable:
        pass
    if type(value) is int and value.bit_length() > 4 * MAX_DIGITS:  # it has too many hexadecimal digits as well
        return f"<an integer of {value.bit_length():,} bits>"
    try:
        return shown(in_full(value), keep="\n\t")
    except Exception as exc:  # the class's own code runs here
        raise click.ClickException(
            f"the value is there, but has no text to show ({type(exc).__name__}: {message_of(exc)})"
        ) from exc


@many_digits()
def as_json_object(values: Mapping[str, Any]) -> str:
    """Names and values as one line of JSON.

    Raises:
        click.ClickException: JSON would change a value.
    """
    for name, value in values.items():
        try:
            _as_json(value)
        except NotSerializable as exc:
            reason = str(exc).partition(";")[0]
            raise click.ClickException(
                f"{label(name)}: {reason}; leave --json out to see it as Python shows it"
            ) from exc
    return shown(json.dumps(values, ensure_ascii=False))


def _as_json(value: Any) -> str:
    """Raises: NotSerializable: JSON would change the value."""
    codecs.load("json").encode(value, 1)
    return json.dumps(value, ensure_ascii=False)


def as_raw(name: str, value: Any) -> bytes:
    """The bytes of a value that is text (UTF-8) or bytes. Raises: click.ClickException: it is something else."""
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if not isinstance(value, str):
        raise click.ClickException(
            f"{label(name)} is neither text nor bytes, but {type(value).__name__}: leave --raw out"
        )
    try:
        return value.encode()
    except UnicodeEncodeError as exc:
        raise click.ClickException(f"{label(name)} is text that UTF-8 cannot hold: leave --raw out") from exc


def write_raw(data: bytes) -> None:
    """Writes bytes to stdout as they are.

    Raises:
        click.ClickException: stdout is a terminal, which would obey control characters in them.
    """
    if is_terminal() and not _is_harmless(data):
        raise click.ClickException(
            "a terminal would obey the control characters in this: send it to a file (> FILE), or leave --raw out"
        )
    if sys.stdout is not None:
        sys.stdout.buffer.write(data)


def _is_harmless(data: bytes) -> bool:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    return shown(text, keep="\n\t") == text


def _source(argument: str) -> str:
    if argument == "-":
        return "what stdin gave"
    if argument.startswith("@"):
        return argument[1:]
    return repr(argument if len(argument) <= 60 else argument[:57] + "...")


def _quoted(text: str) -> str:
    line = text.strip()
    return shlex.quote(json.dumps(line if "\n" not in line and len(line) <= 60 else "…", ensure_ascii=False))


_NOT_OPTIONS = r"(?s)-|-[\d.].*"  # stdin, and negative numbers


class NegativeNumbers(click.Command):
    """A command that takes "-5" for a value and not for an option.

    click can let unknown options pass, but then lets mistyped ones pass too.
    """

    ignore_unknown_options = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raises: click.NoSuchOption."""
        typed = list(args)
        rest = super().parse_args(ctx, args)
        if "--" not in typed:
            for given in ctx.params.values():
                if isinstance(given, str) and given.startswith("-") and not re.fullmatch(_NOT_OPTIONS, given):
                    raise click.NoSuchOption(given, ctx=ctx)
        return rest
