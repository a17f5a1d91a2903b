"""JSON (RFC 8259) for values that other programs read too. Values that would not round-trip are refused."""

from __future__ import annotations

import json
import re
from typing import Any

from store.classes.lookup import Lookup
from store.codecs.formats import Format
from store.codecs.plain import Plain
from store.codecs.refusals import too_much

MAX_NESTING = 1000  # of containers in a foreign record: as deep as Python 3.11 reads with 256 KB of stack
_DIGITS = 4300  # of an integer: Python's default limit, which a program can raise
_BRACKETS = r'(?s)[][{}]|"[^"\\]*(?:\\.[^"\\]*)*"?'  # strings may hold brackets

_PLAIN = Plain("JSON", dict.fromkeys((type(None), bool, int, float, str)), {str: None})


def _encode(value: Any) -> bytes:
    """Text in UTF-8 without blanks, of None, bool, int, finite float, str, list and dict with str keys."""
    _PLAIN.check(value)
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate: JSON can hold it only escaped
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
        if json.loads(text) != value:  # a pair of surrogates comes back as one character
            raise ValueError("a str in it has surrogates that JSON would join") from None
        return text.encode()


def _decode(body: bytes, _: Lookup) -> Any:
    return json.loads(str(body, "utf-8"), parse_constant=_refuse_constant)


def _restricted(body: bytes, _: Lookup) -> Any:
    text = str(body, "utf-8")
    _check_depth(text)
    return json.loads(text, parse_constant=_refuse_constant, parse_int=_integer)


def _check_depth(text: str) -> None:
    """Raises: Corrupt: the parser, which recurses in C, would go deeper than a small stack allows."""
    if text.count("[") + text.count("{") <= MAX_NESTING:
        return
    depth = 0
    for found in re.finditer(_BRACKETS, text):
        bracket = found.group()
        if bracket in "[{":
            depth += 1
            if depth > MAX_NESTING:
                raise too_much(f"it nests containers more than {MAX_NESTING} deep")
        elif bracket in "]}":
            depth -= 1


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"a number in it has more than {_DIGITS} digits")
    return int(digits)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


codec = Format(
    "json", "JSON", encode=_encode, decode=_decode, restricted=_restricted, errors=(ValueError, RecursionError)
)
