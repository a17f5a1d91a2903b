"""Steps of work on many records, for engines whose transactions are bounded: those that buffer them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from store.opened.namespace import Namespace

T = TypeVar("T")


def in_steps(ns: Namespace, items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """All items as one step; some after some, up to `most` of them, where the client buffers a transaction."""
    size = most if ns.is_optimistic else max(len(items), 1)
    return (items[start : start + size] for start in range(0, max(len(items), 1), size))
