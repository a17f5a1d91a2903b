"""The report, as Markdown: the machine, the budgets, the tables, and how to read them."""

from __future__ import annotations

from . import budget, machine
from .peers import FRAGILE, KEPT, QUEUED, SYNCED
from .results import Results

HOW = """\
Everybody has the same names and values (a session of {value} bytes when pickled), in fresh directories, used as its own
documentation says. Timed sections take turns, in an order that changes from round to round; each begins with
`gc.collect()` and runs with the collector off. Figures are medians of the rounds, for one record; a ratio is taken
within a round, and its median shown with the least and the largest. The limit, raw `sqlite3`, has the tables, statements
and settings of the store, and pickles; it seals and checks nothing. Tables are sorted: what is faster stands above.

What a write that has returned survives:
"""


def lines(results: Results, *, quick: bool, date: str) -> list[str]:
    title = "A quick run: figures vary more than those of a full one." if quick else "A full run."
    return [
        "# Benchmark", "", f"{title} {date}, by `python -m tests.bench{' --quick' if quick else ''}`.", "",
        *machine.lines(), "",
        "## Budgets", "", "From the design; raw is the limit described below.", "", *budget.lines(results), "",
        *budget.reasons(results), "",
        "## How it was measured", "", *_how(), "",
        "## Figures", "",
        *[line for text in results.text.values() for line in (*text, "")],
    ][:-1]  # fmt: skip


def _how() -> list[str]:
    import pickle

    from .session import PROTOCOL, session

    legend = [f"- *{durability.name}*: {durability.meaning}" for durability in (SYNCED, KEPT, FRAGILE, QUEUED)]
    return [*HOW.format(value=len(pickle.dumps(session(7), PROTOCOL))).splitlines(), "", *legend]
