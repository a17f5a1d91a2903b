"""cachelib's own tests of a cache, on `StoreCache`: a module of its test folder."""

import os
from itertools import count

import pytest
import test_simple_cache

from store.integrations.cachelib import StoreCache

numbers = count()


@pytest.fixture(autouse=True)
def cache_factory(request):
    opened = []

    def factory(self, *args, **options):
        opened.append(StoreCache(os.environ["STORE_PLACE"], *args, namespace=f"cache {next(numbers)}", **options))
        return opened[-1]

    request.cls.cache_factory = factory
    yield
    for cache in opened:
        cache.close()


class TestAsSimpleCache(test_simple_cache.TestSimpleCache):
    pass
