"""`report-redis.md` and its chart: what was measured, beside its budgets."""

from __future__ import annotations

from typing import NamedTuple

from .. import chart, machine, noise
from ..noise import Noise
from ..outcome import Outcome
from ..peers import CRASH, Guarantee
from ..remote import tables
from ..remote.peers import Roster
from ..remote.plan import Plan
from .measures import ROSTER
from .peers import BARE

DISTRIBUTIONS = ("redis", "hiredis", "Django", "Flask-Session", "redis-dict", "py-key-value-aio")
PANELS = {
    "get": "read one record", "set": "write one record", "edit": "a session: load, change, save",
    "get_many": "read 500 at once, per record", "update": "write 500 at once, per record",
    "items": "read all, per record",
}  # fmt: skip


class Run(NamedTuple):
    """What was measured on one node or on a cluster."""

    title: str
    roster: Roster
    by_size: dict[int, list[Outcome]]
    by_clients: dict[int, dict[str, dict[str, list[float]]]]


class Results(NamedTuple):
    plan: Plan
    noise: Noise | None
    runs: list[Run]
    large: list[Outcome]
    server: str = ""


def lines(results: Results, took: str, *, quick: bool) -> list[str]:
    text = [
        "# Redis: this store beside redis-py alone, Django, Flask-Session, redis-dict and py-key-value", "",
        f"Made by `python -m tests.bench --engine redis` on {took}. Only ratios count: each is taken within one round, "
        f"against *{BARE}*, which sends the same scripts and rows through `redis.Redis` or `redis.RedisCluster`, with "
        "`pickle` alone: no seal, no check.",
        "*At best* is the ratio of the fastest rounds, which other programs on the machine disturb the least. The "
        "servers run on the same machine, with an append-only file in memory, so a round trip is as short as it gets, and "
        "what the store adds to it is seen best.", "",
        "redis-py reads answers in Python, but for the tables *with hiredis*, its parser in C.", "",
        "*redis-py, a key for each* stores less: it has no order, no count, no seal, no list of names and nothing to "
        "watch. A session is loaded, changed and saved: by `Sessions` for the store, by two commands for the others.", "",
        *(["**Quick: less precise.**", ""] if quick else []),
        "## Budgets", "", *tables.budgets(_all_sizes(results)), "",
    ]  # fmt: skip
    for run in results.runs:
        text += _run_lines(run)
    text += ["## Large values, one node", "", "A body that has not changed is not sent again.", ""]
    for outcome in results.large:
        text += [f"### {outcome.title}", "", *tables.table(outcome, ROSTER), ""]
    return [*text, "## Measured on", "", *_machine(results)]


def _all_sizes(results: Results) -> dict[str, list[Outcome]]:
    return {
        f"{size:,} on {run.title}": outcomes for run in results.runs for size, outcomes in run.by_size.items()
    }  # fmt: skip


def _run_lines(run: Run) -> list[str]:
    text = []
    left_out = [kind.label for kind in ROSTER.kinds if kind not in run.roster.kinds]
    for size, outcomes in run.by_size.items():
        text += [f"## One client, {run.title}, {size:,} records", ""]
        if left_out and "cluster" in run.title:
            text += [f"{', '.join(left_out)} take a client of one node only.", ""]
        for outcome in outcomes:
            text += [f"### {outcome.title}", "", *tables.table(outcome, run.roster), ""]
    for number, found in run.by_clients.items():
        clients = "client" if number == 1 else "clients at once, each a process"
        text += [f"## {number} {clients}, {run.title}", "", *tables.clients_table(found, BARE), ""]
    return text


def svg(results: Results) -> str:
    """A panel for each operation with the most records, on one node."""
    panels = {}
    for run in results.runs[:1]:
        for outcome in run.by_size[max(run.by_size)] if run.by_size else []:
            if outcome.measure in PANELS:
                panels[PANELS[outcome.measure]] = outcome
    return chart.svg(
        panels, _class_of, "Time per record of this store on Redis, redis-py alone and others", frozenset({BARE})
    )


def _class_of(label: str) -> Guarantee:
    """All of them keep what the same server keeps."""
    return CRASH


def _machine(results: Results) -> list[str]:
    text = [*machine.without_peers(), noise.line(results.noise), f"- {results.server}, {tables.versions(DISTRIBUTIONS)}"]
    return [*text, f"- absent: {'; '.join(ROSTER.absent())}"] if ROSTER.absent() else text
