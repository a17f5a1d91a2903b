"""Bytes of a dict in one of several forms: their beginning tells which codec reads them.

Frameworks let a program choose a serializer and a compressor, and the stored bytes name neither. The first bytes of a
dict differ in each: https://github.com/msgpack/msgpack/blob/master/spec.md for MessagePack.
"""

from __future__ import annotations

import re
from importlib.util import find_spec

from store.importers.compressed import FAILURES, expand
from store.importers.files import is_pickle

_NUMBER = re.compile(rb"-?[0-9]+")
_OLD_PICKLE = (b"(", b"}", b"c")  # protocols 0 and 1 have no header
_EMPTY_MAP, _FEW, _MANY = b"\x80", range(0x81, 0x90), (0xDE, 0xDF)  # how a map of MessagePack begins


def codec_and_body(data: bytes, limit: int) -> tuple[str, bytes]:
    """The codec for the bytes of a dict, and the bytes without compression, at most `limit`.

    Raises:
        ValueError: they are not those of a dict in a known form, or are damaged.
    """
    if not data:
        raise ValueError("it is empty")
    try:
        body = expand(data, limit)
    except FAILURES as exc:
        raise ValueError(f"it cannot be decompressed: {exc}") from exc
    if is_pickle(body) or (body.startswith(_OLD_PICKLE) and body.endswith(b".")):
        return "pickle", body
    if body.startswith(b"{"):
        return "json", body
    if body == _EMPTY_MAP or (body and (body[0] in _FEW or body[0] in _MANY)):
        if find_spec("msgpack") is None:  # other bytes may begin so too: they must not end the import of all others
            raise ValueError("it looks like MessagePack: pip install msgpack, and import it again")
        return "msgpack", body
    if _NUMBER.fullmatch(body):
        raise ValueError("it is a number, and a session is a dict")
    raise ValueError("it is neither a pickle nor JSON nor MessagePack of a dict; is another serializer set?")
