"""Text that is safe to print, and what stdout can carry.

Names and types come out of a file that anybody may have written. A terminal obeys control characters, so they
are printed as JSON writes them: `\\u001b`.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TextIO

import click

from store.display.text import escaped, visible

_NOT_ASCII = r"[^\x00-\x7f]"


def shown(text: str, keep: str = "") -> str:
    """The text with all unprintable characters escaped, except those in `keep`.

    The result of `json.dumps` stays the same JSON: unprintable characters stand in its strings only.
    """
    if not fits(text):
        text = re.sub(_NOT_ASCII, lambda match: escaped(match[0]), text)
    return visible(text, keep)


def shown_name(name: str) -> str:
    """A name as it is, or as JSON where it would be mistaken: empty, blanks at its ends, unprintable."""
    plain = name and name == name.strip() and name.isprintable() and not name.startswith('"') and fits(name)
    return name if plain else shown(json.dumps(name, ensure_ascii=False))


def shown_place(namespace: str, name: str) -> str:
    """A name, followed by its namespace in parentheses if that has a name."""
    return shown_name(name) + (f" ({shown_name(namespace)})" if namespace else "")


def on_one_line(text: str) -> str:
    """A message without line breaks and control characters."""
    return shown(" ".join(text.split()))


def note(message: str) -> None:
    """Prints a remark on stderr, beside the result of the command; the caller has escaped its parts."""
    click.echo(f"store: {message}", err=True)


def is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return _is_terminal(sys.stdout)


def is_watched() -> bool:
    """Whether stderr, where progress is shown, is a terminal."""
    return _is_terminal(sys.stderr)


def is_answered() -> bool:
    """Whether stdin, where answers come from, is a terminal."""
    return _is_terminal(sys.stdin)


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it was closed
        return False


def width() -> int | None:
    """The columns of the terminal (or COLUMNS); None where stdout is no terminal, and nothing needs to be cut."""
    if not is_terminal():
        return None
    import shutil  # takes 1.7 ms, needed by tables only

    return shutil.get_terminal_size().columns


def wants_color(asked: bool | None) -> bool:
    """Whether to colour: as asked with --color or --no-color, else on a terminal, NO_COLOR and TERM permitting."""
    if asked is not None:
        return asked
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def confirm(question: str, unasked: str) -> bool:
    """Asks on stderr; only "y" and "yes" are consent.

    Raises: click.ClickException: there is no answer on stdin; `unasked` says how to go on without one.
    """
    click.echo(f"{question} [y/N] ", nl=False, err=True)
    answer = "" if sys.stdin is None else sys.stdin.readline()
    if not answer:
        click.echo(err=True)
        raise click.ClickException(f"nobody answered; {unasked}")
    return answer.strip().lower() in ("y", "yes")


def fits(text: str) -> bool:
    """Whether stdout can carry the text: with LC_ALL=C and the like it may be ASCII only."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
