"""The read cache against what was published: no read is older than a commit that had returned before it began."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import published
import pytest

from store import Store

TIMEOUT = 500.0  # seconds; the quick share takes a few


def prove(path: Path, board: Path, *, readers: int, reads: int, commits: int) -> dict[str, int]:
    """Let all take part at once; the sum of what they report."""
    published.Board.make(board)
    published.prepare(str(path), commits // 4)
    writers = [("write", commits // 2), ("foreign", commits // 4), ("utils", commits // 4)]
    others = [("read", reads // readers)] * readers
    processes = [_started(role, path, board, rounds) for role, rounds in (*others, *writers)]
    try:
        reports = [_report(process) for process in processes[len(others) :]]
        published.Board(str(board))[published.STOP] = 1
        reports += [_report(process) for process in processes[: len(others)]]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return {key: sum(report.get(key, 0) for report in reports) for key in (*reports[0], "checkpoints")}


def _started(role: str, path: Path, board: Path, rounds: int) -> subprocess.Popen[str]:
    command = [sys.executable, published.__file__, role, str(path), str(board), str(rounds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _report(process: subprocess.Popen[str]) -> dict[str, int]:
    output, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
    report: dict[str, int] = json.loads(output)
    return report


def check(path: Path, total: dict[str, int], reads: int, commits: int) -> None:
    print(total)
    assert total["stale"] == 0
    assert total["reads"] >= reads
    assert total["commits"] >= commits
    assert total["cached"] and total["checkpoints"]  # else this shows nothing
    with Store(path) as s:
        assert s["many0"] == s["many1"]
        assert s["foreign0"] == [commits // 4]


def test_no_read_is_stale_beside_all_kinds_of_writers(path, tmp_path):
    total = prove(path, tmp_path / "board", readers=1, reads=4000, commits=400)
    check(path, total, 4000, 400)


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("readers", [2, 4])
def test_no_read_of_200_000_is_stale_during_20_000_commits(path, tmp_path, readers):
    total = prove(path, tmp_path / "board", readers=readers, reads=200_000, commits=20_000)
    check(path, total, 200_000, 20_000)
