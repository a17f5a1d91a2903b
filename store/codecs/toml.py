"""TOML 1.0 for settings that people read and edit: a dict with str keys, and dates and times of its own."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from functools import partial
from typing import Any

import tomli_w

from store.classes.allowlist import Allowed
from store.classes.lookup import AS_WRITTEN, Lookup
from store.codecs.plain import Plain, describe_text
from store.codecs.plain_problems import fixed_offset, no_surrogates
from store.codecs.restricted.limits import BASE_BYTES, too_much
from store.codecs.sameness import same
from store.errors import Corrupt, NotSerializable

MAX_DOTS = 64  # in one key, with restraint: tomllib takes quadratic time and memory for them
DOT_BYTES = 800  # what tomllib takes in memory for one table that a dot makes
BYTES_PER_BYTE = 64  # of such tables, for each byte of text

# Strings and comments, as tomllib takes them: where the text is TOML both agree on where each ends, and where it
# is not, tomllib has stopped before they could disagree. Ends are optional: looked for in vain from each of many
# beginnings they would take quadratic time.
_OPAQUE = re.compile(
    r'"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*(?:""""{0,2})?'
    r"|'''[^']*(?:'(?!'')[^']*)*(?:''''{0,2})?"
    r'|"[^"\\\n]*(?:\\.[^"\\\n]*)*"?'
    r"|'[^'\n]*'?|#[^\n]*",
    re.DOTALL,
)
_KEYS = re.compile(r"[\w\-. \t]+")


def _beyond_64_bits(value: int) -> str | None:
    return None if -(2**63) <= value < 2**63 else "its integers have 64 bits"


def _local(value: time) -> str | None:
    return "its times have no time zone and no fold" if value.tzinfo or value.fold else None


_PLAIN = Plain(
    "TOML",
    {
        bool: None, int: _beyond_64_bits, float: None, str: no_surrogates,
        datetime: fixed_offset, date: None, time: _local,
    },
    {str: no_surrogates},
)  # fmt: skip


class TomlCodec:
    """Text in UTF-8. Holds a dict with str keys, of bool, 64-bit int, float, str, date, datetime, time, list, dict.

    Tables come after the plain values of the table they are in, as TOML needs it: a dict may come back with its keys
    in another order.
    """

    name = "toml"
    protocols = range(1, 2)
    default_protocol = 1

    def encode(self, value: Any, protocol: int, buffer_callback: Callable[[Any], Any] | None = None) -> bytes:
        if type(value) is not dict:
            raise NotSerializable(
                f"value: TOML holds a dict with str keys and nothing else, not {type(value).__qualname__}; "
                "use the codec 'json' or the codec 'pickle'"
            )
        try:
            _PLAIN.check(value)
            text = tomli_w.dumps(value)
            unchanged = same(tomllib.loads(text), value, ordered=False)
        except (ValueError, TypeError, RecursionError) as exc:
            if isinstance(exc, NotSerializable):
                raise
            raise NotSerializable(f"TOML cannot hold the value: {exc}; use the codec 'pickle'") from exc
        if not unchanged:
            raise NotSerializable("value: it would not come back from TOML as it is; use the codec 'pickle'")
        return text.encode()

    def decode(self, body: bytes, buffers: Iterable[Any] = (), *, lookup: Lookup = AS_WRITTEN) -> Any:
        try:
            return tomllib.loads(str(body, "utf-8"))
        except (ValueError, RecursionError) as exc:
            raise Corrupt(f"the bytes are not TOML: {exc}") from exc

    def decode_restricted(
        self, body: bytes, buffers: Iterable[Any] = (), *, allow: Allowed, lookup: Lookup = AS_WRITTEN
    ) -> Any:
        try:
            _check_cost(str(body, "utf-8"))
            return self.decode(body)
        except UnicodeDecodeError as exc:
            raise Corrupt(f"the bytes are not TOML: {exc}") from exc
        except MemoryError as exc:
            raise too_much("it takes more memory than there is") from exc

    def describe(self, body: bytes) -> tuple[tuple[str, ...], str, str | None]:
        return describe_text(body, partial(self.decode_restricted, allow={}))


def _check_cost(text: str) -> None:
    """Raises: Corrupt: its dotted keys would take more time or memory than text of its size may."""
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


codec = TomlCodec()
