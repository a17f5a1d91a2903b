"""The parties of a trial do the same for each peer, and notice a stale read, a lost write, and a process that fails."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from .load import COUNTER, OWN, SESSIONS, Load, stock, value
from .mixed import Shape
from .peers import KEPT, Kind, Peer
from .peers.raw import LABEL as RAW
from .peers.raw import Raw
from .peers.roster import kind_of
from .peers.store import LABEL as STORE
from .session import name, session
from .team import Done, Trial, Waits, lost, trial, waits_of, writers
from .worker import Party


class Ended(Exception):
    """The scripted peer has no answer left."""


class Scripted:
    """Answers reads with these counters, in turn; takes writes."""

    def __init__(self, counters: list[int]) -> None:
        self.counters, self.written = counters, []

    def get(self, name: str) -> dict[str, object]:
        if not self.counters:
            raise Ended
        return {COUNTER: self.counters.pop(0)}

    def set(self, name: str, value: dict[str, object]) -> None:
        self.written.append((name, value))


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("STORE_KEY", "5" * 64)


@pytest.mark.slow
def test_mixed_load_is_the_same_each_time():
    assert Load("mix", 1, 4, 10).steps() == Load("mix", 1, 4, 10).steps()
    assert Load("mix", 1, 4, 10).steps() != Load("mix", 2, 4, 10).steps()


@pytest.mark.parametrize("writes", [10, 1])
def test_mixed_load_is_skewed_and_has_the_share_of_writes(writes):
    steps = Load("mix", 0, 2, writes).steps()
    written = sum(base is not None for _, _, base in steps)
    assert written / len(steps) == pytest.approx(writes / 100, rel=0.1)
    popular = Counter(number for number, _, base in steps if base is None).most_common(SESSIONS // 100)
    assert sum(count for _, count in popular) > 0.4 * len(steps)  # a hundredth of the records has half of the reads


@pytest.mark.slow
def test_only_one_party_writes_a_record():
    own = [{number for number, _, base in Load("mix", party, 3, 50).steps() if base is not None} for party in range(3)]
    assert not (own[0] & own[1] or own[0] & own[2] or own[1] & own[2])
    loads, records = writers(3, readers=2)
    assert [len(processes) for processes in loads] == [1] * 5
    own = [{number for number, _, base in load.steps() if base is not None} for (load,) in loads]
    assert [len(numbers) for numbers in own] == [OWN, OWN, OWN, 0, 0]
    assert set().union(*own) == set(range(records))


def test_loads_of_a_shape_are_those_of_all_its_threads():
    loads = Shape(2, 3, 10).loads()
    assert [[load.number for load in threads] for threads in loads] == [[0, 1, 2], [3, 4, 5]]
    assert {load.parties for threads in loads for load in threads} == {6}


def work(steps: list[tuple[int, str, dict[str, object] | None]], counters: list[int]) -> tuple[Party, Scripted]:
    party, peer = Party(steps), Scripted(counters)
    with suppress(Ended):
        party.work(peer, 60)
    return party, peer


def test_read_that_goes_back_is_stale():
    party, _ = work([(1, "other", None)], [0, 3, 3, 2, 4])
    assert (party.stale, len(party.reads)) == (1, 5)


def test_read_behind_a_write_of_ones_own_is_stale():
    party, peer = work([(1, "own", session(1)), (1, "own", None)], [1, 1, 3])
    assert party.stale == 1
    assert [value[COUNTER] for _, value in peer.written] == [1, 2, 3, 4]
    assert party.answer()["acknowledged"] == [(1, 4)]


def test_write_that_raises_is_not_acknowledged():
    class Failing(Scripted):
        def set(self, name: str, value: dict[str, object]) -> None:
            raise Ended

    party = Party([(1, "own", session(1))])
    with suppress(Ended):
        party.work(Failing([]), 60)
    assert party.answer()["acknowledged"] == [(1, 0)]


def test_lost_writes_are_counted(tmp_path):
    kind = kind_of(RAW)
    peer: Peer = kind.open(tmp_path)
    peer.bulk(stock(5))
    peer.set(name(1), value(1, 7))
    peer.set(name(2), value(1, 7))  # of another record
    peer.close()
    assert lost(kind, tmp_path, {0: 0, 1: 7}) == 0
    assert lost(kind, tmp_path, {1: 6}) == 0  # written after the last one that returned
    assert lost(kind, tmp_path, {0: 1, 1: 8, 2: 7, 5: 1}) == 4
    assert lost(Kind("broken", KEPT, _failing), tmp_path, {0: 0}) is None


def _failing(folder: Path) -> Peer:
    raise OSError


@pytest.mark.parametrize("label, processes, threads", [(STORE, 2, 1), (STORE, 1, 2), (RAW, 1, 2)])
@pytest.mark.slow
def test_trial_of_processes_and_threads_loses_nothing(label, processes, threads):
    """How much a party does depends on the machine, but each does at least one operation."""
    found = trial(kind_of(label), Shape(processes, threads, 50).loads(), SESSIONS, 0.05)
    assert (found.errors, found.lost, found.stale, len(found.parties)) == ([], 0, 0, processes * threads)
    assert all(done.reads + done.writes and done.seconds for done in found.parties)
    written = sum(done.writes for done in found.parties)
    assert bool(found.kept) == bool(written) == bool(found.writes.longest)
    assert found.kept <= written
    assert found.reads.p50 <= found.reads.p99 <= found.reads.longest


def test_process_that_cannot_open_the_file_is_an_error():
    loads, records = writers(1)
    found = trial(Kind("nobody knows it", KEPT, Raw), loads, records, 0.01)
    assert (found.errors, found.kept, found.throughput) == (["cannot open it"], 0, 0.0)


def test_waits_are_percentiles_in_seconds():
    from array import array

    assert waits_of(array("q", [number * 1000 for number in range(1, 101)])) == Waits(50e-6, 99e-6, 100e-6, 100e-6)
    assert waits_of(array("q")) == Waits()


def test_trial_of_known_figures():
    found = Trial([Done(5, 10, 2.0), Done(0, 40, 2.0), Done(60, 0, 2.0)], Waits(), Waits())
    assert (found.throughput, found.written, found.read) == (57.5, 25.0, 32.5)
    assert found.fairness == 0.375  # the third one only reads
    nobody = Trial([Done(0, 0, 2.0), Done(0, 0, 0.0)], Waits(), Waits())
    assert (nobody.throughput, nobody.fairness) == (0.0, 0.0)
