"""Why a budget is missed, and what was tried: one note for each budget that the report shows as missed.

After a full run, write a note for each missed budget, remove those of budgets that are met, and put them into the report
with `python -m tests.bench --notes`. `test_notes.py` compares them with the report.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

MISSED = "**missed**"
_ROW = re.compile(rf"^\| (?P<what>[^|]+) \| [^|]+ \| [^|]+ \| {re.escape(MISSED)} \|$", re.MULTILINE)


class Note(NamedTuple):
    """`budgets` are the names of rows of the table of budgets; times in the text are of single steps, run alone."""

    budgets: tuple[str, ...]
    text: str


NOTES: tuple[Note, ...] = (
    Note(("`s[k]`, from disk",), "beside raw SQLite's SELECT a read checks a seal (0.6 µs of BLAKE2b, 0.5 µs to lay out "
         "what it covers) and the types of columns (0.3 µs), and asks whether anybody writes. Tried: header and body "
         "hashed at once, types only of columns that the seal does not cover, fewer calls between the layers: from 2.0 × "
         "before."),
    Note(("`s[k] = v`",), "two system calls take and give the lock between processes (1.1 µs), two look whether lock file "
         "and database are still in their places (3.3 µs), the seal takes 1.7 µs; raw SQLite does none of it. Tried: "
         "checkpoints at 3,000 pages in place of 1,000 (3 µs less), a look at the key file every 50 ms (1.6 µs), values "
         "as a plain tuple (0.8 µs), UPDATE in place of the upsert (no gain): from 2.4 × before."),
    Note(("`s.update(…)`",), "pickling, sealing and laying out a row take 3 µs of each record, beside 5.5 µs of raw "
         "SQLite. Tried: one statement for many rows, one look at the key, checkpoints by what is in the log: from 2.9 × "
         "before."),
    Note(("a transaction of sets",), "each set passes all layers, and asks whether its transaction still stands, which an "
         "interrupt may have ended. Tried: as for a set: from 3.5 × before."),
    Note(("`items()`",), "each record's seal is checked, as in a read from disk. Tried: pages fetched in parts, one loop "
         "in place of nested generators: from 2.5 × before."),
    Note(("8 processes writing: throughput",), "a set costs more (above), and processes that take turns begin with cold "
         "caches; raw SQLite lets one process run on while others sleep for up to 100 ms, hence its waits. Tried: delays "
         "between two attempts that end at 0.5, 1, 2, 3, 4, 8 and 30 ms, and that grow faster."),
    Note(("a fresh process: import, open, one read",), "typing, named tuples, the key and where it lies. Tried: "
         "dataclasses, inspect, OpenSSL, the decoder of others' records and all that a reader does not call are loaded "
         "late; 35 ms of processor time are left."),
    Note(("`store get`",), "the wall time of a process on a shared machine: + 95 ms in a full run a quarter of an hour "
         "before. Tried: commands are loaded when they are called, 70 ms of processor time are left, half of them click."),
    Note(("256 MiB array: write",), "what the disk is given by its other users decides: 1.3 × in a full run a quarter of "
         "an hour before, 1.1 to 1.4 × in runs of its own, and the codec numpy beside it in this one. Tried: SHA-256 in "
         "place of BLAKE2b, in a thread beside the writing and syncing."),
    Note(("1,000,000 records against 1,000: read",), "SQLite's page cache of 2 MB holds a thousand records and no "
         "million: raw SQLite grows more."),
)  # fmt: skip


def lines(missed: Iterable[str], notes: Iterable[Note] = NOTES) -> list[str]:
    """A Markdown list: each note that belongs to a missed budget, with the names of those it belongs to."""
    wanted = set(missed)
    found = [([name for name in note.budgets if name in wanted], note.text) for note in notes]
    return [f"- {'; '.join(names)}: {text}" for names, text in found if names]


def missed_in(report: str) -> list[str]:
    """The names of the budgets that a report shows as missed."""
    return list(dict.fromkeys(_ROW.findall(report)))


def rewritten(report: str) -> str:
    """The report with the notes of this file in place of its own."""
    before, heading, rest = report.partition("## Budgets\n")
    budgets, _, after = rest.partition("\n## ")
    table = budgets[: budgets.rindex("|\n") + 2]
    return "\n".join([f"{before}{heading}{table}", *lines(missed_in(table)), "", f"## {after}"])
