"""Copying records from a store to another without decoding them: their bytes, as JSON lines.

One line is one record: its columns by name, `body` and `seal` in base64, `store` with the id of its file, and for a
large value `files` with their content in base64, null for a missing one.
A record that a key of ours sealed is sealed anew for the new store; all others are copied as they are: a foreign
record stays foreign, a damaged one damaged, and nothing is lost.
"""

from __future__ import annotations

import base64
import errno
import json
from collections.abc import Iterable, Iterator
from itertools import islice

from store.care.inspect import verdict_of
from store.engines.contract import Delete, Fields, every_row
from store.errors import Corrupt, StorageError, Tampered, label
from store.opened.namespace import Namespace
from store.rows.row import Row, has_expired
from store.trust.keys.key import UNKEYED
from store.trust.seal import Sealer, Verdict

BATCH = 500  # records that are imported as one transaction
BATCH_CHARS = 64 * 1024 * 1024  # a batch ends after the line that passes this
_BYTES = ("body", "seal")
_ID_BYTES = 16
SEAL_BYTES = 24


def export_raw(ns: Namespace, namespace: str | None = None) -> Iterator[str]:
    """Yields the lines of all records of the file, or of one namespace, expired ones too, in order of insertion.

    Raises:
        Corrupt: at the end, if columns of the file do not hold a record; all others were yielded.
    """
    origin = ns.engine.id.hex()
    lost: list[str] = []
    for row in every_row(ns.engine):
        if namespace is not None and row.namespace != namespace:
            continue
        if row.has_column_types():
            yield _line(ns, row, origin)
        else:
            lost.append(label(row.name, row.namespace))
    if lost:
        raise Corrupt(
            f"{len(lost)} of the records have columns that hold something else, and were left out: "
            f"{', '.join(lost[:3])}; all others were exported"
        )


def import_raw(ns: Namespace, lines: Iterable[str | bytes]) -> Iterator[tuple[str, str, str]]:
    """Writes the records of those lines, into the namespaces they came from, as the result is read.

    Yields (namespace, name, verdict) of each; the verdict is "own" (sealed anew), "foreign", "tampered" or
    "corrupt". Records of the same name are replaced.

    Raises:
        Corrupt: a line is not what `export_raw` writes; those before it are written.
    """
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    while batch := _batch(numbered):
        done: list[tuple[str, str, str]] = []
        problem = None
        with ns.transaction() as transaction:
            for number, line in batch:
                try:
                    origin, row, contents = _row_of(line, number)
                except Corrupt as exc:
                    problem = exc
                    break
                row, verdict = _resealed(ns, origin, row, contents)
                _write(ns, row)
                if ns.writeback is not None and row.namespace == ns.name:
                    ns.writeback.forget(row.name, transaction)
                done.append((row.namespace, row.name, verdict))
        yield from done
        if problem is not None:
            raise problem


def transferred(ns: Namespace, row: Row, to: Namespace) -> tuple[Row, str]:
    """The row for another store, its files written there, and its verdict, as `import_raw` has it."""
    row, contents = _with_files(ns, row)
    return _resealed(to, ns.engine.id, row, contents)


def load(ns: Namespace, row: Row) -> None:
    """Writes a row as it is, an expired one too, in the open transaction; a record of its name is deleted first."""
    try:
        _add_sealer(ns, row)
        ns.engine.apply(row.namespace, [Delete(row.name)])
        ns.engine.load([row])
    except BaseException:
        ns.values.discard(row)
        raise


def _write(ns: Namespace, row: Row) -> None:
    """As `load`, but a record that is there already is replaced: its revision goes on, and it keeps its place."""
    found = ns.engine.get(row.namespace, (row.name,), Fields.LISTED).get(row.name)
    if found is None or (row.spill is None and has_expired(found, row.modified)):
        load(ns, row)  # not over an expired record that may have the very same files: it would give them up
        return
    try:
        _add_sealer(ns, row)
        ns.engine.put(row)
    except BaseException:
        ns.values.discard(row)
        raise


def _add_sealer(ns: Namespace, row: Row) -> None:
    if len(row.seal) == SEAL_BYTES:  # else it is damaged, and names no key
        ns.engine.add_sealer(row.seal[: len(UNKEYED)])


def _batch(numbered: Iterator[tuple[int, str | bytes]]) -> list[tuple[int, str | bytes]]:
    batch: list[tuple[int, str | bytes]] = []
    size = 0
    for number, line in islice(numbered, BATCH):
        batch.append((number, line))
        size += len(line)
        if size > BATCH_CHARS:
            break
    return batch


def _line(ns: Namespace, row: Row, origin: str) -> str:
    row, contents = _with_files(ns, row)
    fields = row._asdict()
    del fields["id"]
    for name in _BYTES:
        fields[name] = base64.b64encode(fields[name]).decode()
    if contents:
        fields["files"] = [None if content is None else base64.b64encode(content).decode() for content in contents]
    return json.dumps({"store": origin, **fields})


def _with_files(ns: Namespace, row: Row) -> tuple[Row, list[bytes | None]]:
    """The row, or the one that replaced it since it was read, and the contents of its files."""
    if row.spill is None or ns.values.large is None:
        return row, []
    contents = ns.values.large.contents(row, foreign=verdict_of(ns, row)[0] != "own")
    if None in contents:
        now = ns.engine.get(row.namespace, (row.name,)).get(row.name)
        if now is not None and now.spill != row.spill and now.has_column_types():
            return _with_files(ns, now)
    return row, contents


def _resealed(ns: Namespace, origin: bytes, row: Row, contents: list[bytes | None]) -> tuple[Row, str]:
    """The row for this store, its files written, and its verdict in the store it came from."""
    ours = ns.values.sealer
    try:
        verdict = Sealer(ours.keyring, origin).check(row)
    except Tampered:
        return _never_own(ours, _placed(ns, origin, row, contents)), "tampered"
    except Corrupt:
        return _placed(ns, origin, row, contents), "corrupt"
    placed = _placed(ns, origin, row, contents, renamed=verdict is Verdict.OWN or row.seal.startswith(UNKEYED))
    if verdict is Verdict.OWN:
        # The sealed checksums are sealed again: content that does not match them stays unreadable.
        return ns.values.reseal(placed), "own" if _are_sound(ns, placed) else "corrupt"
    # A seal without a key covers the store's id too: it is a checksum, and anybody may write another.
    unkeyed = ours.seal_unkeyed(placed)
    return (unkeyed if row.seal.startswith(UNKEYED) else placed._replace(crc=unkeyed.crc)), "foreign"


def _placed(ns: Namespace, origin: bytes, row: Row, contents: list[bytes | None], *, renamed: bool = False) -> Row:
    """The row with its files in this store: under their old names if those still fit, so that its seal does too."""
    large = ns.values.large
    if row.spill is None or large is None:
        return row
    renamed = renamed or origin != ns.engine.id
    try:
        return large.restore(row, origin, contents, renamed=renamed)
    except StorageError as exc:
        if renamed or exc.errno != errno.EEXIST:
            raise
        return large.restore(row, origin, contents, renamed=True)


def _are_sound(ns: Namespace, row: Row) -> bool:
    large = ns.values.large
    return row.spill is None or large is None or not large.problems(row, foreign=False)


def _never_own(ours: Sealer, row: Row) -> Row:
    """The row of an altered line, its seal broken if it fits this store.

    It would fit for an older record of this store in a line that names another store.
    """
    try:
        ours.check(row)
    except (Tampered, Corrupt):
        return row
    return row._replace(seal=row.seal[: len(UNKEYED)] + bytes(byte ^ 0xFF for byte in row.seal[len(UNKEYED) :]))


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
