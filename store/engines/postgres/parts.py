"""One part of a large value as chunks in a table: written and read chunk by chunk, on a given connection.

The header of a part lists the SHA-256 of its content up to the end of each chunk. The last of them is the checksum in
the sealed list of parts, so one pass over the content gives all of them, and a damaged chunk is found when it comes.
The list alone proves nothing: a part is given out only once it is read to its end, and the sealed checksum compared.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import NamedTuple, cast

from store.engines.postgres.connection import Connection
from store.engines.postgres.part_statements import PartStatements
from store.errors import Corrupt
from store.rows.spilled import Part, checksum

CHUNK_BYTES = 1024 * 1024  # of new parts; each part says by its digests how many it has
COMMIT_CHUNKS = 8  # of one COPY, which the server keeps in memory; outside of a transaction each is a commit
DIGEST_BYTES = 32

# https://www.postgresql.org/docs/current/sql-copy.html, Binary Format
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = struct.pack("!h", -1)


class Content(NamedTuple):
    """A part to be written: its name, its bytes, and the digest up to the end of each chunk."""

    file: str
    view: memoryview
    digests: bytes
    checksum: str


def content_of(file: str, content: object) -> Content:
    """The part of that name with a flat buffer as its content, which is hashed but not copied."""
    view = memoryview(content).cast("B")  # type: ignore[arg-type]  # of whatever has a buffer
    state = checksum()
    digests = bytearray()
    for start in range(0, len(view), CHUNK_BYTES):
        state.update(view[start : start + CHUNK_BYTES])
        digests += state.copy().digest()
    return Content(file, view, bytes(digests), state.hexdigest())


def write(conn: Connection, statements: PartStatements, namespace: str, name: str, part: Content) -> None:
    """Write one part of a record, its header first."""
    conn.execute(statements.add, (part.file, namespace, name, len(part.view), part.digests))
    numbers = range(len(part.digests) // DIGEST_BYTES)
    for first in numbers[::COMMIT_CHUNKS]:
        _copy(conn, statements, part, numbers[first : first + COMMIT_CHUNKS])
        conn.execute(statements.still_written, (part.file,))


def _copy(conn: Connection, statements: PartStatements, part: Content, numbers: range) -> None:
    """Send those chunks by one COPY; the driver waits whenever the server is behind."""
    file = part.file.encode()
    with conn.cursor().copy(statements.copy_chunks) as copy:
        copy.write(_SIGNATURE)
        for number in numbers:
            data = part.view[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]
            copy.write(
                struct.pack(f"!hi{len(file)}siii", 3, len(file), file, 4, number, len(data))
            )  # three columns, each behind its length
            copy.write(data)
        copy.write(_TRAILER)


def chunks(conn: Connection, statements: PartStatements, part: Part) -> Iterator[bytes]:
    """The content chunk by chunk, each compared with the list of digests, and the last one with the checksum.

    One statement reads all of them as of one moment, so a part that is removed meanwhile is read to its end.

    Raises:
        Corrupt: the part is missing, truncated or altered.
    """
    digests = check(conn, statements, part)
    state = checksum()
    with closing(rows(conn, statements, part)) as found:
        for number, data in found:
            state.update(data)
            if state.copy().digest() != digests[DIGEST_BYTES * number : DIGEST_BYTES * (number + 1)]:
                raise corrupt(part, f"is altered: its chunk {number} does not match its checksum")
            yield data
    if state.hexdigest() != part.checksum:
        raise corrupt(part, "is altered: its content does not match its checksum")


def rows(conn: Connection, statements: PartStatements, part: Part) -> Generator[tuple[int, bytes]]:
    """The chunks as they are, with their numbers; by the driver's single-row mode, one in memory at a time."""
    stream = cast("Generator[tuple[int, bytes]]", conn.cursor().stream(statements.chunks, (part.file,), binary=True))
    with closing(stream):
        yield from stream


def check(conn: Connection, statements: PartStatements, part: Part) -> bytes:
    """Whether the part is there in its full size; returns its digests. Raises: Corrupt."""
    found = conn.execute(statements.header, (part.file,), binary=True).fetchone()
    if found is None:
        raise corrupt(part, "is missing")
    digests, size = found
    if size != part.bytes:
        what = "truncated" if size < part.bytes else "longer than it was written"
        raise corrupt(part, f"is {what}: it has {size} bytes, and {part.bytes} belong there")
    return bytes(digests)


def corrupt(part: Part, what: str) -> Corrupt:
    """The error of a part."""
    return Corrupt(f"its part {part.file} {what}; restore it from a backup, or delete the record", file=part.file)
