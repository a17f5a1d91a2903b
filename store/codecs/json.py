"""JSON (RFC 8259) for values that other programs read too: what would come back changed is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from store.classes.allowlist import Allowed
from store.classes.lookup import AS_WRITTEN, Lookup
from store.codecs.plain import Plain, describe_text
from store.codecs.restricted.limits import too_much
from store.errors import Corrupt, NotSerializable

MAX_NESTING = 1000  # of containers in a record of somebody else: as deep as Python 3.11 reads, for 256 KB of stack
_DIGITS = 4300  # of an integer: Python's own limit, which a program can lift
_BRACKETS = re.compile(r'[][{}]|"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)  # the latter hide brackets

_PLAIN = Plain("JSON", dict.fromkeys((type(None), bool, int, float, str)), {str: None})


class JsonCodec:
    """Text in UTF-8 without blanks. Holds None, bool, int, finite float, str, list and dict with str keys."""

    name = "json"
    protocols = range(1, 2)
    default_protocol = 1

    def encode(self, value: Any, protocol: int, buffer_callback: Callable[[Any], Any] | None = None) -> bytes:
        try:
            _PLAIN.check(value)
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            try:
                return text.encode()
            except UnicodeEncodeError:  # a lone surrogate: JSON can only write it escaped
                text = json.dumps(value, allow_nan=False, separators=(",", ":"))
                if json.loads(text) != value:  # two halves side by side come back as one character
                    raise ValueError("a str in it has surrogates that JSON would join") from None
                return text.encode()
        except (ValueError, RecursionError) as exc:
            raise NotSerializable(f"JSON cannot hold the value: {exc}; use the codec 'pickle'") from exc

    def decode(self, body: bytes, buffers: Iterable[Any] = (), *, lookup: Lookup = AS_WRITTEN) -> Any:
        try:
            return json.loads(str(body, "utf-8"), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as exc:
            raise Corrupt(f"the bytes are not JSON: {exc}") from exc

    def decode_restricted(
        self, body: bytes, buffers: Iterable[Any] = (), *, allow: Allowed, lookup: Lookup = AS_WRITTEN
    ) -> Any:
        try:
            text = str(body, "utf-8")
            _check_depth(text)
            return json.loads(text, parse_constant=_refuse_constant, parse_int=_integer)
        except (ValueError, RecursionError) as exc:
            raise Corrupt(f"the bytes are not JSON: {exc}") from exc
        except MemoryError as exc:
            raise too_much("it takes more memory than there is") from exc

    def describe(self, body: bytes) -> tuple[tuple[str, ...], str, str | None]:
        return describe_text(body, partial(self.decode_restricted, allow={}))


def _check_depth(text: str) -> None:
    """Raises: Corrupt: the parser, which recurses in C, would go deeper than a small stack allows."""
    if text.count("[") + text.count("{") <= MAX_NESTING:
        return
    depth = 0
    for found in _BRACKETS.finditer(text):
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


codec = JsonCodec()
