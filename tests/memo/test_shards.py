"""`memo(…, shards=N)`: each result is in the shard of its name, with its exception; the number is checked."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from children import Crowd

from store import Store
from store.errors import ShardsMismatch
from store.memo import memo

ran: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


def root(x: int) -> float:
    ran.append(x)
    if x < 0:
        raise ValueError(x)
    return x**0.5


def test_results_are_spread_and_found_again(location: str) -> None:
    with Store[Any](location) as s:
        f = memo(s, shards=4)(root)
        for _ in range(2):
            assert [f(x) for x in range(40)] == [x**0.5 for x in range(40)]
        assert len(ran) == 40
        assert f.cache_info().stored == 40
        assert s.namespaces() == ["#shards", *(f"memo[4.{index}]" for index in range(4))]
        assert (f.forget(3), f.forget(3), f.cache_info().stored) == (True, False, 39)
        assert f.forget_all() == 39
        assert f.cache_info().stored == 0


def test_exception_is_in_the_shard_of_the_result(location: str) -> None:
    with Store[Any](location) as s:
        f = memo(s, shards=4, exceptions=ValueError)(root)
        for _ in range(2):
            for x in range(-10, 10):
                if x < 0:
                    with pytest.raises(ValueError):
                        f(x)
                else:
                    f(x)
        assert len(ran) == 20
        assert f.forget(-1) is True


def test_path_is_opened_once_and_asked_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from store.memo import sources

    asked: list[Any] = []
    agree = sources.agree
    monkeypatch.setattr(sources, "agree", lambda *args: asked.append(args[1:]) or agree(*args))
    f = memo(path, shards=2)(root)
    for x in range(10):
        f(x)
    f.close()
    f(1)
    f.close()
    assert asked == [("memo", 2, "memo")] * 2
    assert len(ran) == 10


@pytest.mark.parametrize("shards", [1, 3])
def test_another_number_is_an_error_of_the_call(place: str, shards: int) -> None:
    f = memo(place, shards=2)(root)
    f(4)
    f.close()
    g = memo(place, shards=shards)(root)
    for call in (lambda: g(4), lambda: g.forget(4), g.forget_all, g.cache_info):
        with pytest.raises(ShardsMismatch, match="open it with shards=2"):
            call()
    g.close()
    assert ran == [4]


def test_number_is_checked_at_once() -> None:
    for wrong in (0, "2", 2000):
        with pytest.raises((TypeError, ValueError), match="shards is a"):
            memo("app.db", shards=wrong)  # type: ignore[arg-type]


def test_source_is_pickled_without_the_store_that_it_opened(path: Path) -> None:
    f = memo(path, shards=2)(root)
    f(1)
    source = pickle.loads(pickle.dumps(f._records.source))
    with source.open("a name") as part:
        assert part.namespace.startswith("memo[2.")
    f.close()


COMPUTES = """
from store.memo import memo
@memo(sys.argv[1], shards=3, source=False, name="slow")
def slow(x):
    with open(sys.argv[2], "a") as lines:
        lines.write(f"{x}\\n")
    return x
print(json.dumps([slow(x) for x in range(8)]))
slow.close()
"""


@pytest.mark.heavy
def test_each_result_is_computed_once_by_many_processes(place: str, tmp_path: Path, crowd: Crowd) -> None:
    lines = tmp_path / "computed"
    assert crowd(6, COMPUTES, place, lines) == [list(range(8))] * 6
    assert sorted(map(int, lines.read_text().split())) == list(range(8))
