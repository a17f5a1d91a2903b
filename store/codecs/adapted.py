"""Codecs of the program: a class with `encode` and `decode` is enough."""

from __future__ import annotations

from typing import Any

from store.classes.allowlist import Allowed
from store.classes.lookup import AS_WRITTEN, Lookup
from store.classes.shown import described
from store.codecs.contract import Buffers, Description, SimpleCodec, TakeBuffer
from store.codecs.refusals import no_restraint
from store.codecs.registry import codecs
from store.errors import CodecUnavailable, Corrupt, NotSerializable, StoreError

MAX_SHOWN = 100_000
_CONTRACT = ("name", "protocols", "default_protocol", "encode", "decode", "decode_restricted", "describe")


class Adapted:
    """The full `Codec` contract around an object that has only `name`, `encode` and `decode`.

    An attribute `plain = True` declares that its `decode` makes only data, in bounded time, for any bytes. Foreign
    records are then decoded too.
    """

    protocols = range(1, 2)
    default_protocol = 1

    def __init__(self, codec: SimpleCodec, name: str) -> None:
        self.codec = codec
        self.name = name

    def encode(self, value: Any, protocol: int, buffer_callback: TakeBuffer | None = None) -> bytes:
        try:
            body = self.codec.encode(value)
        except (MemoryError, StoreError):
            raise
        except Exception as exc:
            raise NotSerializable(f"the codec {self.name!r} cannot hold the value ({described(exc)})") from exc
        if not isinstance(body, bytes | bytearray | memoryview):
            raise TypeError(
                f"encode of the codec {self.name!r} returned {type(body).__name__}, and must return bytes"
            )
        return bytes(body)

    def decode(self, body: bytes, buffers: Buffers = (), *, lookup: Lookup = AS_WRITTEN) -> Any:
        try:
            return self.codec.decode(bytes(body))
        except (MemoryError, StoreError):
            raise
        except Exception as exc:
            raise Corrupt(f"the codec {self.name!r} cannot decode its bytes ({described(exc)})") from exc

    def decode_restricted(
        self, body: bytes, buffers: Buffers = (), *, allow: Allowed, lookup: Lookup = AS_WRITTEN
    ) -> Any:
        if not getattr(self.codec, "plain", False):
            raise no_restraint(self.name)
        return self.decode(body)

    def describe(self, body: bytes) -> Description:
        problem = None
        if not getattr(self.codec, "plain", False):
            problem = f"what decoding would do is known to the codec {self.name!r} of the program alone"
        shown = repr(bytes(body[:MAX_SHOWN])) + ("..." if len(body) > MAX_SHOWN else "")
        return (), shown, problem


def adapt(codec: Any, name: str | None = None) -> Any:
    """A full `Codec` made from a codec of the program, an object or a class.

    Raises:
        TypeError: it is not a codec. ValueError: the name is invalid, or a codec of another class has it.
    """
    if isinstance(codec, type):
        codec = codec()
    if not callable(getattr(codec, "encode", None)) or not callable(getattr(codec, "decode", None)):
        raise TypeError(
            f"a codec is the name of one, or an object with a name and the methods encode(value) → bytes and "
            f"decode(bytes) → value, not {codec!r:.80}"
        )
    called = getattr(codec, "name", None) if name is None else name
    if not isinstance(called, str) or not called:
        raise TypeError(f"the codec {codec!r:.80} needs an attribute `name`, a str: records keep it")
    if called == "auto" or not called.isprintable():
        raise ValueError(f"no codec can be called {called!r}")
    if called in codecs and not _is_successor(codec, called):
        raise ValueError(f"there is a codec {called!r} already: give yours another name")
    if not all(hasattr(codec, part) for part in _CONTRACT):
        return Adapted(codec, called)
    if codec.name != called:
        raise ValueError(f"the codec calls itself {codec.name!r}, and cannot be registered as {called!r}")
    return codec


def _is_successor(codec: Any, name: str) -> bool:
    """Whether a codec has the same class as the known codec of its name; its settings may differ."""
    try:
        known = codecs.load(name)
    except CodecUnavailable:
        return False
    return type(codec) is type(known.codec if isinstance(known, Adapted) else known)
