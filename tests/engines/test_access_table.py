"""The table of notes on a plain buffer: who keeps its note, and what the numbers in it mean."""

from __future__ import annotations

import pytest

from store.engines import access_table
from store.engines.access_table import MIN_SLOTS, SLOT_BYTES, STRIPES, AccessTable, seed_of, size_for, slots_for
from store.engines.capabilities import Figures

NOW = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def buffer() -> bytearray:
    return bytearray(size_for(MIN_SLOTS))


def table_in(buffer: bytearray, clock: Clock, *, frequencies: bool = True, namespace: str = "") -> AccessTable:
    return AccessTable(buffer, namespace, clock, frequencies=frequencies)


def kept(table: AccessTable, names: list[str]) -> int:
    return sum(use is not None for use in table.uses(names))


@pytest.mark.parametrize("frequencies", [False, True])
def test_nearly_all_records_that_are_expected_have_room(clock: Clock, frequencies: bool) -> None:
    names = [f"user:{number}" for number in range(10_000)]
    table = table_in(bytearray(size_for(slots_for(len(names)))), clock, frequencies=frequencies)
    for name in names:
        table.note(name)
    assert kept(table, names) > 0.9 * len(names)


@pytest.mark.slow
def test_newest_ones_keep_their_notes(buffer: bytearray, clock: Clock) -> None:
    table = table_in(buffer, clock, frequencies=False)
    for number in range(100_000):
        clock.time += 0.1
        table.note(f"k{number}")
    names = [f"k{number}" for number in range(100_000 - 400, 100_000)]
    assert kept(table, names) > 370 and kept(table, [f"k{number}" for number in range(2_000)]) < 20


def test_frequent_ones_keep_theirs_where_others_come_once(buffer: bytearray, clock: Clock) -> None:
    table = table_in(buffer, clock)
    hot = [f"hot{number}" for number in range(50)]
    for step in range(100):
        for name in hot:
            clock.time += 0.1
            table.note(name)
        for number in range(300):
            table.note(f"cold{step} {number}")
    assert kept(table, hot) >= 48
    assert min(use.frequency for use in table.uses(hot) if use) > 5


def test_records_that_are_not_noted_are_seldom_taken_for_others(buffer: bytearray, clock: Clock) -> None:
    table = table_in(buffer, clock)
    for number in range(5_000):
        table.note(f"k{number}")
    assert kept(table, [f"other{number}" for number in range(5_000)]) == 0
    assert kept(table_in(buffer, clock, namespace="other"), [f"k{number}" for number in range(5_000)]) == 0
    assert seed_of("a") != seed_of("b")


def test_note_is_one_word(buffer: bytearray, clock: Clock) -> None:
    before = bytes(buffer)
    table_in(buffer, clock).note("a")
    changed = {number // SLOT_BYTES for number in range(len(buffer)) if buffer[number] != before[number]}
    assert len(changed) == 1


def test_frequency_counts_as_redis_does(buffer: bytearray, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 is added with the probability 1 / (10 (frequency - 5) + 1), and 1 taken for each minute that begins."""
    numbers: list[float] = []
    monkeypatch.setattr(access_table, "random", lambda: numbers.pop(0))
    table = table_in(buffer, clock)

    def frequency() -> int:
        (use,) = table.uses(["a"])
        assert use is not None
        return use.frequency

    table.note("a")
    assert frequency() == 5
    for number, expected in [(0.99, 6), (0.1, 6), (0.09, 7), (0.05, 7), (0.04, 8), (0.99, 8)]:
        numbers.append(number)
        table.note("a")
        assert frequency() == expected
    clock.time = NOW // 60 * 60 + 119  # a minute began
    assert frequency() == 7
    numbers.append(0.99)
    table.note("a")
    clock.time += 2
    assert frequency() == 6
    clock.time += 3_600
    numbers.append(0.99)
    table.note("a")
    assert frequency() == 1, "it had faded to 0"


def test_frequency_ends_at_255(buffer: bytearray, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_table, "random", lambda: 0.0)
    table = table_in(buffer, clock)
    for _ in range(300):
        table.note("a")
    (use,) = table.uses(["a"])
    assert use is not None and use.frequency == 255


@pytest.mark.parametrize("begin", [NOW, 2**32 / 16 * 7 - 5.0])
def test_time_goes_around(clock: Clock, buffer: bytearray, begin: float) -> None:
    """32 bits of sixteenths of a second repeat after 8.5 years: a time is the one that is nearest to now."""
    clock.time = begin
    table = table_in(buffer, clock)
    table.note("a")
    for later in (0.0625, 10.0, 3 * 365 * 86_400.0, -100.0):
        clock.time = begin + later
        (use,) = table.uses(["a"])
        assert use is not None and use.last == begin


def test_figures_of_processes_are_added(buffer: bytearray, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_in(buffer, clock)
    for stripe in range(STRIPES):
        monkeypatch.setattr(access_table, "_stripe", [stripe])
        table.count(hits=1, misses=2, evictions=2**40)
    assert table.figures() == Figures(STRIPES, 2 * STRIPES, 2**40 * STRIPES)
    table.reset()
    assert table.figures() == Figures(0, 0, 0)
    table.count(misses=7)
    assert table.figures() == Figures(0, 7, 0)
