"""JSON (RFC 8259) for values that other programs read too: what would come back changed is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from store.allowlist import Allowed
from store.codecs.plain import Plain, describe_text
from store.errors import Corrupt, NotSerializable
from store.lookup import AS_WRITTEN, Lookup

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
        return self.decode(body)

    def describe(self, body: bytes) -> tuple[tuple[str, ...], str, str | None]:
        return describe_text(body, self.decode)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


codec = JsonCodec()
