"""Describing a record without executing it, and sealing exactly the bytes that were described."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from store.classes.shown import message_of
from store.engines.contract import Fields, every_row
from store.errors import Conflict, Corrupt, StoreError, Tampered, label
from store.opened.namespace import Namespace
from store.rows.record import Record
from store.rows.row import Row, has_expired
from store.trust.seal import Verdict


@dataclass(frozen=True, slots=True)
class Inspection:
    """A description of a record, made without executing any of it.

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


def inspect(ns: Namespace, name: str) -> Inspection:
    """See `Store.inspect`."""
    row = ns.find(name)
    if row is None:
        raise KeyError(name)
    return inspected(ns, row)


def admit(ns: Namespace, inspection: Inspection) -> Record:
    """See `Store.admit`."""
    ns.check_open()
    if not isinstance(inspection, Inspection):
        raise TypeError(f"admit takes what inspect returned, not {type(inspection).__name__}")
    seen = inspection.row
    with ns.transaction():
        now = ns.clock()
        if has_expired(seen, now) or ns.engine.get(seen.namespace, (seen.name,)).get(seen.name) != seen:
            raise Conflict(
                f"{label(seen.name, seen.namespace)} is not the one that was inspected: inspect it again",
                name=seen.name,
                namespace=seen.namespace,
            )
        try:
            ns.values.sealer.check(seen)
        except (Tampered, Corrupt) as exc:
            raise exc.about(seen.name, seen.namespace) from None
        ns.put(ns.values.reseal(seen._replace(modified=now)))
        header = ns.engine.get(seen.namespace, (seen.name,), Fields.HEADER)[seen.name]
    return Record.from_header(header)


def inspected(ns: Namespace, row: Row) -> Inspection:
    """The description of a row. Raises: Corrupt: its columns do not hold a record."""
    if not row.has_column_types():
        raise Corrupt("its columns do not hold what those of a record do; restore it from a backup").about(
            row.name, row.namespace
        )
    verdict, problem = verdict_of(ns, row)
    names, text, trouble = described(ns, row)
    return Inspection(Record.from_header(row.header()), verdict, names, text, problem or trouble, row)


def described(ns: Namespace, row: Row) -> tuple[tuple[str, ...], str, str | None]:
    """What the codec says of a row: globals, text, and why they are incomplete. The codec may be the program's."""
    try:
        codec, body = ns.values.codec_of(row), ns.values.body_of(row)
    except StoreError as exc:
        return (), "", str(exc)
    try:
        names, text, trouble = codec.describe(body)
        return tuple(map(str, names)), str(text), None if trouble is None else str(trouble)
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # even SystemExit: the other records are inspected all the same
        why = f"{type(exc).__name__}: {message_of(exc)}"
        return (), "", f"the codec {row.codec[:80]!r} failed to describe it ({why}); the record stays as it is"


def foreign_records(ns: Namespace, namespace: str | None = None) -> Iterator[Inspection]:
    """Inspects the sound records that no key of ours sealed, of the file or of one namespace, one by one.

    Expired ones are left out.
    """
    for row in every_row(ns.engine):
        wanted = namespace is None or row.namespace == namespace
        alive = row.has_column_types() and not has_expired(row, ns.clock())
        if wanted and alive and verdict_of(ns, row)[0] == "foreign":
            yield inspected(ns, row)


def verdict_of(ns: Namespace, row: Row) -> tuple[str, str | None]:
    """ "own", "foreign", "tampered" or "corrupt"; and the reason, for the last two."""
    try:
        verdict = ns.values.sealer.check(row)
    except Tampered as exc:
        return "tampered", str(exc)
    except (Corrupt, ValueError) as exc:  # ValueError: a name that is not valid text, in a crafted file
        return "corrupt", str(exc)
    return ("own" if verdict is Verdict.OWN else "foreign"), None
