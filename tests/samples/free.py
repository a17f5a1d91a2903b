"""Whether others get their turn: what a server can show, where a file shows its locks."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from store import Store
from store.errors import StoreError


def check_free_elsewhere(s: Store, where: str, names: Sequence[str] | None = None) -> None:
    """Another thread, which has a session of its own, gets the namespace for itself, or those names."""
    failures = []

    def take() -> None:
        try:
            with s.opened.engine.transactions.begin(1.0, scope=("", names)):
                pass
        except StoreError as exc:
            failures.append(exc)

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    if failures:
        pytest.fail(f"{failures[0]} after an interrupt at {where}")


def needs_held(s: Store) -> None:
    """Skips a test about those who wait for an open transaction, where the engine holds none open."""
    engine = s.opened.engine
    if engine.transactions is None or engine.transactions.optimistic:
        pytest.skip(f"the transactions of the engine {engine.kind} are optimistic: nobody waits for them")


def needs_capability(s: Store, name: str | None) -> None:
    """Skips a test whose engine lacks it."""
    if name is not None and getattr(s.opened.engine, name) is None:
        pytest.skip(f"the engine {s.opened.engine.kind} has no {name}")
