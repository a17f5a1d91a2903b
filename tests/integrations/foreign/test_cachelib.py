"""The tests of cachelib and of Flask-Caching, on `StoreCache`. Flask-Session ships none."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from foreign_suites import INTEGRATIONS, fetched, outcome

HERE = Path(__file__).parent

LEFT_OUT = {
    # of how many entries a SimpleCache has, by its attribute `_cache` or its argument `threshold`
    "test_threshold", "test_prune_old_entries", "test_threshold_zero_defaults_to_500",
    "test_concurrent_set_no_data_corruption",
    # it slows down the serializer that a cache of cachelib has
    "test_concurrent_inc_is_consistent", "test_concurrent_get_set_preserves_valid_shared_values",
}  # fmt: skip
LEFT_OUT_OF_CACHING = {
    # they name another backend themselves
    "test_dict_config", "test_dict_config_initapp", "test_dict_config_both", "test_app_custom_cache_backend",
    "test_cache_unlink_if_not", "test_cache_delete_many_ignored",
}  # fmt: skip
OF_REDIS = {
    # on a server that xprocess would start; skipped where none is installed
    "test_init_app_multi_apps", "test_app_redis_cache_backend_url_default_db", "test_cache_unlink",
    "test_app_redis_cache_backend_url_custom_db", "test_app_redis_cache_backend_url_explicit_db_arg",
}  # fmt: skip


def counts(suite: str) -> tuple[int, int]:
    """How many tests of a suite passed and were left out, by the table of the adapters."""
    page = (INTEGRATIONS / "README.md").read_text()
    found = re.search(rf"{re.escape(suite)}: (\d+) passed, (\d+) left out", page)
    assert found, f"store/integrations/README.md does not tell the figures of {suite}"
    return int(found[1]), int(found[2])


@pytest.mark.heavy
@pytest.mark.parametrize(
    "distribution, version, module, left_out",
    [
        ("cachelib", "0.17.0", "cachelib_on_store.py", LEFT_OUT),
        ("flask-caching", "2.5.1", "flask_caching_on_store.py", LEFT_OUT_OF_CACHING),
    ],
)
def test_suite_passes(
    place: str, tmp_path: Path, distribution: str, version: str, module: str, left_out: set[str]
) -> None:
    folder = fetched(distribution, version, tmp_path) / "tests"
    (folder / "xprocess.py").write_text("class ProcessStarter:\n    pass\n")  # it starts servers, and there are none
    shutil.copy(HERE / module, folder / "test_on_store.py")
    done = outcome(folder, place, "test_on_store.py")
    assert done.failed - OF_REDIS == left_out, done.output
    assert counts(f"{distribution} {version}") == (done.passed, len(done.failed) + len(done.skipped)), done.skipped
