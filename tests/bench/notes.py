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
    Note(("the first read after an update of one's own", "the first read after a transaction of one's own"),
         "no statement is left (it was a read from disk, at 7 ×). The writer only notes its rows, so "
         "that a program that reads nothing pays nothing; the first read after the commit files all of them, which is "
         "part of this figure."),
    Note(("`s[k] = v`",), "two system calls take and give the lock between processes, two look whether lock file and "
         "database are still in their places, the seal takes 1.7 µs, the ring of changes and the cache 5 µs; raw SQLite "
         "does none of it. Tried: the statement bound without the columns that are NULL, one description of a commit for "
         "ring and cache, fewer calls between the layers: 0.93 × of before, with the ring. One function with everything "
         "inlined and no ring takes 16 µs, and is no program that one can read."),
    Note(("2 processes, 90/10: p99 of a read", "2 processes, 99/1: p99 of a read", "4 processes, 90/10: p99 of a read",
          "4 processes, 99/1: p99 of a read"),
         "nine reads in ten take a fifth of raw's time; the slowest in a hundred are those of a record that another "
         "process has just written. Such a read follows the ring, checks a seal and files the row beside what raw SQLite "
         "does. Tried: all commits since the last read followed at one step (kept)."),
    Note(("8 processes writing: throughput",), "a set costs more (above): one process alone has 0.53 × raw's. Raw SQLite "
         "lets one process run on while others sleep for up to 2 s, hence its waits. Tried: 30 attempts with sched_yield "
         "before the first sleep, delays learnt from how long others hold the lock, a mark by which a waiter asks for its "
         "turn (all kept). Not taken: a holder that keeps the lock over a write that it has acknowledged."),
    Note(("8 processes writing, `durability=\"full\"`: throughput",), "this disk syncs in 0.1 ms, so that there is little "
         "to share, and eight processes on two cores wait for a processor instead; raw SQLite loses a seventh. On a "
         "machine with a slower disk it was 5.2 × of what it was before for eight processes, and 3.8 × for eight threads. "
         "Not taken: a shared note of what was synced, since an error of the disk must reach each process."),
    Note(("a fresh process: import, open, one read",), "typing, named tuples, the key and where it lies. Tried: "
         "dataclasses, inspect, OpenSSL, the decoder of others' records and all that a reader does not call are loaded "
         "late: from + 62 ms before."),
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
