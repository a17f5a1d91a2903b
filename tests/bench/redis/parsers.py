"""The two ways in which redis-py reads answers: in Python, and by hiredis where that is installed."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata

from ..outcome import Outcome
from ..remote.plan import Plan

HIREDIS = "hiredis"


def is_installed() -> bool:
    try:
        metadata.version(HIREDIS)
    except metadata.PackageNotFoundError:
        return False
    return True


def hide() -> None:
    """Have redis-py, which is not imported yet, read answers in Python: most programs have no hiredis."""
    sys.modules[HIREDIS] = None  # type: ignore[assignment] # its import is an ImportError then


def measure_with_hiredis(url: str, size: int, plan: Plan) -> list[Outcome]:
    """As `measures.measure`, of those on a cluster, in a process that has hiredis."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure, url, size, plan).result()


def _measure(url: str, size: int, plan: Plan) -> list[Outcome]:
    from redis.connection import DefaultParser

    from .measures import CLUSTER_ROSTER, measure

    if HIREDIS not in DefaultParser.__name__.lower():
        raise RuntimeError("redis-py has not found hiredis")
    return list(measure(url, size, plan, CLUSTER_ROSTER))
