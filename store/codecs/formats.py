"""A codec made of three functions, for formats with one version and no buffers, and the description of its bodies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from store.classes.allowlist import Allowed
from store.classes.lookup import AS_WRITTEN, Lookup
from store.codecs.contract import Buffers, Description, TakeBuffer
from store.codecs.refusals import too_much
from store.errors import Corrupt, NotSerializable, StoreError

MAX_SHOWN = 100_000  # characters of a description
MOST_REASON = 300  # characters of an error of a library

Encode = Callable[[Any], bytes]
Decode = Callable[[bytes, Lookup], Any]


class Format:
    """A codec of the functions `encode(value)`, `decode(body, lookup)` and `restricted(body, lookup)`.

    They raise one of `errors` for a value or bytes that do not fit. Messages use `title`, the name of the format, and
    `bytes_are`, the name of valid bytes; `show` returns the text of a body and its value.
    """

    protocols = range(1, 2)
    default_protocol = 1

    def __init__(
        self,
        name: str,
        title: str,
        *,
        encode: Encode,
        decode: Decode,
        restricted: Decode,
        errors: tuple[type[Exception], ...],
        bytes_are: str = "",
        show: Callable[[bytes, Any], str] = lambda body, value: as_text(body),
    ) -> None:
        self.name, self.title = name, title
        self._encode, self._decode, self._restricted, self._show = encode, decode, restricted, show
        self._errors = errors
        self._bytes_are = bytes_are or title

    def encode(self, value: Any, protocol: int, buffer_callback: TakeBuffer | None = None) -> bytes:
        try:
            return self._encode(value)
        except NotSerializable:
            raise
        except self._errors as exc:
            reason = str(exc)[:MOST_REASON] or type(exc).__name__
            raise NotSerializable(f"{self.title} cannot hold the value: {reason}; use the codec 'pickle'") from exc

    def decode(self, body: bytes, buffers: Buffers = (), *, lookup: Lookup = AS_WRITTEN) -> Any:
        return self._decoded(self._decode, body, lookup)

    def decode_restricted(
        self, body: bytes, buffers: Buffers = (), *, allow: Allowed, lookup: Lookup = AS_WRITTEN
    ) -> Any:
        try:
            return self._decoded(self._restricted, body, lookup)
        except MemoryError as exc:
            raise too_much("it takes more memory than there is") from exc

    def describe(self, body: bytes) -> Description:
        try:
            text, problem = self._show(body, self.decode_restricted(body, allow={})), None
        except Corrupt as exc:
            text, problem = as_text(body), str(exc)
        return (), cut(text), problem

    def _decoded(self, decode: Decode, body: bytes, lookup: Lookup) -> Any:
        try:
            return decode(bytes(body), lookup)
        except StoreError:
            raise
        except self._errors as exc:
            reason = str(exc)[:MOST_REASON] or type(exc).__name__
            raise Corrupt(f"the bytes are not {self._bytes_are}: {reason}") from exc


def as_text(body: bytes) -> str:
    """Any body as text."""
    return str(bytes(body[: 4 * MAX_SHOWN]), "utf-8", "backslashreplace")


def cut(text: str) -> str:
    """A description of bounded length."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}... cut after {MAX_SHOWN} characters"
