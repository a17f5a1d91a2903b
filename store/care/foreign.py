"""Decoding values of other programs, and comparing them with those of a store: what importers need.

Bytes of another program are decoded like a record of a foreign key: by the pipeline, which picks the restricted
decoder unless the caller trusts all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from store.codecs import codecs
from store.errors import CodecUnavailable, RecordError
from store.opened.namespace import Namespace
from store.rows.row import Row
from store.trust.keys.ring import NoKeys
from store.trust.seal import Sealer
from store.values.large import digest_of
from store.values.pipeline import Pipeline, choose

TRUST = ("data", "all")
_STORE_ID = bytes(16)  # the rows made here are in no store


class Foreign:
    """Decodes bytes of other programs: restricted, or in full with `trust="all"`.

    Raises:
        TypeError, ValueError: trust or allow can never be right.
    """

    def __init__(self, trust: str = "data", allow: Iterable[type | str] = ()) -> None:
        if trust not in TRUST:
            raise ValueError(f"unknown trust {trust!r}: one of {', '.join(TRUST)}")
        self.trust = trust
        self._pipeline = Pipeline(Sealer(NoKeys(), _STORE_ID), choose("pickle", None, trust, allow))

    def value(self, codec: str, body: bytes, name: str = "") -> Any:
        """The value of a body that `codec` can read.

        Raises:
            Untrusted: it needs a class that is not allowed, or the codec has no restricted decoder. Corrupt.
            CodecUnavailable: the codec's library is not installed.
        """
        if codec == "joblib" and self.trust != "all":
            from store.codecs.restricted.joblib import (
                codec as restricted,
            )  # joblib may be missing

            self._pipeline.use(restricted)
            protocol = restricted.default_protocol
        else:
            protocol = codecs.load(codec).default_protocol
        row = Row(None, "", name, codec, protocol, None, None, body, None, b"", 0, 1, 0.0, 0.0, None)
        return self._pipeline.unpack(self._pipeline.sealer.seal_unkeyed(row))


def problem_of(codec: str, body: bytes) -> str | None:
    """Why a body cannot be read to its end, without executing it; None where it can."""
    problem: str | None = codecs.load(codec).describe(body)[2]
    return problem


def holds_same(ns: Namespace, name: str, value: Any) -> bool | None:
    """Whether the record of that name has that value; None where there is no record. In doubt, it has not."""
    row = ns.find(name)
    if row is None:
        return None
    try:
        if ns.values.fingerprint(value, row) == digest_of(row):
            return True
        codec = ns.values.codec_of(row)
        return _Comparison(lambda part: codec.encode(part, row.protocol)).is_same(ns.values.unpack(row), value)
    except (RecordError, CodecUnavailable, RecursionError):
        return False


def expiry_of(ns: Namespace, name: str) -> float | None:
    """When a record expires, in Unix seconds, even beyond the year 9999 where `Record` ends. None is never."""
    row = ns.find(name)
    return None if row is None else row.expires


def check_storable(ns: Namespace, name: str, value: Any) -> None:
    """Raises what assigning the value would: NotSerializable, Untrusted, TypeError, ValueError; writes nothing."""
    ns.values.discard(ns.pack(name, value, None))


def pickled(value: Any) -> bytes:
    """The value as a pickle of the standard library. Raises: NotSerializable."""
    return codecs.load("pickle").encode(value, codecs.load("pickle").default_protocol)  # type: ignore[no-any-return]


def as_json(value: Any) -> str:
    """The value as lossless JSON. Raises: NotSerializable."""
    return str(codecs.load("json").encode(value, 1), "utf-8")


class _Comparison:
    """Compares values by structure, since containers that encode differently may differ only in the order of a set.

    Two containers are compared once, however often they occur: shared parts would take exponential time.
    """

    def __init__(self, encode: Callable[[Any], bytes]) -> None:
        self._encode = encode
        self._compared: set[tuple[int, int]] = set()

    def is_same(self, one: Any, other: Any) -> bool:
        """Whether they are equal, types included. Raises: NotSerializable, RecursionError."""
        kind = type(one)
        if kind is not type(other):
            return False
        if kind in (list, tuple, dict):
            pair = id(one), id(other)
            if pair in self._compared:  # a difference would have ended the comparison
                return True
            self._compared.add(pair)
        if kind in (list, tuple):
            return len(one) == len(other) and all(map(self.is_same, one, other))
        if kind is dict:
            return list(map(_typed, one)) == list(map(_typed, other)) and all(
                self.is_same(item, other[key]) for key, item in one.items()
            )
        if kind in (set, frozenset):
            return set(map(_typed, one)) == set(map(_typed, other))
        return bool(self._encode(one) == self._encode(other))


def _typed(key: Any) -> tuple[type, Any]:
    """1, True and 1.0 are equal, and not the same."""
    return type(key), key
