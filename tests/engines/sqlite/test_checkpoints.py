"""When the length of the log is looked at, to fold it in."""

from __future__ import annotations

from pathlib import Path

import pytest

from store import Store
from store.engines.sqlite.engine.checkpoints import LOG_FRAMES, LOOKS


def test_length_of_the_log_is_looked_at_now_and_then(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(path) as s:
        s["a"] = 0  # the index is opened by the first write
        coherence = s.opened.engine.handle.engine.coherence
        asked, index = [], coherence.index
        monkeypatch.setattr(coherence, "index", lambda: (asked.append(1), index())[1])
        for number in range(LOG_FRAMES // 10):
            s["a"] = number
        assert 0 < len(asked) <= LOOKS // 10 + 1


@pytest.mark.parametrize("frames", [5, 100])
def test_log_is_folded_in_however_seldom_it_is_looked_at(
    path: Path, monkeypatch: pytest.MonkeyPatch, frames: int
) -> None:
    monkeypatch.setattr("store.engines.sqlite.engine.checkpoints.LOG_FRAMES", frames)
    with Store(path) as s:
        checkpoints = s.opened.engine.handle.engine.checkpoints
        folded, run = [], checkpoints.run
        monkeypatch.setattr(checkpoints, "run", lambda *args: (folded.append(1), run(*args))[1])
        for number in range(10 * frames):
            s["a"] = number
        assert 9 <= len(folded) <= 30
