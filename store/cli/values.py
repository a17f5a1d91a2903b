"""Values on the command line: JSON or a Python literal in, JSON or `repr` out."""

from __future__ import annotations

import ast
import json
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any

import click

from store.cli.terminal import shown
from store.codecs import codecs
from store.errors import NotSerializable


def read_text(argument: str) -> str:
    """The text that an argument VALUE stands for: "-" is stdin, "@file" that file, all else itself.

    Raises:
        OSError: the file cannot be read. click.ClickException: it is not text.
    """
    if argument == "-":
        data = b"" if sys.stdin is None else sys.stdin.buffer.read()
    elif argument.startswith("@"):
        data = Path(argument[1:]).read_bytes()
    else:
        return argument
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise click.ClickException(f"{_source(argument)} is not text in UTF-8: {exc.reason}") from exc


def parse_value(text: str, argument: str) -> Any:
    """The value that a text spells, as JSON or else as a Python literal; nothing in it is run.

    Raises:
        click.UsageError: it is neither; says how a string is quoted.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # '\d' is no reason to trouble anybody
            return ast.literal_eval(text.strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise click.UsageError(
            f"{_source(argument)} is neither JSON nor a Python literal; a string needs quotes of its own inside "
            f"those of the shell: {_quoted(text)}",
            click.get_current_context(silent=True),
        ) from None


def format_value(value: Any) -> str:
    """The value as JSON where that loses nothing, else its `repr`; without control characters.

    Raises:
        click.ClickException: its `repr` fails.
    """
    try:
        codecs.load("json").encode(value, 1)  # refuses whatever would come back as something else
        return shown(json.dumps(value, ensure_ascii=False))
    except NotSerializable:
        pass
    try:
        return shown(repr(value), keep="\n\t")
    except Exception as exc:  # it is the class's own code
        raise click.ClickException(
            f"the value is there, but has no text to show ({type(exc).__name__}: {exc})"
        ) from exc


def _source(argument: str) -> str:
    if argument == "-":
        return "what stdin gave"
    if argument.startswith("@"):
        return argument[1:]
    return repr(argument if len(argument) <= 60 else argument[:57] + "...")


def _quoted(text: str) -> str:
    line = text.strip()
    return shlex.quote(json.dumps(line if "\n" not in line and len(line) <= 60 else "…", ensure_ascii=False))


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
