"""JSON (RFC 8259) for values that other programs read too: what would come back changed is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from store.allowlist import Allowed
from store.errors import Corrupt, NotSerializable

MAX_SHOWN = 100_000


class JsonCodec:
    """Text in UTF-8 without blanks. Holds None, bool, int, finite float, str, list and dict with str keys."""

    name = "json"
    protocols = range(1, 2)
    default_protocol = 1

    def encode(self, value: Any, protocol: int, buffer_callback: Callable[[Any], Any] | None = None) -> bytes:
        try:
            _check(value, "value")
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

    def decode(self, body: bytes, buffers: Iterable[Any] = ()) -> Any:
        try:
            return json.loads(str(body, "utf-8"), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as exc:
            raise Corrupt(f"the bytes are not JSON: {exc}") from exc

    def decode_restricted(self, body: bytes, buffers: Iterable[Any] = (), *, allow: Allowed) -> Any:
        return self.decode(body)

    def describe(self, body: bytes) -> tuple[tuple[str, ...], str, str | None]:
        text = str(body, "utf-8", "backslashreplace")
        shown = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}... cut after {MAX_SHOWN} characters"
        try:
            self.decode(body)
        except Corrupt as exc:
            return (), shown, str(exc)
        return (), shown, None


_LEAVES = frozenset({type(None), bool, int, float, str})


def _check(value: Any, path: str) -> None:
    """Raises: NotSerializable: something in `value` would come back as another type, or not at all."""
    kind = type(value)
    if kind in _LEAVES:
        return
    if kind is list:
        for index, item in enumerate(value):
            _check(item, f"{path}[{index}]")
    elif kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise NotSerializable(f"{path}: JSON keys are str, not {key!r}; use the codec 'pickle'")
            _check(item, f"{path}[{key!r}]")
    else:
        raise NotSerializable(
            f"{path}: JSON has no {kind.__qualname__}, it would come back as something else; convert it, or "
            "use the codec 'pickle'"
        )


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


codec = JsonCodec()
