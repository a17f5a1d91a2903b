"""The trials behind the README's table find what they say, on this store and on the standard library's."""

from __future__ import annotations

import pytest

from . import facts


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_KEY", "5" * 64)


@pytest.mark.damaged
def test_planted_pickle_is_run_by_shelve_and_not_by_this_store(tmp_path):
    for peer in ("store", "shelve"):
        (tmp_path / peer).mkdir()
    assert facts.planted("store", tmp_path / "store").startswith("does not run it")
    assert facts.planted("shelve", tmp_path / "shelve") == "runs it"


def test_order_is_that_of_insertion(tmp_path):
    assert facts.order("store", tmp_path) == "yes"
