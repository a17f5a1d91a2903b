"""Commands as the bytes that a server reads: RESP, https://redis.io/docs/latest/develop/reference/protocol-spec/.

The driver packs a command too, in four times the time: a script's command has up to 20 parts, of which the digest and
the keys are the same each time, so they are packed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Part = bytes | str | int | float
LARGE_BYTES = 65536  # a part of so many is sent as it is; smaller ones are copied into one buffer


def packed(command: Sequence[Part]) -> list[bytes]:
    """A command, as the chunks to send."""
    return chunks(len(command), b"", command)


def parts(given: Iterable[Part]) -> bytes:
    """Parts of a command, for `chunks`."""
    return b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in map(_encoded, given))


def chunks(number: int, head: bytes, rest: Iterable[Part]) -> list[bytes]:
    """A command of so many parts, the first of which are packed in `head`, as the chunks to send."""
    found: list[bytes] = []
    pieces = [b"*%d\r\n" % number, head]
    for given in rest:
        part = given if type(given) is bytes else _encoded(given)
        size = len(part)
        if size < LARGE_BYTES:
            pieces += (b"$%d\r\n" % size, part, b"\r\n")
        else:
            pieces.append(b"$%d\r\n" % size)
            found += (b"".join(pieces), part)
            pieces = [b"\r\n"]
    found.append(b"".join(pieces))
    return found


def _encoded(part: Part) -> bytes:
    if isinstance(part, bytes):
        return part
    if isinstance(part, str):
        return part.encode()
    return b"%d" % part if isinstance(part, int) else repr(part).encode()
