"""The read cache against what was published: no read is older than a commit that had returned before it began."""

from __future__ import annotations

from pathlib import Path

import pytest
from stale_reads import prove

from store import Store


def check(path: Path, total: dict[str, int], reads: int, commits: int) -> None:
    print(total)
    assert total["stale"] == 0
    assert total["reads"] >= reads
    assert total["commits"] >= commits
    assert total["cached"] and total["checkpoints"]  # else this shows nothing
    with Store(path) as s:
        assert s["many0"] == s["many1"]
        assert s["foreign0"] == [commits // 4]


@pytest.mark.heavy
def test_no_read_is_stale_beside_all_kinds_of_writers(path, tmp_path):
    total = prove(path, tmp_path / "board", readers=1, reads=4000, commits=400)
    check(path, total, 4000, 400)


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_no_read_of_200_000_is_stale_during_20_000_commits(path, tmp_path):
    total = prove(path, tmp_path / "board", readers=2, reads=200_000, commits=20_000)
    check(path, total, 200_000, 20_000)
