"""Pages of this process have all the time that they need."""

from __future__ import annotations

import pytest
import unhurried


@pytest.fixture(autouse=True)
def enough_time(monkeypatch: pytest.MonkeyPatch) -> None:
    unhurried.begin(monkeypatch.setattr)
