"""What holds for the engine in memory alone; for what every engine does see `tests/engines/contract`."""

from __future__ import annotations

import weakref

import pytest
from sealed_rows import row

from store.engines.memory.engine import open_memory


class Text(str):
    """Can be referred to weakly."""


def test_closing_the_last_handle_frees_all_rows_at_once():
    """Also where a thread that was in a transaction of the store lives on."""
    engine = open_memory(":memory:", mode="c", timeout=5.0, durability="normal")
    other = engine.share()
    content = Text("a type")
    held = weakref.ref(content)
    with engine.transactions.begin():
        engine.put(row("a")._replace(type=content))
    del content
    engine.close()
    assert held() is not None and other.get("", ["a"])
    other.close()
    assert held() is None


@pytest.mark.parametrize("wrong, durability", [("/a/path", "normal"), (":memory:", "some")])
def test_what_cannot_be_opened(wrong, durability):
    with pytest.raises(ValueError, match=r"has no path|unknown durability"):
        open_memory(wrong, mode="c", timeout=5.0, durability=durability)
