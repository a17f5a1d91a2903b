"""Records out of a store and into another without decoding them: their bytes, as JSON lines.

One line a record, its columns by name, `body` and `seal` in base64, and `store` the id of the file it came from; for
a large value `files` too, what its files hold in base64, null for one that is missing.
What a key of ours sealed there is sealed anew for the store it goes to; all else goes over as it is: a foreign
record stays foreign, a damaged one damaged, and nothing is lost.
"""

from __future__ import annotations

import base64
import errno
import json
import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from store.care.inspect import verdict_of
from store.errors import Corrupt, StorageError, Tampered, label
from store.opened.handle import Handle
from store.rows.row import Row
from store.trust.keys.key import UNKEYED
from store.trust.seal import Sealer, Verdict

BATCH = 500  # records that are imported as one transaction
BATCH_CHARS = 64 * 1024 * 1024  # a batch ends after the line that passes this
_BYTES = ("body", "seal")
_ID_BYTES = 16
_SEAL_BYTES = 24


def export_raw(store: Handle[Any], namespace: str | None = None) -> Iterator[str]:
    """The lines of all records of the file, or of one namespace, expired ones too, in order of insertion.

    Raises:
        Corrupt: at the end, where columns of the file hold something else than a record; the others were given.
    """
    origin = store._backend.store_id.hex()
    lost: list[str] = []
    for row in store._backend.every_row():
        if namespace is not None and row.namespace != namespace:
            continue
        if row.has_column_types():
            yield _line(store, row, origin)
        else:
            lost.append(label(row.name, row.namespace))
    if lost:
        raise Corrupt(
            f"{len(lost)} of the records have columns that hold something else, and were left out: "
            f"{', '.join(lost[:3])}; all others were exported"
        )


def import_raw(store: Handle[Any], lines: Iterable[str | bytes]) -> Iterator[tuple[str, str, str]]:
    """Writes the records of those lines, into the namespaces they came from, as the result is read.

    Gives (namespace, name, verdict) of each; the verdict is "own" (sealed anew), "foreign", "tampered" or
    "corrupt". Records of the same name are replaced.

    Raises:
        Corrupt: a line is not what `export_raw` writes; those before it are written.
    """
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    while batch := _batch(numbered):
        done: list[tuple[str, str, str]] = []
        problem = None
        with store._backend.transaction() as transaction:
            for number, line in batch:
                try:
                    origin, row, contents = _row_of(line, number)
                except Corrupt as exc:
                    problem = exc
                    break
                row, verdict = _resealed(store, origin, row, contents)
                _write(store, row)
                if store._writeback is not None and row.namespace == store.namespace:
                    store._writeback.forget(row.name, transaction)
                done.append((row.namespace, row.name, verdict))
        yield from done
        if problem is not None:
            raise problem


def _batch(numbered: Iterator[tuple[int, str | bytes]]) -> list[tuple[int, str | bytes]]:
    batch: list[tuple[int, str | bytes]] = []
    size = 0
    for number, line in islice(numbered, BATCH):
        batch.append((number, line))
        size += len(line)
        if size > BATCH_CHARS:
            break
    return batch


def _line(store: Handle[Any], row: Row, origin: str) -> str:
    row, contents = _with_files(store, row)
    fields = row._asdict()
    del fields["id"]
    for name in _BYTES:
        fields[name] = base64.b64encode(fields[name]).decode()
    if contents:
        fields["files"] = [None if content is None else base64.b64encode(content).decode() for content in contents]
    return json.dumps({"store": origin, **fields})


def _with_files(store: Handle[Any], row: Row) -> tuple[Row, list[bytes | None]]:
    """The row, or what it was replaced by since it was read, and what its files hold."""
    if row.spill is None or store._pipeline.large is None:
        return row, []
    contents = store._pipeline.large.contents(row, foreign=verdict_of(store, row)[0] != "own")
    if None in contents:
        now = store._backend.get(row.namespace, row.name, -math.inf)
        if now is not None and now.spill != row.spill and now.has_column_types():
            return _with_files(store, now)
    return row, contents


def _resealed(store: Handle[Any], origin: bytes, row: Row, contents: list[bytes | None]) -> tuple[Row, str]:
    """The row for this store, its files written, and what it was in the one it came from."""
    ours = store._pipeline.sealer
    try:
        verdict = Sealer(ours.keyring, origin).check(row)
    except Tampered:
        return _never_own(ours, _placed(store, origin, row, contents)), "tampered"
    except Corrupt:
        return _placed(store, origin, row, contents), "corrupt"
    placed = _placed(store, origin, row, contents, renamed=verdict is Verdict.OWN or row.seal.startswith(UNKEYED))
    if verdict is Verdict.OWN:
        # The checksums that were sealed are sealed again: content that does not match them stays unreadable.
        return store._pipeline.reseal(placed), "own" if _are_sound(store, placed) else "corrupt"
    # A seal without a key covers the store's id too: it is a checksum, and anybody may write another.
    unkeyed = ours.seal_unkeyed(placed)
    return (unkeyed if row.seal.startswith(UNKEYED) else placed._replace(crc=unkeyed.crc)), "foreign"


def _placed(
    store: Handle[Any], origin: bytes, row: Row, contents: list[bytes | None], *, renamed: bool = False
) -> Row:
    """The row with its files in this store: under their old names if those still fit, so that its seal does too."""
    large = store._pipeline.large
    if row.spill is None or large is None:
        return row
    renamed = renamed or origin != store._backend.store_id
    try:
        return large.restore(row, origin, contents, renamed=renamed)
    except StorageError as exc:
        if renamed or exc.errno != errno.EEXIST:
            raise
        return large.restore(row, origin, contents, renamed=True)


def _are_sound(store: Handle[Any], row: Row) -> bool:
    large = store._pipeline.large
    return row.spill is None or large is None or not large.problems(row, foreign=False)


def _never_own(ours: Sealer, row: Row) -> Row:
    """The row of a line that was altered; should its seal fit this store, it is made not to.

    That is what an older record of this store looks like, in a line that names another store.
    """
    try:
        ours.check(row)
    except (Tampered, Corrupt):
        return row
    return row._replace(seal=row.seal[: len(UNKEYED)] + bytes(byte ^ 0xFF for byte in row.seal[len(UNKEYED) :]))


def _write(store: Handle[Any], row: Row) -> None:
    if len(row.seal) == _SEAL_BYTES:
        store._put_row(row)  # counted as no write: one that has expired comes over too
    else:  # damaged: it names no key
        store._backend.put(row, row.modified)


def _row_of(line: str | bytes, number: int) -> tuple[bytes, Row, list[bytes | None]]:
    try:
        fields = json.loads(line)
        origin = bytes.fromhex(fields.pop("store"))
        for name in _BYTES:
            fields[name] = base64.b64decode(fields[name], validate=True)
        files = fields.pop("files", [])
        contents = [None if file is None else base64.b64decode(file, validate=True) for file in files]
        row = Row(id=None, **fields)
        if len(origin) != _ID_BYTES or not row.has_column_types():
            raise ValueError("a field has another type")
        for text in (row.namespace, row.name, row.codec, row.type, row.python, row.spill):
            (text or "").encode()  # JSON can spell halves of surrogate pairs, SQLite cannot
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as exc:
        raise Corrupt(
            f"line {number} is not a raw record ({type(exc).__name__}: {exc}); the lines before it were imported"
        ) from exc
    return origin, row, contents
