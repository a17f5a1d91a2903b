"""dogpile.cache's own suites for a backend, a serializer and a mutex, which it ships for backends of others."""

from __future__ import annotations

from pathlib import Path

import pytest
from foreign_suites import outcome, require, told

SUITE = """
import os
from dogpile.cache import register_backend
from dogpile.cache.proxy import ProxyBackend
from dogpile.testing import fixtures

register_backend("store", "store.integrations.dogpile", "StoreBackend")
ARGUMENTS = {"location": os.environ["STORE_PLACE"], "distributed_lock": True}

class TestBackend(fixtures._GenericBackendTestSuite):
    backend = "store"
    config_args = {"arguments": ARGUMENTS, "wrap": [ProxyBackend]}

class TestSerializer(fixtures._GenericSerializerTestSuite, fixtures._GenericBackendFixture):
    backend = "store"
    config_args = {"arguments": ARGUMENTS}

class TestMutex(fixtures._GenericMutexTestSuite):
    backend = "store"
    config_args = {"arguments": ARGUMENTS}
"""


@pytest.mark.huge
def test_suites_of_dogpile(place: str, tmp_path: Path) -> None:
    require("dogpile.cache", "1.5.0")
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "test_store.py").write_text(SUITE)
    done = outcome(folder, place)
    assert (done.failed, done.skipped) == (set(), set()), done.output
    assert told("dogpile") == (done.passed, 0)
