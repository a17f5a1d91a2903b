"""The figures of what programs do with a store, on every engine that has them."""

from __future__ import annotations

from typing import Any

import pytest
from sealed_rows import row

from store.engines.activity import Activity

pytestmark = pytest.mark.damaged  # the rows bear seals that no key made


def test_reads_and_writes_are_counted(engine: Any, capable: Any) -> None:
    activity = capable("activity")
    activity.begin()
    before = activity.figures()
    for number in range(20):
        engine.put(row(f"r{number % 5}"))
    for number in range(30):
        engine.get("", [f"r{number % 5}"])
    after = activity.figures()
    if engine.kind == "postgresql":  # its sessions report their counts up to a second late
        assert (after.writes, after.reads) >= (before.writes, before.reads)
    else:
        assert (after.writes or 0) - (before.writes or 0) == 20
        assert (after.reads or 0) - (before.reads or 0) >= 30
    numbers = [number for number in after if number is not None]
    assert numbers and min(numbers) >= 0
    assert isinstance(after, Activity)


def test_figures_are_of_all_handles(engine: Any, second: Any, capable: Any) -> None:
    capable("activity").begin()
    second.activity.begin()  # which changes nothing
    before = engine.activity.figures()
    second.put(row("a"))
    if engine.kind != "postgresql":
        assert engine.activity.figures().writes - (before.writes or 0) == 1
