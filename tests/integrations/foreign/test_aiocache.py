"""aiocache's own acceptance tests of caches, locks and decorators, from its source distribution."""

from __future__ import annotations

from pathlib import Path

import pytest
from foreign_suites import add_packages, fetched, outcome, told

# Its fixtures `memory_cache` and `cache` are ours then.
CONFTEST = """
import asyncio, os
import pytest
from aiocache import caches
from store.integrations.aiocache import StoreCache
from ..utils import KEY_LOCK, Keys

@pytest.fixture(autouse=True)
def reset_caches():
    caches._caches = {}
    caches.set_config({"default": {
        "cache": "store.integrations.aiocache.StoreCache", "location": os.environ["STORE_PLACE"],
        "serializer": {"class": "aiocache.serializers.NullSerializer"},
    }})

@pytest.fixture
async def memory_cache():
    async with StoreCache(os.environ["STORE_PLACE"], namespace="test") as cache:
        yield cache
        await cache.clear()

@pytest.fixture(params=["store"])
def cache(memory_cache):
    return memory_cache
"""
TESTS = ["test_base.py", "test_lock.py", "test_serializers.py"]

LEFT_OUT = {
    "test_set_get_types": "it asks for the very object that was set, which only the memory of one process has",
    "test_add_get_types": "as above",
    "test_multi_set_multi_get_types": "as above",
}
# It takes for granted that four reads are answered within 0.1 seconds.
HURRIED = "tests/acceptance/test_lock.py::TestRedLock::test_locking_dogpile[store]"


@pytest.mark.huge
def test_suite_of_aiocache(place: str, tmp_path: Path) -> None:
    suite = fetched("aiocache", "0.12.3", tmp_path)
    (suite / "aiocache").rename(tmp_path / "unused")  # the installed one is tested
    (suite / "tests" / "acceptance" / "conftest.py").write_text(CONFTEST)
    add_packages(suite, "pytest-asyncio", "pytest-mock", "marshmallow")
    done = outcome(
        suite, place, *(f"tests/acceptance/{name}" for name in TESTS), "-k", "not(memcached or redis or Memcached or RedisCache)",
        "--deselect", HURRIED,
        "-o", "asyncio_mode=auto", "-o", "markers=memcached\nredis",
    )  # fmt: skip
    assert (done.failed, done.skipped) == (set(LEFT_OUT), set()), done.output
    assert told("aiocache") == (done.passed, len(LEFT_OUT) + 1)
