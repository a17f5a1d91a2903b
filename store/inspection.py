"""Looking at a record without making anything of it, and taking it over once it was looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from store.errors import CodecUnavailable, Conflict, Corrupt, RecordError, Tampered, label
from store.handle import Handle, check_name
from store.record import Header, Record, Row
from store.spilled import size_of
from store.trust.seal import Verdict

V = TypeVar("V")


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


class Inspecting(Handle[V]):
    """The part of `Store` that looks at records of others, and makes them the program's own."""

    def inspect(self, name: str) -> Inspection:
        """What is in a record, nothing of it executed.

        Raises:
            KeyError: no such record. Corrupt: the columns of the file hold something else than a record.
        """
        row = self._find(check_name(name))
        if row is None:
            raise KeyError(name)
        return self._inspected(row)

    def admit(self, inspection: Inspection) -> Record:
        """Seals exactly the bytes that were inspected with a key of ours: from now on they are decoded in full.

        Raises:
            Conflict: the record is another one by now: inspect it again. Tampered, Corrupt: bytes that were
                damaged or altered are never sealed. Untrusted: there is no key to seal with.
        """
        self._check_open()
        if not isinstance(inspection, Inspection):
            raise TypeError(f"admit takes what inspect returned, not {type(inspection).__name__}")
        seen = inspection.row
        with self._backend.transaction():
            now = self._clock()
            if self._backend.get(seen.namespace, seen.name, now) != seen:
                raise Conflict(
                    f"{label(seen.name, seen.namespace)} is not the one that was inspected: inspect it again",
                    name=seen.name,
                    namespace=seen.namespace,
                )
            try:
                self._pipeline.sealer.check(seen)
            except (Tampered, Corrupt) as exc:
                raise exc.about(seen.name, seen.namespace) from None
            self._store(self._pipeline.reseal(seen._replace(modified=now)))
            header = self._backend.header(seen.namespace, seen.name, now)
        assert header is not None
        return Record.from_header(header)

    def _inspected(self, row: Row) -> Inspection:
        if not row.has_column_types():
            raise Corrupt("its columns do not hold what those of a record do; restore it from a backup").about(
                row.name, row.namespace
            )
        verdict, problem = verdict_of(self, row)
        names: tuple[str, ...] = ()
        text = ""
        try:
            names, text, trouble = self._pipeline.codec_of(row).describe(self._pipeline.body_of(row))
            problem = problem or trouble
        except (RecordError, CodecUnavailable) as exc:
            problem = problem or str(exc)
        return Inspection(Record.from_header(_header(row)), verdict, names, text, problem, row)


def foreign_records(store: Inspecting[Any], namespace: str | None = None) -> Iterator[Inspection]:
    """The records of the file, or of one namespace, that are sealed by no key of ours and sound; one by one.

    They are inspected as of when they come; those that have expired are left out.
    """
    for row in store._backend.every_row():
        wanted = namespace is None or row.namespace == namespace
        alive = row.has_column_types() and (row.expires is None or row.expires > store._clock())
        if wanted and alive and verdict_of(store, row)[0] == "foreign":
            yield store._inspected(row)


def verdict_of(store: Handle[Any], row: Row) -> tuple[str, str | None]:
    """ "own", "foreign", "tampered" or "corrupt"; and the reason, for the last two."""
    try:
        verdict = store._pipeline.sealer.check(row)
    except Tampered as exc:
        return "tampered", str(exc)
    except (Corrupt, ValueError) as exc:  # ValueError: a name that is no text, in a file made by hand
        return "corrupt", str(exc)
    return ("own" if verdict is Verdict.OWN else "foreign"), None


def _header(row: Row) -> Header:
    return Header(
        row.id or 0, row.namespace, row.name, row.codec, row.protocol, row.type, row.python,
        len(row.body) + size_of(row.spill), row.revision, row.created, row.modified, row.expires, row.seal[:8],
    )  # fmt: skip
