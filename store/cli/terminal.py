"""Text that is safe to show: names and types come out of a file that anybody may have written.

A terminal obeys control characters, so those are shown as JSON writes them: `\\u001b`.
"""

from __future__ import annotations

import json
import re
import sys

_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def shown(text: str, keep: str = "") -> str:
    """The text with all that is not printable escaped, except the characters in `keep`.

    The result of `json.dumps` stays the same JSON: unprintable characters stand in its strings only.
    """
    if not _fits(text):
        text = _NOT_ASCII.sub(lambda match: _escape(match[0]), text)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _escape(char) for char in text)


def shown_name(name: str) -> str:
    """A name as it is, or as JSON where it would be mistaken: empty, blanks at its ends, unprintable."""
    plain = name and name == name.strip() and name.isprintable() and not name.startswith('"') and _fits(name)
    return name if plain else shown(json.dumps(name, ensure_ascii=False))


def on_one_line(text: str) -> str:
    """A message without line breaks and control characters."""
    return shown(" ".join(text.split()))


def _escape(char: str) -> str:
    return json.dumps(char)[1:-1]


def _fits(text: str) -> bool:
    """Whether stdout can carry the text: with LC_ALL=C and the like it may be ASCII only."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
