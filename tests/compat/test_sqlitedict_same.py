"""Random programs give the same results on sqlitedict and on `store.compat.sqlitedict`, step by step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from store.compat import sqlitedict as here

STEPS = 150
KEYS = ["a", "b", "c", "7", 7, 1.5, "ü", "", "long " * 20, None]
TABLES = ["unnamed", "one", "ONE"]

Step = Callable[[Random, "Two"], Any]


class Two:
    """A table under test, and another object on the same table, which sees what is committed."""

    def __init__(self, lib: Any, path: Path, autocommit: bool) -> None:
        self.lib, self.path, self.autocommit = lib, str(path), autocommit
        self.open("unnamed", "c")

    def open(self, table: str, flag: str) -> None:
        self.db = self.lib.SqliteDict(self.path, table, flag=flag, autocommit=self.autocommit)
        self.other = self.lib.SqliteDict(self.path, table, autocommit=self.autocommit)

    def close(self) -> None:
        self.db.close()
        self.other.close()

    def reopen(self, table: str, flag: str) -> list[str]:
        self.close()
        self.open(table, flag)
        return list(self.lib.SqliteDict.get_tablenames(self.path))


def key(rng: Random) -> Any:
    return rng.choice(KEYS[:-1])


def value(rng: Random) -> Any:
    return rng.choice([rng.randrange(100), "text", [1, (2, None)], {"x": b"y"}, None, b"z" * 2000])


STEPS_BY_WEIGHT: list[tuple[int, Step]] = [
    (8, lambda rng, two: two.db.__setitem__(key(rng), value(rng))),
    (4, lambda rng, two: two.db.__delitem__(key(rng))),
    (3, lambda rng, two: two.db.update([(key(rng), value(rng)) for _ in range(rng.randrange(5))], last=value(rng))),
    (2, lambda rng, two: two.db.pop(key(rng), "none")),
    (2, lambda rng, two: two.db.popitem()),
    (2, lambda rng, two: two.db.setdefault(key(rng), value(rng))),
    (4, lambda rng, two: two.db.get(rng.choice(KEYS), "none")),
    (3, lambda rng, two: rng.choice(KEYS) in two.db),
    (3, lambda rng, two: two.db.commit(rng.random() < 0.8)),
    (1, lambda rng, two: two.db.clear()),
    (1, lambda rng, two: two.reopen(rng.choice(TABLES), rng.choice("cccw"))),
    (3, lambda rng, two: (list(two.other.items()), len(two.other))),
    (2, lambda rng, two: [two.db.pop(key, None) for key, number in two.db.items() if isinstance(number, int)]),
]


def outcome(step: Step, rng: Random, two: Two) -> Any:
    """What a step returns or raises, and the table after it."""
    try:
        result = step(rng, two)
    except KeyError as exc:
        result = ("KeyError", exc.args)
    return result, list(two.db.items()), len(two.db), bool(two.db)


@pytest.mark.parametrize("autocommit", [False, True], ids=["", "autocommit"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.slow
def test_random_program(seed: int, autocommit: bool, tmp_path: Path) -> None:
    theirs = pytest.importorskip("sqlitedict", reason="sqlitedict is not installed: nothing is compared with it")
    rng = Random(seed)
    both = [Two(lib, tmp_path / name, autocommit) for lib, name in ((theirs, "theirs.db"), (here, "here.db"))]
    for number in range(STEPS):
        (_, step), seed_of_step = rng.choices(STEPS_BY_WEIGHT, [weight for weight, _ in STEPS_BY_WEIGHT])[0], rng.random()
        expected, found = (outcome(step, Random(seed_of_step), two) for two in both)
        assert found == expected, f"step {number}"
    for two in both:
        two.close()
