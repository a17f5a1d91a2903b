"""The policy "lrw", and reading a value with its record."""

from __future__ import annotations

import pytest

from store.cache import Cache


def test_policy_lrw_keeps_what_was_written_last(location: str, clock) -> None:
    with Cache(location, policy="lrw", max_bytes=None, max_records=15, clock=clock) as cache:
        for number in range(15):  # with one more all are in a sample of 16
            clock.advance(1)
            cache[str(number)] = number
        clock.advance(1)
        cache["0"] = "written again"
        for _ in range(3):
            assert cache["1"] == 1  # reading it does not make it younger
        clock.advance(1)
        cache["more"] = None
        assert cache.cull() == 0
        assert set(cache) == {"0", "more", *map(str, range(2, 15))}


def test_get_with_record_gives_the_record_and_counts(location: str, clock) -> None:
    with Cache(location, clock=clock) as cache:
        cache.set("a", [1], ttl=60)
        value, record = cache.get_with_record("a")
        assert (value, record.name) == ([1], "a")
        assert record.expires.timestamp() == clock.now + 60
        with pytest.raises(KeyError, match="missing"):
            cache.get_with_record("missing")
        stats = cache.stats()
        assert (stats.hits, stats.misses) == (1, 1)
