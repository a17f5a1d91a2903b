"""When a process tries again while another one has the lock; counted, by a clock that only a sleep moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from store.errors import LockTimeout
from store.system import backoff, locking
from store.system.backoff import (
    ASK_AFTER_SECONDS,
    ASK_DELAY,
    AWAY_SECONDS,
    CHECK_SECONDS,
    FIRST_DELAY,
    LAST_DELAY,
    SPINS,
    SPUN_TURN,
    TURN,
    Backoff,
    Wait,
)
from store.system.locking import Hold, WriterLock, nothing

WRITE_SECONDS = 0.001


class Time:
    """A clock that stands still but for sleeps; each sleep, and each time that others run, may call `meanwhile`."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.yields = 0
        self.meanwhile: Callable[[], object] = nothing

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.meanwhile()

    def let_others_run(self) -> None:
        self.yields += 1
        self.meanwhile()


class Process:
    """A lock as another process has it: of its own, on the same file."""

    def __init__(self, path: Path, time: Time) -> None:
        self.time = time
        self.lock = WriterLock(str(path), clock=time, yield_processor=time.let_others_run)
        self.hold = Hold(bound=False)

    def take(self, timeout: float = 0.0) -> None:
        self.lock.acquire(self.hold, nothing, timeout)

    def give(self) -> None:
        self.lock.release(self.hold)

    def write_at_once(self) -> None:
        self.take()
        self.give()

    def write(self, times: int = 1) -> None:
        for _ in range(times):
            self.take(10.0)
            self.time.now += WRITE_SECONDS
            self.give()


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(locking, "time", time)
    return time


@pytest.fixture
def processes(tmp_path: Path, time: Time) -> Iterator[tuple[Process, Process]]:
    mine, other = Process(tmp_path / "app.db.lock", time), Process(tmp_path / "app.db.lock", time)
    yield mine, other
    for process in (mine, other):
        process.give()
        process.lock.close()


def pauses(wait: Wait, count: int) -> list[float]:
    """The next pauses, as long as no time goes by."""
    return [wait.next(0.0) for _ in range(count)]


def test_wait_spins_then_sleeps_twice_as_long_each_time():
    found = pauses(Backoff().begin(0.0), SPINS + 10)
    assert found[:SPINS] == [0.0] * SPINS
    assert found[SPINS:] == [min(FIRST_DELAY * 2**number, LAST_DELAY) for number in range(10)]
    assert found[-1] == LAST_DELAY


def test_longest_sleep_is_that_of_the_lock():
    assert max(pauses(Backoff(0.005).begin(0.0), 100)) == 0.005


def test_wait_asks_for_a_turn_after_a_while():
    wait = Backoff().begin(0.0)
    pauses(wait, SPINS + 3)
    wait.next(ASK_AFTER_SECONDS * 0.9)
    assert not wait.asks
    assert wait.next(ASK_AFTER_SECONDS) == ASK_DELAY < AWAY_SECONDS
    assert wait.asks


def test_process_that_took_it_many_times_in_a_row_sleeps_at_once():
    backoff = Backoff()
    backoff.in_a_row = TURN + 1
    assert backoff.begin(0.0).next(0.0) == FIRST_DELAY
    assert backoff.begin(0.0).next(0.0) == 0.0, "the turn is over: it counts from the beginning"


def test_process_that_spun_a_few_times_in_a_row_sleeps_at_once():
    backoff = Backoff()
    for _ in range(SPUN_TURN):
        wait = backoff.begin(0.0)
        assert pauses(wait, 2) == [0.0, 0.0]
        wait.end()
    wait = backoff.begin(0.0)
    assert wait.next(0.0) == FIRST_DELAY
    wait.end()
    assert backoff.begin(0.0).next(0.0) == 0.0


def sleep_after_turn(backoff: Backoff, sleeps: int) -> float:
    """The first sleep of a wait after a turn, which gets the lock after so many."""
    backoff.in_a_row = TURN + 1
    wait = backoff.begin(0.0)
    first = pauses(wait, sleeps)[0]
    wait.end()
    return first


def test_sleep_after_a_turn_is_longer_while_others_write_all_the_time():
    backoff = Backoff()
    busy = [sleep_after_turn(backoff, 2) for _ in range(10)]
    assert busy == [min(FIRST_DELAY * 2**number, LAST_DELAY) for number in range(10)]
    rare = [sleep_after_turn(backoff, 1) for _ in range(10)]
    assert rare == [max(LAST_DELAY / 2**number, FIRST_DELAY) for number in range(10)]


def test_lock_that_is_given_back_soon_is_had_by_spinning(processes, time):
    mine, other = processes
    other.take()
    time.meanwhile = lambda: time.yields == SPINS and other.give()
    mine.take(10.0)
    assert (time.yields, time.slept) == (SPINS, [])


def test_lock_that_is_kept_is_waited_for_by_sleeping(processes, time):
    mine, other = processes
    other.take()
    time.meanwhile = lambda: len(time.slept) == 4 and other.give()
    mine.take(10.0)
    assert time.yields == SPINS
    assert time.slept == [FIRST_DELAY * 2**number for number in range(4)]


def test_timeout_of_zero_neither_spins_nor_sleeps(processes, time):
    mine, other = processes
    other.take()
    with pytest.raises(LockTimeout):
        mine.take(0.0)
    assert (time.yields, time.slept) == (0, [])


@pytest.mark.parametrize("timeout", [0.00005, 0.01, 0.3, 2.0])
def test_deadline_is_exact(processes, time, timeout):
    mine, other = processes
    other.take()
    before = time.now
    with pytest.raises(LockTimeout, match=f"for {timeout:g} seconds"):
        mine.take(timeout)
    assert time.now - before == pytest.approx(timeout, abs=1e-9)
    assert time.yields == SPINS


def test_waiter_beside_a_long_holder_makes_a_bounded_number_of_attempts(processes, time):
    mine, other = processes
    other.take()
    with pytest.raises(LockTimeout):
        mine.take(2.0)
    assert time.yields == SPINS
    assert len(time.slept) <= 2.0 / ASK_DELAY


def write_until_away(process: Process, time: Time) -> int:
    """How often the process takes the lock until it stays away."""
    time.slept.clear()
    for number in range(100):
        process.write()
        if time.slept:
            return number
    raise AssertionError("it never stays away")


def test_process_that_writes_on_gives_way_to_one_that_asks(processes, time):
    mine, other = processes
    other.write(3)
    assert mine.lock.file is not None
    mine.write()  # opens the file
    mine.lock.file.request_turn()
    entered: list[float] = []

    def come_in() -> None:
        mine.take()
        entered.append(time.now)
        mine.give()

    time.meanwhile = come_in
    assert write_until_away(other, time) <= CHECK_SECONDS / WRITE_SECONDS + 1
    assert time.slept == [pytest.approx(AWAY_SECONDS)]
    assert len(entered) == 1, "the lock was free meanwhile"
    with pytest.raises(AssertionError, match="never"):
        write_until_away(other, time)  # the mark is seen once


def test_waiter_gets_in_after_a_bounded_number_of_writes(processes, time):
    """It tries while the other one has the lock, again and again; only staying away lets it in."""
    mine, other = processes
    other.take()
    writes = 0

    def write_on() -> None:
        """Between two attempts, the other process writes, and has the lock again."""
        nonlocal writes
        other.give()
        if other.lock._away_until is None:
            other.take()
            writes += 1

    time.meanwhile = write_on
    mine.take(100.0)
    assert mine.lock.is_kept_by(mine.hold)
    asked = time.slept.index(ASK_DELAY)
    assert writes <= SPINS + asked + CHECK_SECONDS / ASK_DELAY + 1


def test_marks_are_looked_for_now_and_then_only(processes, time, monkeypatch):
    mine, _ = processes
    mine.write()
    assert mine.lock.file is not None
    looks: list[float] = []
    monkeypatch.setattr(mine.lock.file, "take_request", lambda: looks.append(time.now))
    mine.write(100)
    assert len(looks) <= 100 * WRITE_SECONDS / CHECK_SECONDS + 1


def test_waiter_that_gives_up_asks_no_more(processes, time):
    mine, other = processes
    other.take()
    with pytest.raises(LockTimeout):
        mine.take(1.0)
    assert other.lock.file is not None
    assert not other.lock.file.take_request()
    other.give()


def test_timeout_of_zero_does_not_stay_away(processes, time):
    mine, _ = processes
    mine.lock.back_off(AWAY_SECONDS)
    mine.write_at_once()
    assert time.slept == [0]
    mine.write()
    assert time.slept == [0, pytest.approx(AWAY_SECONDS)]
    mine.write()
    assert len(time.slept) == 2, "it does so once"


def test_all_threads_of_a_process_stay_away(processes, time):
    mine, _ = processes
    mine.lock.back_off(AWAY_SECONDS)

    def other_thread() -> None:
        """In the middle of the first one's sleep, another thread comes."""
        time.meanwhile = nothing
        time.now -= AWAY_SECONDS / 2
        hold = Hold(bound=False)
        mine.lock.acquire(hold, nothing, 10.0)
        mine.lock.release(hold)

    time.meanwhile = other_thread
    mine.write()
    assert time.slept == [pytest.approx(AWAY_SECONDS), pytest.approx(AWAY_SECONDS / 2)]


def test_time_away_is_part_of_the_timeout(processes, time):
    mine, other = processes
    other.take()
    mine.lock.back_off(AWAY_SECONDS)
    before = time.now
    with pytest.raises(LockTimeout, match=r"for 0\.02 seconds"):
        mine.take(0.02)
    assert time.now - before == pytest.approx(0.02)


def test_child_of_a_fork_begins_anew(processes):
    mine, _ = processes
    mine.write(TURN + 1)
    mine.lock.back_off(AWAY_SECONDS)
    mine.lock.forget()
    assert mine.lock._away_until is None
    assert not mine.lock._backoff.had_turn()


def test_mark_does_not_disturb_the_line_of_a_waiter(processes):
    mine, _ = processes
    mine.take()
    mine.lock.say(b"1 /app.db.lock\n")
    assert mine.lock.file is not None
    mine.lock.file.request_turn()
    assert mine.lock.said().partition(b"\n")[0] == b"1 /app.db.lock"
    assert mine.lock.file.take_request()
    assert mine.lock.said().partition(b"\n")[0] == b"1 /app.db.lock"


def test_processor_is_yielded_to_others():
    assert backoff.yield_processor() is None
