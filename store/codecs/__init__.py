"""Codecs encode values as bytes and decode them, in full or restricted. `register` adds a codec of the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from store.codecs.contract import Codec, CodecChoice, SimpleCodec
from store.codecs.registry import codecs

if TYPE_CHECKING:
    from store.codecs import pickle as pickle  # which `import store` puts here

__all__ = ["Codec", "CodecChoice", "SimpleCodec", "codecs", "pickle", "register"]


def register(codec: Codec | SimpleCodec | type[SimpleCodec], name: str | None = None) -> None:
    """Make a codec of the program known to every store under its `name`, so that records of it can be read.

    `codec` is an object or a class with `encode(value)`, which returns bytes, and `decode(bytes)`: see `SimpleCodec`.
    It must decode its own bytes for as long as there are records of it.

    Raises:
        TypeError: it is not a codec. ValueError: a codec of another class has the name.
    """
    from store.codecs.adapted import adapt

    found = adapt(codec, name)
    codecs.register(found.name, found)
