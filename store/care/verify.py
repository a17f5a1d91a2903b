"""`verify`: checks that every record of the file is unchanged since it was written, without decoding any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from store.care.inspect import verdict_of
from store.errors import Corrupt, StorageError
from store.opened.namespace import Namespace
from store.rows.row import Row
from store.values.large import no_files


@dataclass(slots=True)
class Verification:
    """What `verify` found in the whole file; records are (namespace, name).

    `sealed` counts records that a key of ours sealed. `foreign` ones are sealed by a key that this program does not
    hold, `tampered` ones do not match their seal of our key, `corrupt` ones do not match their checksum or cannot be
    read. `unfound` ones are in the table, but the index does not lead to them. `damage` lists problems of the file
    itself. `files` are (namespace, name, problem), one for each file of a large value that is missing, truncated or
    altered. `orphans` are files that no record names, left by killed writes: they do no harm, and `compact()` removes
    them. `unread` counts commits that cannot be read, since the log is broken before them: a power cut leaves some
    with `durability="normal"`; `store recover` reads them.
    """

    sealed: int = 0
    foreign: list[tuple[str, str]] = field(default_factory=list)
    tampered: list[tuple[str, str]] = field(default_factory=list)
    corrupt: list[tuple[str, str]] = field(default_factory=list)
    unfound: list[tuple[str, str]] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    files: list[tuple[str, str, str]] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    unread: int = 0

    @property
    def ok(self) -> bool:
        """Whether all records are ours and sound, and the file is sound."""
        return not (self.foreign or self.tampered or self.corrupt or self.unfound or self.damage or self.files)

    def _repr_html_(self) -> str:
        """The verdict, how many there are of each kind, and the first faults as tables, for notebooks."""
        from store.display.notebook import ROWS, card, rows_of

        counts = [(fault, len(getattr(self, fault))) for fault in _FAULTS]
        verdict = "sound" if self.ok else "not sound"
        facts = [
            ("verdict", verdict),
            ("sealed", f"{self.sealed:,}"),
            *((fault, f"{number:,}") for fault, number in counts if number),
        ]
        if self.orphans:
            facts.append(("orphans", f"{_counted(len(self.orphans), 'file')}, which compact() removes"))
        if self.unread:
            facts.append(("unread", f"{_counted(self.unread, 'commit')}, which store recover reads"))
        total, rows = sum(number for _, number in counts), list(islice(_faults(self), ROWS))
        faults = rows_of(("kind", "record", "problem"), rows, f"{len(rows)} of {total:,} faults")
        return card("Verification", facts, faults)

    def add(self, row: Row, verdict: str) -> None:
        """Count one record."""
        if verdict == "own":
            self.sealed += 1
        else:
            getattr(self, verdict).append(_place_of(row))


def _counted(amount: int, noun: str) -> str:
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


_FAULTS = ("damage", "tampered", "corrupt", "unfound", "files", "foreign")  # the gravest first


def _faults(found: Verification) -> Iterator[tuple[str, str, str]]:
    """Kind, record and problem of each fault, as text for a notebook."""
    from store.display.notebook import quoted, short

    for fault in _FAULTS:
        for one in getattr(found, fault):
            if fault == "damage":
                yield fault, "", short(one, 200)
            else:
                yield fault, f"{quoted(one[1])} in {quoted(one[0])}", short(" ".join(one[2:]), 200)


PROGRESS_RECORDS = 1000

Progress = Callable[[int], object]
"""Takes the number of records that are checked; what it raises ends the check."""


def verify(ns: Namespace, *, quick: bool = False, progress: Progress = int) -> Verification:
    """See `Store.verify`. `progress` is called now and then, and first of all."""
    ns.check_open()
    progress(0)
    found = Verification()

    def check_records(ns: Namespace, found: Verification, quick: bool) -> None:
        _check_records(ns, found, quick, progress)

    for part in (_check_file, check_records, _check_beside):
        try:
            part(ns, found, quick)
        except (Corrupt, StorageError) as exc:  # it cannot be read further, which is a finding
            found.damage.append(str(exc))
    found.damage = list(dict.fromkeys(found.damage))  # several parts may find the same
    return found


def _check_file(ns: Namespace, found: Verification, quick: bool) -> None:
    found.damage += ns.care.damage(quick=quick)
    found.unread = ns.care.unread_commits()


def _check_records(ns: Namespace, found: Verification, quick: bool, progress: Progress) -> None:
    for number, row in enumerate(ns.care.rows(found.damage)):
        if number % PROGRESS_RECORDS == 0:
            progress(number)
        if isinstance(row, Row):
            _check(ns, found, row, quick)
        else:
            found.corrupt.append(row)
    if found.damage and not quick:
        found.unfound += ns.care.unfound(found.damage)


def _check(ns: Namespace, found: Verification, row: Row, quick: bool) -> None:
    verdict = verdict_of(ns, row)[0] if row.has_column_types() else "corrupt"
    found.add(row, verdict)
    if verdict == "own" and not ns.values.sealer.has_checksum(row):
        found.damage.append(f"the checksum of {_place_of(row)} is damaged; its seal holds, and it can be read")
    problems = _problems(ns, row, content=not quick, foreign=verdict != "own")
    found.files += [(*_place_of(row), problem) for problem in problems]


def _check_beside(ns: Namespace, found: Verification, quick: bool) -> None:
    found.orphans += ns.care.orphans()


def _place_of(row: Row) -> tuple[str, str]:
    return str(row.namespace), str(row.name)


def _problems(ns: Namespace, row: Row, *, content: bool, foreign: bool) -> Iterator[str]:
    """Problems with the files of a record; one that was replaced meanwhile is checked again."""
    if row.spill is None or not row.has_column_types():
        return
    large = ns.values.large
    problems = [no_files().message] if large is None else large.problems(row, content=content, foreign=foreign)
    if not problems:
        return
    now = ns.engine.get(row.namespace, (row.name,)).get(row.name)
    if now is not None and now.spill != row.spill:
        yield from _problems(ns, now, content=content, foreign=verdict_of(ns, now)[0] != "own")
    elif now is not None:
        yield from problems
