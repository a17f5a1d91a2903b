"""APScheduler's own tests of job stores, from its source distribution."""

from __future__ import annotations

from pathlib import Path

import pytest
from foreign_suites import add_packages, fetched, outcome, told

# In place of the fixtures of its own stores.
FIXTURES = """
import os

@pytest.fixture(params=["store"])
def jobstore(request):
    from store.integrations.apscheduler import StoreJobStore
    store = StoreJobStore(os.environ["STORE_PLACE"])
    store.start(None, "store")
    store.remove_all_jobs()
    yield store
    store.shutdown()

@pytest.fixture
def persistent_jobstore(jobstore):
    return jobstore
"""


@pytest.mark.huge
def test_suite_of_apscheduler(place: str, tmp_path: Path) -> None:
    suite = fetched("apscheduler", "3.11.3", tmp_path)
    tests = suite / "tests" / "test_jobstores.py"
    tests.write_text(tests.read_text().replace("\n\n@pytest.fixture\ndef create_add_job", f"\n{FIXTURES}\n\n@pytest.fixture\ndef create_add_job"))
    add_packages(suite, "pytz")
    done = outcome(suite, place, "tests/test_jobstores.py", "-k", "store-" )
    assert (done.failed, done.skipped) == (set(), set()), done.output
    assert told("apscheduler") == (done.passed, 0)
