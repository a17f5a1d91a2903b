"""What is measured on Redis: single operations, bulks and sessions of one client, and many clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from ..outcome import Outcome
from ..remote import sections
from ..remote.peers import BATCH, STORE, Roster
from ..remote.plan import Plan
from .libraries import GET_SET
from .libraries import KINDS as LIBRARIES
from .peers import BARE, KINDS, Bare, ThisStore

ROSTER = Roster((*KINDS, *LIBRARIES), BARE)
CLUSTER_ROSTER = Roster(tuple(kind for kind in ROSTER.kinds if kind in KINDS or kind == GET_SET), BARE)
"""Of those that take a client of a cluster."""
TITLES = {
    "get": "`s[k]`",
    "set": "`s[k] = v`, over an existing record",
    "delete": "`del s[k]`",
    "edit": "a session: load, change, save",
    "update": f"`s.update(…)` of {BATCH} records, for each record",
    "get_many": f"`s.get_many(…)` of {BATCH} records, for each record",
    "items": "`items()`, for each record",
}
OPERATIONS = ("get", "set", "edit")  # those of many clients at once
HEADS = {"get": "get", "set": "set", "edit": "session"}  # how tables of many clients name them

FULL = Plan(clients=(1, 8), rounds=21, seconds=0.03, bulk_rounds=3, client_seconds=0.4)
QUICK = Plan(sizes=(1000,), clients=(1, 8), rounds=7, seconds=0.02, bulk_rounds=3, client_seconds=0.3)


def measure(url: str, size: int, plan: Plan, roster: Roster) -> Iterator[Outcome]:
    """An outcome for each operation, with so many records."""
    return sections.measure(url, size, plan, roster, TITLES, _settle)


def measure_large(url: str, plan: Plan) -> Iterator[Outcome]:
    """Reads of one large value that has not changed: kept by the handle, not kept, and by the client alone."""
    with closing(Bare(url)) as bare, closing(ThisStore(url)) as store, closing(ThisStore(url, cache_bytes=0)) as not_kept:
        yield from sections.measure_large({BARE: bare, STORE: store, f"{STORE}, no cache": not_kept}, plan, BARE)


def _settle(url: str) -> None:
    """Nothing is left to be written once records are filled in."""
