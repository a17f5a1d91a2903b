"""Records out of a store and into another without decoding them: their bytes, as JSON lines.

One line a record, its columns by name, `body` and `seal` in base64, and `store` the id of the file it came from.
What a key of ours sealed there is sealed anew for the store it goes to; all else goes over as it is: a foreign
record stays foreign, a damaged one damaged, and nothing is lost.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from store.errors import Corrupt, Tampered, label
from store.handle import Handle
from store.record import Row
from store.trust.key import UNKEYED
from store.trust.seal import Sealer, Verdict

BATCH = 500  # records that are imported as one transaction
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
            yield _line(row, origin)
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
    while batch := list(islice(numbered, BATCH)):
        done: list[tuple[str, str, str]] = []
        problem = None
        with store._backend.transaction() as transaction:
            for number, line in batch:
                try:
                    origin, row = _row_of(line, number)
                except Corrupt as exc:
                    problem = exc
                    break
                row, verdict = _resealed(store, origin, row)
                _write(store, row)
                if store._writeback is not None and row.namespace == store.namespace:
                    store._writeback.forget(row.name, transaction)
                done.append((row.namespace, row.name, verdict))
        yield from done
        if problem is not None:
            raise problem


def _line(row: Row, origin: str) -> str:
    fields = row._asdict()
    del fields["id"]
    for name in _BYTES:
        fields[name] = base64.b64encode(fields[name]).decode()
    return json.dumps({"store": origin, **fields})


def _resealed(store: Handle[Any], origin: bytes, row: Row) -> tuple[Row, str]:
    """The row for this store, and what it was in the one it came from."""
    ours = store._pipeline.sealer
    try:
        verdict = Sealer(ours.keyring, origin).check(row)
    except Tampered:
        return _never_own(ours, row), "tampered"
    except Corrupt:
        return row, "corrupt"
    if verdict is Verdict.OWN:
        return store._pipeline.reseal(row), "own"
    # A seal without a key covers the store's id too: it is a checksum, and anybody may write another.
    return (ours.seal_unkeyed(row) if row.seal.startswith(UNKEYED) else row), "foreign"


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
        store._store(row)
    else:  # damaged: it names no key
        store._backend.put(row, row.modified)


def _row_of(line: str | bytes, number: int) -> tuple[bytes, Row]:
    try:
        fields = json.loads(line)
        origin = bytes.fromhex(fields.pop("store"))
        for name in _BYTES:
            fields[name] = base64.b64decode(fields[name], validate=True)
        row = Row(id=None, **fields)
        if len(origin) != _ID_BYTES or not row.has_column_types():
            raise ValueError("a field has another type")
        for text in (row.namespace, row.name, row.codec, row.type, row.python, row.spill):
            (text or "").encode()  # JSON can spell halves of surrogate pairs, SQLite cannot
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as exc:
        raise Corrupt(
            f"line {number} is not a raw record ({type(exc).__name__}: {exc}); the lines before it were imported"
        ) from exc
    return origin, row
