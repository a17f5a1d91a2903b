"""Pages have all the time that they need: on a busy machine a small value can take a second."""

from __future__ import annotations

from typing import Any

import pytest

from store.care.survey import survey
from store.web.look import PAGE_SECONDS, Budget
from store.web.pages import marks, overview, record, records
from store.web.values import bounds

LONG = 3600.0


@pytest.fixture(autouse=True)
def enough_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process alone; a server that a test starts has the limits that users meet. Tests of the limits set them."""
    longer(monkeypatch, Budget, PAGE_SECONDS)
    longer(monkeypatch, bounds.Bounds, bounds.SECONDS)
    monkeypatch.setitem(survey.__kwdefaults__, "seconds", LONG)
    for module in (records, marks):
        monkeypatch.setattr(module, "BOUNDS", module.BOUNDS._replace(seconds=LONG))
    monkeypatch.setattr(record, "_BESIDE", record._BESIDE._replace(seconds=LONG))
    monkeypatch.setattr(overview, "COUNT_SECONDS", LONG)


def longer(monkeypatch: pytest.MonkeyPatch, owner: Any, seconds: float) -> None:
    """The default of so many seconds is a long time."""
    defaults = owner.__init__.__defaults__
    assert defaults.count(seconds) == 1
    monkeypatch.setattr(owner.__init__, "__defaults__", tuple(LONG if one == seconds else one for one in defaults))
