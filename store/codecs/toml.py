"""TOML 1.0 for settings that people read and edit: a dict with str keys, with native dates and times."""

from __future__ import annotations

import re
import tomllib
from datetime import date, datetime, time
from typing import Any

import tomli_w

from store.classes.lookup import Lookup
from store.codecs.formats import Format
from store.codecs.plain import Plain, beyond_64_bits, fixed_offset, no_surrogates, same
from store.codecs.refusals import too_much
from store.codecs.restricted.limits import BASE_BYTES
from store.errors import NotSerializable

MAX_DOTS = 64  # in one key of a foreign record: tomllib takes quadratic time and memory for them
DOT_BYTES = 800  # memory that tomllib needs for the table that a dot creates
BYTES_PER_BYTE = 64  # memory for such tables, allowed for each byte of text

# Strings and comments. In valid TOML this and tomllib agree on where each ends; in invalid text tomllib stops before
# they can disagree. Ends are optional, because searching for a missing end from every start takes quadratic time.
_OPAQUE = re.compile(
    r'"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*(?:""""{0,2})?'
    r"|'''[^']*(?:'(?!'')[^']*)*(?:''''{0,2})?"
    r'|"[^"\\\n]*(?:\\.[^"\\\n]*)*"?'
    r"|'[^'\n]*'?|#[^\n]*",
    re.DOTALL,
)
_KEYS = re.compile(r"[\w\-. \t]+")


def _local(value: time) -> str | None:
    return "its times have no time zone and no fold" if value.tzinfo or value.fold else None


_PLAIN = Plain(
    "TOML",
    {
        bool: None, int: beyond_64_bits, float: None, str: no_surrogates,
        datetime: fixed_offset, date: None, time: _local,
    },
    {str: no_surrogates},
)  # fmt: skip


def _encode(value: Any) -> bytes:
    """Text in UTF-8, of a dict with str keys of bool, 64-bit int, float, str, date, datetime, time, list and dict.

    TOML puts subtables after the plain values of their table, so the keys of a dict may come back in another order.
    """
    if type(value) is not dict:
        raise NotSerializable(
            f"value: TOML holds a dict with str keys and nothing else, not {type(value).__qualname__}; "
            "use the codec 'json' or the codec 'pickle'"
        )
    _PLAIN.check(value)
    text = tomli_w.dumps(value)
    if not same(tomllib.loads(text), value, ordered=False):
        raise NotSerializable("value: it would not round-trip through TOML; use the codec 'pickle'")
    return text.encode()


def _decode(body: bytes, _: Lookup) -> Any:
    return tomllib.loads(str(body, "utf-8"))


def _restricted(body: bytes, lookup: Lookup) -> Any:
    _check_cost(str(body, "utf-8"))
    return _decode(body, lookup)


def _check_cost(text: str) -> None:
    """Raises: Corrupt: its dotted keys would need more time or memory than text of its size may."""
    left = BASE_BYTES + BYTES_PER_BYTE * len(text)
    for found in _KEYS.finditer(_OPAQUE.sub("s", text)):
        dots = found.group().count(".") - 1  # a float has one
        if dots < 1:
            continue
        left -= DOT_BYTES * dots
        if dots > MAX_DOTS:
            raise too_much(f"it has keys of more than {MAX_DOTS} dots")
        if left < 0:
            raise too_much("its dotted keys would take more memory than plain data of its size can need")


codec = Format(
    "toml", "TOML", encode=_encode, decode=_decode, restricted=_restricted,
    errors=(ValueError, TypeError, RecursionError),
)  # fmt: skip
