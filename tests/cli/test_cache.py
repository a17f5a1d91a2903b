"""`store cache`: right and wrong use."""

import json
import re

import pytest

from store.cache import Cache


@pytest.fixture
def filled_cache(place):
    with Cache(place) as c:
        c.set_many({f"n{number}": number for number in range(20)}, tag="numbers")
        c["a"] = "x" * 1000
        c.get("a"), c.get("a"), c.get("a"), c.get("missing")
    return place


def test_stats(run, filled_cache):
    code, out, err = run("cache", "stats", filled_cache)
    facts = dict(re.split(r"  +", line.strip(), maxsplit=1) for line in out.splitlines())
    assert (code, err) == (0, "")
    assert {key: facts[key] for key in ("hits", "misses", "evictions", "records", "hit rate")} == {
        "hits": "3", "misses": "1", "evictions": "0", "records": "21", "hit rate": "75.0%",
    }  # fmt: skip
    assert {"bytes", "log bytes", "free bytes"} < {*facts}


def test_stats_json(run, filled_cache):
    found = json.loads(run("cache", "stats", filled_cache, "--json").out)
    assert list(found) == [
        "hits", "misses", "evictions", "records", "bytes", "log_bytes", "free_bytes", "hit_rate",
    ]  # fmt: skip
    assert (found["hits"], found["misses"], found["records"], found["hit_rate"]) == (3, 1, 21, 0.75)
    empty = json.loads(run("cache", "stats", filled_cache, "--namespace", "other", "--json").out)
    assert empty["records"] == 0


def test_evict(run, filled_cache):
    assert run("cache", "evict", filled_cache, "numbers") == (0, "deleted 20\n", "")
    assert run("cache", "evict", filled_cache, "numbers") == (0, "deleted 0\n", "")
    with Cache(filled_cache) as c:
        assert list(c) == ["a"]


def test_cull(run, filled_cache):
    assert run("cache", "cull", filled_cache) == (0, "deleted 0\n", "")
    assert run("cache", "cull", filled_cache, "--max-records", "5", "--policy", "fifo") == (0, "deleted 16\n", "")
    with Cache(filled_cache) as c:
        assert list(c) == ["n16", "n17", "n18", "n19", "a"]


def test_clear(run, filled_cache):
    assert run("cache", "clear", filled_cache) == (0, "deleted 21\n", "")
    with Cache(filled_cache) as c:
        assert not c


def test_stats_of_no_hits(run, place):
    Cache(place).close()
    assert run("cache", "stats", place).out.splitlines()[-1].split() == ["hit", "rate", "-"]


WRONG = [
    ("cache stats NOTHING", 1, "there is no store"),
    ("cache evict NOTHING users", 1, "there is no store"),
    ("cache cull NOTHING", 1, "there is no store"),
    ("cache clear NOTHING", 1, "there is no store"),
]


@pytest.mark.parametrize("line, code, says", WRONG)
def test_wrong_use(fails, tmp_path, line, code, says):
    fails(code, says, *(str(tmp_path / "none.db") if word == "NOTHING" else word for word in line.split()))


def test_bounds_that_can_never_hold(fails, filled_cache):
    fails(2, "max_records is a number from 1 up", "cache", "cull", filled_cache, "--max-records", "0")
    fails(2, "is not a valid integer", "cache", "cull", filled_cache, "--max-bytes", "many")
