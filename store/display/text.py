"""Text out of a store that is safe to show: names and types come out of a file that anybody may have written."""

from __future__ import annotations

import json

MOST_SHOWN = 200  # characters of a name; in a crafted file it may have any length


def visible(text: str, keep: str = "") -> str:
    r"""The text with all unprintable characters escaped as JSON writes them (`\u001b`), except those in `keep`.

    Among them are control characters, characters that turn the direction of writing, and lone surrogates, so the
    result can be encoded as UTF-8. The result of `json.dumps` stays the same JSON, where unprintable characters stand
    in strings only.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else escaped(char) for char in text)


def escaped(char: str) -> str:
    r"""A character as JSON escapes it: `\n`, `\u202e`."""
    return json.dumps(char)[1:-1]


def cut(text: str, most: int = MOST_SHOWN) -> str:
    """The beginning of a text, `most` characters long, with `…` as the last one where something is left out.

    It is an exact `str` even if the text's class is another, and no code of that class runs.
    """
    if str.__len__(text) <= most:
        return str.__getitem__(text, slice(None))
    return str.__getitem__(text, slice(0, most - 1)) + "…"
