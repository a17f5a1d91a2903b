"""Values as texts that can be edited: text as it is, bytes in base64, JSON, or a Python literal."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

from store.classes.size import too_large
from store.display.literals import value_of
from store.display.text import visible

MOST_LITERAL = 1 << 20  # characters; Python takes a hundred times as many bytes to read a literal
FORMS = (
    ("value", "JSON or a Python literal"),
    ("text", "text as it stands"),
    ("base64", "bytes, in base64"),
)
_EXACT = frozenset({type(None), bool, int, float, complex, str, bytes, list, tuple, dict, set})


def spelled(value: Any) -> tuple[str, str] | None:
    """The form and the text that `read` makes the same value of; None where there is none. Runs no code of it."""
    if type(value) is str and is_editable(value):
        return "text", value
    if type(value) is bytes:
        return "base64", base64.b64encode(value).decode()
    if too_large(value) or not _is_plain(value):
        return None
    for text in _texts(value):
        try:
            if repr(value_of(text)) == repr(value):
                return "value", text
        except (ValueError, RecursionError):
            continue
    return None


def read(form: str, text: str) -> Any:
    """The value of a text. Raises: ValueError: it is not of that form; says what is wrong."""
    if form == "text":
        return lines(text)
    if form == "base64":
        try:
            return base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError) as exc:
            raise ValueError(f"It is not base64: {exc}") from None
    if form != "value":
        raise ValueError(f"There is no form {form!r} of values: {', '.join(name for name, _ in FORMS)}")
    if len(text) > MOST_LITERAL:
        return _long_json(text)
    try:
        return value_of(text)
    except ValueError:
        raise ValueError(
            f'It is neither JSON nor a Python literal; a text needs quotes ("hello"), or choose “{FORMS[1][1]}”'
        ) from None


def lines(text: str) -> str:
    """A text with the line breaks of Python: browsers send each line break as two characters."""
    return text.replace("\r\n", "\n")


def is_editable(text: str) -> bool:
    """Whether a text comes back from a browser as it is: unprintable characters are shown escaped."""
    return visible(text, keep="\n\t") == text


def _long_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ValueError(
            f"It is not JSON ({exc}), and a Python literal has at most {MOST_LITERAL:,} characters here"
        ) from None


def _texts(value: Any) -> Iterator[str]:
    try:
        yield json.dumps(value, ensure_ascii=False, indent=2 if isinstance(value, list | dict) else None)
    except (TypeError, ValueError, RecursionError):
        pass
    try:
        yield repr(value)
    except (ValueError, RecursionError):  # an int of more digits than Python writes
        pass


def _is_plain(value: Any) -> bool:
    """Whether all parts of a value, which is not too large, are of builtin types: their `repr` is their own."""
    left, seen = [value], set[int]()
    while left:
        part = left.pop()
        if type(part) not in _EXACT:
            return False
        if isinstance(part, list | tuple | set | dict):
            if id(part) in seen:
                continue
            seen.add(id(part))
            left.extend(part.values() if isinstance(part, dict) else part)
            left.extend(part if isinstance(part, dict) else ())
    return True
