"""How long a benchmark on a server takes."""

from __future__ import annotations

from typing import NamedTuple


class Plan(NamedTuple):
    """Numbers of records and of clients, rounds and seconds of a section; `peers`: beginnings of labels, none for all."""

    sizes: tuple[int, ...] = (1000, 100_000)
    clients: tuple[int, ...] = (1, 8, 32)
    rounds: int = 21  # many short ones: another program that runs for a while disturbs few of them
    seconds: float = 0.05
    bulk_rounds: int = 5
    client_rounds: int = 3
    client_seconds: float = 1.0
    peers: tuple[str, ...] = ()


TINY = Plan(sizes=(1000,), clients=(2,), rounds=1, seconds=0.01, bulk_rounds=1, client_rounds=1, client_seconds=0.1)
