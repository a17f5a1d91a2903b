"""Looking at a record without making anything of it, and taking it over once it was looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from store.classes.shown import message_of
from store.errors import Conflict, Corrupt, StoreError, Tampered, label
from store.opened.handle import Handle
from store.rows.record import Record
from store.rows.row import Row
from store.trust.seal import Verdict


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a record is, told without running any of it.

    `verdict` is "own", "foreign", "tampered" or "corrupt"; `globals` the classes and functions that decoding it in
    full would name, as `module.name`; `disassembly` its bytes as text; `problem` why it could not be read to its
    end, if so: there may be more globals then.
    """

    record: Record
    verdict: str
    globals: tuple[str, ...]
    disassembly: str = field(repr=False)
    problem: str | None
    row: Row = field(repr=False)


def inspect(store: Handle[Any], name: str) -> Inspection:
    """See `Store.inspect`."""
    row = store._find(name)
    if row is None:
        raise KeyError(name)
    return inspected(store, row)


def admit(store: Handle[Any], inspection: Inspection) -> Record:
    """See `Store.admit`."""
    store._check_open()
    if not isinstance(inspection, Inspection):
        raise TypeError(f"admit takes what inspect returned, not {type(inspection).__name__}")
    seen = inspection.row
    with store._backend.transaction():
        now = store._clock()
        if store._backend.get(seen.namespace, seen.name, now) != seen:
            raise Conflict(
                f"{label(seen.name, seen.namespace)} is not the one that was inspected: inspect it again",
                name=seen.name,
                namespace=seen.namespace,
            )
        try:
            store._pipeline.sealer.check(seen)
        except (Tampered, Corrupt) as exc:
            raise exc.about(seen.name, seen.namespace) from None
        store._store(store._pipeline.reseal(seen._replace(modified=now)))
        header = store._backend.header(seen.namespace, seen.name, now)
    assert header is not None
    return Record.from_header(header)


def inspected(store: Handle[Any], row: Row) -> Inspection:
    """What is in a row. Raises: Corrupt: its columns hold something else than a record."""
    if not row.has_column_types():
        raise Corrupt("its columns do not hold what those of a record do; restore it from a backup").about(
            row.name, row.namespace
        )
    verdict, problem = verdict_of(store, row)
    names, text, trouble = described(store, row)
    return Inspection(Record.from_header(row.header()), verdict, names, text, problem or trouble, row)


def described(store: Handle[Any], row: Row) -> tuple[tuple[str, ...], str, str | None]:
    """What the codec tells of a row: globals, text, and why it is not all. A codec may be the program's own."""
    try:
        codec, body = store._pipeline.codec_of(row), store._pipeline.body_of(row)
    except StoreError as exc:
        return (), "", str(exc)
    try:
        names, text, trouble = codec.describe(body)
        return tuple(map(str, names)), str(text), None if trouble is None else str(trouble)
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # SystemExit, whatever it does: the other records are looked at all the same
        why = f"{type(exc).__name__}: {message_of(exc)}"
        return (), "", f"the codec {row.codec[:80]!r} failed to describe it ({why}); the record stays as it is"


def foreign_records(store: Handle[Any], namespace: str | None = None) -> Iterator[Inspection]:
    """The records of the file, or of one namespace, that are sealed by no key of ours and sound; one by one.

    They are inspected as of when they come; those that have expired are left out.
    """
    for row in store._backend.every_row():
        wanted = namespace is None or row.namespace == namespace
        alive = row.has_column_types() and (row.expires is None or row.expires > store._clock())
        if wanted and alive and verdict_of(store, row)[0] == "foreign":
            yield inspected(store, row)


def verdict_of(store: Handle[Any], row: Row) -> tuple[str, str | None]:
    """ "own", "foreign", "tampered" or "corrupt"; and the reason, for the last two."""
    try:
        verdict = store._pipeline.sealer.check(row)
    except Tampered as exc:
        return "tampered", str(exc)
    except (Corrupt, ValueError) as exc:  # ValueError: a name that is no text, in a file made by hand
        return "corrupt", str(exc)
    return ("own" if verdict is Verdict.OWN else "foreign"), None
