"""Random records by their rank, from records that are only found by id."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from store.engines.ranks import INTERVAL, MANY, Block, Ranks


class Records:
    """Ids in order, which counts what is asked."""

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids = list(ids)
        self.steps = self.blocks = 0

    def bounds(self, after: int, step: int) -> list[int]:
        behind = self.ids[bisect_right(self.ids, after) :]
        self.steps += len(behind)
        return behind[step - 1 :: step]

    def tail(self, after: int, limit: int) -> tuple[int, int]:
        return min(limit, len(self.ids) - bisect_right(self.ids, after)), self.ids[-1] if self.ids else 0

    def read(self, blocks: Sequence[Block], number: int) -> list[tuple[int, int]]:
        self.blocks += len(blocks)
        found = []
        for after, until, passed in blocks:
            end = len(self.ids) if until is None else bisect_right(self.ids, until)
            first = bisect_right(self.ids, after) + passed
            found += self.ids[first : min(end, first + number)]
        return [(id_, id_) for id_ in found]


GAPS = [*range(1, 1_000_000, 5_000), *range(1_000_000, 1_001_000)]  # 200 old ones, and 1,000 without gaps


@pytest.mark.parametrize("number", [1, 16, MANY])
@pytest.mark.slow
def test_each_record_is_as_likely_as_any_other(number: int) -> None:
    records, ranks, random = Records(GAPS), Ranks(), Random(1)
    draws = 60_000 // number
    counted = Counter(id_ for _ in range(draws) for id_ in ranks.sample(records, number, random))
    expected = draws * number / len(GAPS)
    # Chi-squared with 1,199 degrees of freedom: more than 1,370 comes once in 2,500 times. Neighbours are drawn
    # together, so that a sample of MANY is worth an eighth of it.
    off = sum((counted[id_] - expected) ** 2 / expected for id_ in GAPS)
    assert off < 1_370 * (8 if number >= MANY else 1)
    old = sum(counted[id_] for id_ in GAPS[:200])
    assert abs(old - 200 * expected) < 0.1 * 200 * expected


def test_after_deletions_those_that_are_left_are_as_likely() -> None:
    records, ranks, random = Records(range(1, 4_001)), Ranks(), Random(2)
    ranks.sample(records, 16, random)
    records.ids = [id_ for id_ in records.ids if id_ > 2_000 or id_ % 10 == 0]
    counted = Counter(id_ for _ in range(2_000) for id_ in ranks.sample(records, 16, random))
    sparse = sum(times for id_, times in counted.items() if id_ <= 2_000)
    assert abs(sparse - 32_000 * 200 / 2_200) < 300


def test_new_ones_are_drawn_at_once() -> None:
    records, ranks, random = Records(range(1, 1_001)), Ranks(), Random(3)
    ranks.sample(records, 16, random)
    records.ids += range(1_001, 2_001)
    steps = records.steps
    counted = Counter(id_ > 1_000 for _ in range(500) for id_ in ranks.sample(records, 16, random))
    assert abs(counted[True] - 4_000) < 300
    assert records.steps - steps <= 1_000 + INTERVAL, "only the new ones are stepped over"


@pytest.mark.parametrize("count", [0, 1, INTERVAL - 1, INTERVAL, INTERVAL + 1, 3 * INTERVAL])
@pytest.mark.parametrize("number", [1, 7, MANY, 10_000])
def test_none_twice_and_all_if_there_are_no_more(count: int, number: int) -> None:
    records, random = Records(range(5, 5 + 3 * count, 3)), Random(4)
    found = Ranks().sample(records, number, random)
    assert len(set(found)) == len(found) == min(count, number)


def test_ids_that_are_used_again_are_drawn_again() -> None:
    records, ranks, random = Records(range(1, 3_001)), Ranks(), Random(5)
    for _ in range(50):
        ranks.sample(records, MANY, random)
    records.ids = []
    assert ranks.sample(records, 16, random) == []
    records.ids = list(range(1, 2_001))
    assert {id_ for _ in range(200) for id_ in ranks.sample(records, MANY, random)} == set(records.ids)


def test_ids_that_were_used_again_unseen_are_drawn_again_later() -> None:
    """Old bounds leave room for fewer records than are there now."""
    records, ranks, random = Records(range(1, 100_000, 50)), Ranks(), Random(6)
    ranks.sample(records, 16, random)
    records.ids = list(range(1, 20_001))
    found: set[int] = set()
    for _ in range(2_000):
        found.update(ranks.sample(records, MANY, random))
    assert len(found) > 19_900


@pytest.mark.slow
def test_index_of_ranks_is_made_anew_seldom() -> None:
    """A cache that evicts as much as it gets: each record is stepped over a few times."""
    records, ranks, random = Records(range(1, 5_001)), Ranks(), Random(7)
    for new in range(1_000):
        evicted = set(ranks.sample(records, 16 * 16, random)[:16])
        records.ids = [id_ for id_ in records.ids if id_ not in evicted]
        records.ids += range(5_001 + 16 * new, 5_001 + 16 * (new + 1))
    assert records.steps < 4 * 16_000 * 5, "for each of the 16,000 evictions, 20 steps of an index"
    assert records.blocks < 3 * 1_000 * 256 / 8


def test_most_were_deleted_by_others() -> None:
    records, ranks, random = Records(range(1, 100_001)), Ranks(), Random(8)
    ranks.sample(records, 16, random)
    records.ids = records.ids[::500]
    for _ in range(20):
        assert len(ranks.sample(records, 16, random)) == 16
    blocks = records.blocks
    ranks.sample(records, 16, random)
    assert records.blocks - blocks < 40, "what led nowhere was forgotten"
