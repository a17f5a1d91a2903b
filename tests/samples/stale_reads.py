"""Readers with a cache beside all kinds of writers: how many reads were older than a commit that had returned before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import published

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
