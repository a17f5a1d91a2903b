"""requests-cache's own tests of storages and caches, from its source distribution, with its httpbin on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest
from foreign_suites import add_packages, fetched, outcome, told

SUITE = """
import os
from store.integrations.requests_cache import StoreBackend, StoreStorage
from tests.integration.base_cache_test import BaseCacheTest
from tests.integration.base_storage_test import BaseStorageTest

PLACE = os.environ["STORE_PLACE"]

class TestStoreStorage(BaseStorageTest):
    def storage_class(self, name, table, connection=None, **kwargs):
        return StoreStorage(PLACE, table, **kwargs)

class TestStoreBackend(BaseCacheTest):
    def backend_class(self, name, **kwargs):
        return StoreBackend(PLACE, **kwargs)
"""
PACKAGES = ["requests-mock", "pytest-httpbin", "httpbin", "brotlicffi", "decorator", "six", "flask", "werkzeug", "jinja2",
            "markupsafe", "itsdangerous", "blinker", "click", "cffi", "pycparser"]  # fmt: skip


@pytest.mark.huge
def test_suite_of_requests_cache(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = fetched("requests-cache", "1.3.3", tmp_path)
    (suite / "requests_cache").rename(tmp_path / "unused")  # the installed one is tested
    (suite / "tests" / "integration" / "test_store.py").write_text(SUITE)
    add_packages(suite, *PACKAGES)
    monkeypatch.setenv("USE_PYTEST_HTTPBIN", "true")
    done = outcome(suite, place, "tests/integration/test_store.py")
    assert (done.failed, done.skipped) == (set(), set()), done.output
    assert told("requests-cache") == (done.passed, 0)
