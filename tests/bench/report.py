"""The report, as Markdown: the machine, the budgets, the tables, and how to read them."""

from __future__ import annotations

from . import budget, machine, noise
from .load import SESSIONS
from .peers import FRAGILE, GUARANTEES, KEPT, QUEUED, SYNCED
from .results import Results

HOW = """\
Everybody has the same names and values (a session of {value} bytes when pickled), in fresh directories, used as its own
documentation says. Timed sections take turns, in an order that changes from round to round; each begins with
`gc.collect()` and runs with the collector off. Figures are medians of the rounds, for one record; a ratio is taken
within a round, and its median shown with the least and the largest. The limit, raw `sqlite3`, has the tables, statements
and settings of the store, and pickles; it seals and checks nothing.

Processes that work on one file begin at once and run for a fixed time; a percentile is that of a round, and the median of
the rounds is shown. *lost* counts records without the last write that returned, and reads that went back. A mixed load asks
for few of {sessions:,} sessions often (Zipf's law), in an order that is the same for everybody; each process or thread writes
its own part of the sessions, and checks each read. That takes about 0.4 µs per operation, which throughput includes.

Each table is in parts, by *class*: only systems of one class promise the same. The fastest of a class is listed first.
Where a write survives a power cut, the limit of the class is raw `sqlite3` with `synchronous=FULL`.

{classes}

What a write that has returned *survives*:

{durabilities}
"""


def lines(results: Results, *, quick: bool, took: str) -> list[str]:
    title = "A quick run: figures vary more than those of a full one." if quick else "A full run."
    return [
        "# Benchmark", "", f"{title} {took}, by `python -m tests.bench{' --quick' if quick else ''}`.", "",
        *machine.lines(), noise.line(results.noise, results.stolen), "",
        "## Budgets", "", "From the design; raw is the limit described below.", "", *budget.lines(results), "",
        *budget.notes_of(results), "",
        "## How it was measured", "", *_how(), "",
        "## Figures", "",
        *[line for text in results.text.values() for line in (*text, "")],
    ][:-1]  # fmt: skip


def _how() -> list[str]:
    import pickle

    from .session import PROTOCOL, session

    classes = "\n".join(f"- *{guarantee.name}*: {guarantee.meaning}" for guarantee in GUARANTEES)
    durabilities = "\n".join(f"- *{durability.name}*: {durability.meaning}" for durability in (SYNCED, KEPT, FRAGILE, QUEUED))
    size = len(pickle.dumps(session(7), PROTOCOL))
    return HOW.format(value=size, sessions=SESSIONS, classes=classes, durabilities=durabilities).splitlines()
