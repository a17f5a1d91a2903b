"""What each party of a trial does: which records it reads and writes, in which order.

A party is a process, or a thread of one. Each record has one party that writes it, and each later read by that party must
find its last write that returned. A write raises the counter in the value by one, so that a reader of another party's record
notices a read that goes back. The order depends on nothing but the numbers below: it is the same for each peer.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import accumulate
from typing import Any, NamedTuple

from .session import name, session

SESSIONS = 10_000  # records of the mixed load
OWN = 100  # records of each writer, where parties only write or only read
STEPS = 40_000  # of the mixed load, before it repeats
COUNTER = "count"

Value = dict[str, Any]
Step = tuple[int, str, Value | None]  # number of the record, its name, and what to write; None reads it


class Load(NamedTuple):
    """`kind` is one of KINDS; `writes` is the share of writes of the mixed load, in percent."""

    kind: str
    number: int
    parties: int
    writes: int = 0

    def steps(self) -> list[Step]:
        """In their order; a party that reaches the end begins again."""
        return KINDS[self.kind](self)


def value(number: int, count: int) -> Value:
    """What a record holds after its `count`-th write."""
    return session(number) | {COUNTER: count}


def stock(records: int) -> list[tuple[str, Value]]:
    """The records that are there before anybody begins."""
    return [(name(number), value(number, 0)) for number in range(records)]


def _only_writes(load: Load) -> list[Step]:
    first = load.number * OWN
    return [(number, name(number), session(number)) for number in range(first, first + OWN)]


def _only_reads(load: Load) -> list[Step]:
    """Those of the first writer, in any order."""
    picked = random.Random(load.number).choices(range(OWN), k=SESSIONS)
    return [(number, name(number), None) for number in picked]


def _mixed(load: Load) -> list[Step]:
    """Few records are asked for often, as Zipf's law has it: the one at rank r in proportion to 1 / r."""
    chance = random.Random(f"party {load.number} of {load.parties}, {load.writes} % writes")
    ranked = random.Random(7).sample(range(SESSIONS), SESSIONS)  # popular records are no neighbours in the file
    weights = [1 / rank for rank in range(1, SESSIONS + 1)]
    own = ranked[load.number :: load.parties], list(accumulate(weights[load.number :: load.parties]))
    read = chance.choices(ranked, cum_weights=list(accumulate(weights)), k=STEPS)
    written = chance.choices(own[0], cum_weights=own[1], k=STEPS)
    base = {number: session(number) for number in own[0]}
    return [
        (number, name(number), base[number]) if chance.random() * 100 < load.writes else (other, name(other), None)
        for number, other in zip(written, read, strict=True)
    ]


KINDS: dict[str, Callable[[Load], list[Step]]] = {"write": _only_writes, "read": _only_reads, "mix": _mixed}
