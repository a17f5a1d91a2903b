"""What is measured on PostgreSQL: single operations of one client, many clients, and large values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from ..outcome import Outcome
from ..remote import sections
from ..remote.peers import BATCH, STORE, Roster
from ..remote.plan import Plan
from .libraries import KINDS as LIBRARIES
from .peers import BARE, KINDS, Bare, ThisStore

ROSTER = Roster((*KINDS, *LIBRARIES), BARE)
TITLES = {
    "get": "`s[k]`",
    "set": "`s[k] = v`, over an existing record",
    "delete": "`del s[k]`",
    "edit": "`with s.edit(k)`: read, change, write back",
    "update": f"`s.update(…)` of {BATCH} records, for each record",
    "get_many": f"`s.get_many(…)` of {BATCH} records, for each record",
    "items": "`items()`, for each record",
}
OPERATIONS = ("get", "set")  # those of many clients at once

FULL = Plan()
QUICK = Plan(sizes=(1000,), clients=(1, 8), rounds=11, seconds=0.03, bulk_rounds=3, client_seconds=0.5)


def measure(url: str, size: int, plan: Plan) -> Iterator[Outcome]:
    """An outcome for each operation, on tables of so many records."""
    return sections.measure(url, size, plan, ROSTER, TITLES, _settle)


def measure_large(url: str, plan: Plan) -> Iterator[Outcome]:
    """Reads of one large value that has not changed: kept by the handle, not kept, and by the driver alone."""
    with closing(Bare(url)) as bare, closing(ThisStore(url)) as store, closing(ThisStore(url, cache_bytes=0)) as not_kept:
        yield from sections.measure_large({BARE: bare, STORE: store, f"{STORE}, no cache": not_kept}, plan, BARE)


def _settle(url: str) -> None:
    """Analyse and write out what was filled in, so that the server does not do so in a timed section."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE")
        conn.execute("CHECKPOINT")
