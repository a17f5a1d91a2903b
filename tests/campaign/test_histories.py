"""CI's share of the histories; and that the checker, and the recording, find what is wrong."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from store import Store
from store.opened import writing

from .histories import play
from .linearizable import CONFLICT, NEVER, Operation, Stored, is_linearizable, unexplained

HISTORIES = 120


@pytest.mark.heavy
@pytest.mark.orphans  # of a killed writer
def test_recorded_histories_are_linearizable(tmp_path: Path) -> None:
    found = play(Random(5), tmp_path, HISTORIES)
    assert found.failures == []
    assert found.trials == HISTORIES


def ops(*rows: tuple[Any, ...]) -> list[Operation]:
    """(kind, argument, result, called, returned), each by another thread."""
    return [
        Operation(str(i), kind, "a", argument, called, returned, result)
        for i, (kind, argument, result, called, returned) in enumerate(rows)
    ]


GOOD = {
    "nothing": ops(),
    "one after the other": ops(("set", 1, None, 0, 1), ("get", None, 1, 2, 3), ("delete", None, True, 4, 5), ("get", None, None, 6, 7)),
    "a read beside a write sees the new": ops(("set", 1, None, 0, 10), ("get", None, 1, 2, 3)),
    "or the old": ops(("set", 1, None, 0, 10), ("get", None, None, 2, 3)),
    "first the old, then the new": ops(("set", 1, None, 0, 10), ("get", None, None, 1, 2), ("get", None, 1, 3, 4)),
    "two writes in the other order": ops(("set", 1, None, 0, 10), ("set", 2, None, 1, 9), ("get", None, 1, 11, 12)),
    "two modifications, one after the other": ops(("modify", 1, 2, 0, 10), ("modify", 2, None, 0, 10), ("get", None, 1, 11, 12)),
    "a killed write that took effect": ops(("set", 1, None, 0, NEVER), ("get", None, 1, 50, 60)),
    "a killed write that did not": ops(("set", 1, None, 0, NEVER), ("get", None, None, 50, 60)),
    "a killed write that took effect late": ops(("set", 1, None, 0, NEVER), ("get", None, None, 2, 3), ("get", None, 1, 4, 5)),
    "one of two compare-and-sets": ops(("compare-and-set", (None, 1), 1, 0, 9), ("compare-and-set", (None, 2), CONFLICT, 0, 9), ("get", None, 1, 10, 11)),
    "revisions of a record made anew": ops(("put", 1, 1, 0, 1), ("put", 2, 2, 2, 3), ("pop", None, 2, 4, 5), ("put", 3, 1, 6, 7), ("look", None, (3, 1), 8, 9)),
    "a value that was there for others": ops(("setdefault", 1, 2, 0, 9), ("setdefault", 2, 2, 0, 9), ("edit", 3, 2, 10, 11)),
}  # fmt: skip

BAD = {
    "stale read": ops(("set", 1, None, 0, 1), ("set", 2, None, 2, 3), ("get", None, 1, 4, 5)),
    "a read goes back": ops(("set", 1, None, 0, 1), ("set", 2, None, 2, 20), ("get", None, 2, 3, 4), ("get", None, 1, 5, 6)),
    "lost update": ops(("set", 1, None, 0, 1), ("modify", 2, 1, 2, 9), ("modify", 3, 1, 2, 9)),
    "lost write": ops(("set", 1, None, 0, 1), ("get", None, None, 2, 3)),
    "resurrected delete": ops(("set", 1, None, 0, 1), ("delete", None, True, 2, 3), ("get", None, 1, 4, 5)),
    "deleted by two": ops(("set", 1, None, 0, 1), ("pop", None, 1, 2, 9), ("pop", None, 1, 2, 9)),
    "a value from nowhere": ops(("get", None, 7, 0, 1)),
    "both of two compare-and-sets": ops(("compare-and-set", (None, 1), 1, 0, 9), ("compare-and-set", (None, 2), 1, 0, 9)),
    "a conflict with nobody": ops(("set", 1, None, 0, 1), ("compare-and-set", (1, 2), CONFLICT, 2, 3)),
    "each its own default": ops(("setdefault", 1, 1, 0, 9), ("setdefault", 2, 2, 0, 9)),
    "a revision twice": ops(("put", 1, 1, 0, 1), ("put", 2, 1, 2, 3)),
    "a killed write seen, and gone": ops(("set", 1, None, 0, NEVER), ("get", None, 1, 2, 3), ("get", None, None, 4, 5)),
    "a killed write seen before it": ops(("get", None, 1, 0, 1), ("set", 1, None, 2, NEVER)),
    "two see two orders": ops(("set", 1, None, 0, 99), ("set", 2, None, 0, 99), ("get", None, 1, 1, 2), ("get", None, 2, 3, 4), ("get", None, 1, 5, 6)),
}  # fmt: skip


@pytest.mark.parametrize("history", GOOD.values(), ids=GOOD)
def test_good_history_is_accepted(history: list[Operation]) -> None:
    assert is_linearizable(history)


@pytest.mark.parametrize("history", BAD.values(), ids=BAD)
def test_bad_history_is_refused(history: list[Operation]) -> None:
    assert not is_linearizable(history)
    (text,) = unexplained(history)
    assert "'a'" in text and text.count("\n") == len(history)


def test_history_begins_with_the_state_that_is_given() -> None:
    assert is_linearizable(ops(("look", None, (7, 3), 0, 1)), Stored(7, 3))


def test_names_are_checked_each_by_itself() -> None:
    bad = [Operation("x", "get", "b", None, 0, 1, 5)]
    assert len(unexplained([*GOOD["one after the other"], *bad])) == 1


@pytest.mark.parametrize("seed", range(20))
def test_history_of_a_model_is_accepted_and_refused_with_one_result_changed(seed: int) -> None:
    """Concurrent operations that truly took effect in some order; then a read of a value that was never written."""
    from .linearizable import STEPS, State

    rng, state, history = Random(seed), None, []
    moments: list[int] = sorted(rng.randrange(10_000) for _ in range(60))
    state: State
    for number, moment in enumerate(moments):
        kind = rng.choice(list(STEPS))
        argument = (None, number) if kind == "compare-and-set" else number
        state, result = STEPS[kind](state, argument)
        span = moment - rng.randrange(300), moment + rng.randrange(300)
        history.append(Operation(str(number), kind, "a", argument, *span, result))
    assert is_linearizable(history)
    rng.choice([one for one in history if one.kind in ("modify", "pop", "get")]).result = -5
    assert not is_linearizable(history)


# -- stores with a fault


class Stale(Store):
    """Gives now and then what it gave before."""

    def get(self, name: str, default: Any = None, /) -> Any:
        seen = self.__dict__.setdefault("seen", {})
        if name in seen and len(seen) % 2:
            return seen[name]
        seen[name] = super().get(name, default)
        return seen[name]


class Unlocked(Store):
    """Reads, changes and writes back without keeping others out."""

    def modify(self, name: str, fn: Any, default: Any = None) -> Any:
        value = fn(self.get(name, default))
        self[name] = value
        return value


class Twice(Store):
    """Two may get what one of them deletes."""

    def pop(self, name: str, default: Any = None, /) -> Any:
        value = self.get(name, default)
        writing.delete(self.opened, name)
        return value


class Unchecked(Store):
    """Compares, and then sets."""

    def put(self, name: str, value: Any, *, if_version: Any = None, **options: Any) -> Any:
        if if_version is not None:
            with self.transaction():
                writing.check_version(self.opened, name, if_version, self.opened.clock())
        return super().put(name, value, **options)


@pytest.mark.heavy
@pytest.mark.orphans
@pytest.mark.parametrize("faulty", [Stale, Unlocked, Twice, Unchecked])
def test_fault_of_a_store_is_found(tmp_path: Path, faulty: type[Store]) -> None:
    rng = Random(7)
    for attempt in range(10):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        if play(rng, folder, 15, deaths=False, store_class=faulty).failures:
            return
    pytest.fail("150 histories showed nothing")
