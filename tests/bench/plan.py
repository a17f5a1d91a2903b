"""How much is done: the full run, the quick one, and what a single option changes of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Sizes and times of one run. `rounds` are of the cheap measures; the others have their own."""

    rounds: int = 15
    seconds: float = 0.2  # of one timed section
    records: int = 1000  # that are read and written over and over
    bulk_records: int = 10_000
    bulk_rounds: int = 7
    slow_share: int = 1  # the slow ones write so many times fewer at once
    array_mib: int = 256
    array_rounds: int = 9
    writers: tuple[int, ...] = (2, 4, 8)
    readers: int = 2
    contention_seconds: float = 3.0
    contention_rounds: int = 3
    synced_writers: tuple[int, ...] = (1, 2, 4, 8)
    synced_seconds: float = 1.5
    synced_rounds: int = 3
    mixed_parties: tuple[tuple[int, int], ...] = ((2, 1), (4, 1), (1, 8))  # processes, and threads of each
    mixed_writes: tuple[int, ...] = (10, 1)  # of 100 operations
    mixed_seconds: float = 1.0
    mixed_rounds: int = 5
    sizes: tuple[int, ...] = (1_000, 100_000, 1_000_000)
    scale_rounds: int = 9
    starts: int = 15
    listening_seconds: float = 3.0  # to find out whether the machine has other work
    peers: tuple[str, ...] = ()  # beginnings of labels; none = everybody


FULL = Plan()
QUICK = Plan(
    rounds=5, seconds=0.04, bulk_rounds=3, slow_share=10, array_mib=32, array_rounds=3, writers=(8,), contention_seconds=1.0,
    contention_rounds=1, synced_writers=(1, 8), synced_seconds=0.7, synced_rounds=1, mixed_parties=((2, 1), (4, 1)),
    mixed_seconds=0.4, mixed_rounds=1, sizes=(1_000, 100_000), scale_rounds=5, starts=5, listening_seconds=1.0,
)  # fmt: skip
TINY = Plan(
    rounds=2, seconds=0.001, records=20, bulk_records=50, bulk_rounds=2, array_mib=1, array_rounds=1, writers=(2,),
    readers=1, contention_seconds=0.1, contention_rounds=1, synced_writers=(1, 2), synced_seconds=0.1, synced_rounds=1,
    mixed_parties=((2, 1),), mixed_writes=(10,), mixed_seconds=0.1, mixed_rounds=1, sizes=(10, 100), scale_rounds=2,
    starts=1, listening_seconds=0.01,
)  # fmt: skip  # for the test of the benchmark itself
