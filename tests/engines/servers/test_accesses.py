"""Notes of uses on a server: those of many processes come together, and a reader brings none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from store import Store
from store.engines.capabilities import Accesses, Figures

NAMES = [f"k{number}" for number in range(100)]


def accesses_of(s: Store[Any]) -> Accesses:
    found: Accesses = s.opened.engine.eviction.accesses("", 1000)  # type: ignore[union-attr]
    return found


@pytest.fixture
def accesses(s: Store[Any]) -> Iterator[Accesses]:
    found = accesses_of(s)
    yield found
    found.close()


def test_many_processes_note_the_same_names(s: Store[Any], accesses: Accesses, crowd: Callable[..., Any]) -> None:
    s.update(dict.fromkeys(NAMES, 0))
    program = """
        with Store(sys.argv[1]) as s:
            accesses = s.opened.engine.eviction.accesses("", 1000)
            for step in range(30):
                for number in range(100):
                    accesses.note(f"k{number * (1 if int(sys.argv[2]) % 2 else -1) % 100}")
                accesses.count(hits=1)
                accesses.flush()
            print(json.dumps(accesses.gathering.figures))
            accesses.close()
    """
    assert crowd(4, program, s.location) == [[0, 0, 0]] * 4, "all could be brought"
    assert accesses.figures() == Figures(120, 0, 0)
    assert all(use is not None and use.frequency > 5 for use in accesses.uses(NAMES))


def test_reader_notes_nothing(s: Store[Any], accesses: Accesses, url: str) -> None:
    s.update(a=1, b=2)
    accesses.count(hits=2)
    accesses.flush()
    with Store[Any](url, mode="r") as reader:
        of_reader: Any = accesses_of(reader)
        brought: list[Any] = []
        of_reader.gathering._carry = lambda *given: brought.append(given)
        of_reader.note("a")
        of_reader.count(hits=1)
        of_reader.reset()
        of_reader.flush()
        assert brought == []
        accesses.note("b")
        accesses.flush()
        assert [use is not None for use in of_reader.uses(["a", "b"])] == [False, True]
        assert accesses.figures() == Figures(2, 0, 0), "it has reset nothing"
        of_reader.close()
