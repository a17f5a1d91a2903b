"""The encoders and decoders that programs pass to `SqliteDict`, and the forms in which SQLite keeps what they return.

With the default `encode` and `decode` a value is stored as it is: the codec of the store encodes it. The result of an
`encode` of the program is stored in the form in which SQLite would return it: bytes, text, a number or None. The seal
of the store then protects the bytes that `decode` gets.
"""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, TypeVar

from store.care.foreign import Foreign
from store.codecs.pickle.codec import codec

T = TypeVar("T")
_WHOLE = range(-(2**63), 2**63)  # an INTEGER of SQLite; https://sqlite.org/datatype3.html


def encode(obj: Any) -> bytes:
    """Returns the pickle of an object. Raises: NotSerializable."""
    return codec.encode(obj, codec.protocols[-1])


def decode(obj: Any) -> Any:
    """Returns the object of a pickle, decoded restricted: plain data, and classes declared with `store.allow`.

    Raises:
        Untrusted: it needs another class. Corrupt: the bytes cannot be decoded.
    """
    return _foreign().value("pickle", bytes(obj))


def encode_key(key: Any) -> str:
    """Returns a key of any type that pickle takes as text: its pickle in base64."""
    return b64encode(encode(key)).decode("ascii")


def decode_key(key: str) -> Any:
    """Returns the key of a text that `encode_key` made, decoded restricted, as `decode` does. Raises: as `decode`."""
    return decode(b64decode(key.encode("ascii")))


def identity(obj: T) -> T:
    """Returns its argument."""
    return obj


@cache
def _foreign() -> Foreign:
    """The restricted decoder of pickles; classes that are allowed later count."""
    return Foreign()


class Values(NamedTuple):
    """How the values of a `SqliteDict` are stored."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]

    @property
    def are_plain(self) -> bool:
        """Whether values are stored as they are."""
        return self.encode is encode and self.decode is decode

    @property
    def run_code(self) -> bool:
        """Whether a function of the program decodes, which may run code that bytes name, as `pickle.loads` does."""
        return self.decode not in (decode, identity)

    def stored(self, value: Any) -> Any:
        """What the store keeps of a value. Raises: TypeError, OverflowError; and as `encode`."""
        return value if self.are_plain else column_value(self.encode(value))

    def value(self, stored: Any) -> Any:
        """The value of what the store keeps. Raises: as `decode`."""
        return stored if self.are_plain else self.decode(stored)


def column_value(encoded: Any) -> Any:
    """What a column of SQLite gives back for a value: bytes, str, int, float or None.

    Raises:
        TypeError: SQLite takes no such value. OverflowError: an int of more than 64 bits.
    """
    if encoded is None or isinstance(encoded, bytes | str | float):
        return encoded
    if isinstance(encoded, int):
        return _checked(int(encoded))
    try:
        return bytes(memoryview(encoded))
    except TypeError:
        raise TypeError(
            f"encode() returned {type(encoded).__name__}; let it return bytes, str, int, float or None, as for SQLite"
        ) from None


def column_text(key: Any) -> str | None:
    """The text that a column of text makes of a key (https://sqlite.org/datatype3.html#type_affinity).

    None where it would be NULL, which no look-up finds.

    Raises:
        TypeError: it is not a str or a number. OverflowError: an int of more than 64 bits.
    """
    if isinstance(key, str):
        return key
    if isinstance(key, int):
        return str(_checked(int(key)))
    if isinstance(key, float):
        return _real_text(key)
    if key is None:
        return None
    raise TypeError(
        f"a key is a str or a number, not {type(key).__name__}: {key!r:.80}; for others pass "
        "encode_key=sqlitedict.encode_key, decode_key=sqlitedict.decode_key"
    )


def _real_text(number: float) -> str | None:
    """As SQLite writes a REAL: 15 digits, always with a point (its format `%!.15g`).

    Of a number with more than 15 digits SQLite may round the last one otherwise, since it does not calculate exactly.
    """
    if not math.isfinite(number):
        return None if math.isnan(number) else "Inf" if number > 0 else "-Inf"
    text = f"{number + 0.0:.15g}"  # -0.0 is 0.0 there
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}{'' if '.' in mantissa else '.0'}{e}{exponent}"


def _checked(number: int) -> int:
    if number not in _WHOLE:
        raise OverflowError(f"SQLite stores whole numbers of 64 bits, and {number} has more; pass it as a str")
    return number
