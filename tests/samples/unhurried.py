"""Pages have all the time that they need: on a busy machine a small value can take a second. Tests of the limits set them.

In a process of its own: `python -c "import unhurried; unhurried.begin(); …"`.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

LONG = 3600.0  # seconds


def begin(setattr: Callable[[Any, str, Any], object] = builtins.setattr) -> None:
    """From now on, or as long as a `monkeypatch.setattr` holds."""
    from store.care.survey import survey
    from store.web.look import PAGE_SECONDS, Budget
    from store.web.pages import marks, overview, record, records
    from store.web.values import bounds

    for function, seconds in ((Budget.__init__, PAGE_SECONDS), (bounds.Bounds.__init__, bounds.SECONDS)):
        defaults = function.__defaults__
        assert defaults.count(seconds) == 1
        setattr(function, "__defaults__", tuple(LONG if one == seconds else one for one in defaults))
    setattr(survey, "__kwdefaults__", {**survey.__kwdefaults__, "seconds": LONG})
    for module in (records, marks):
        setattr(module, "BOUNDS", module.BOUNDS._replace(seconds=LONG))
    setattr(record, "_BESIDE", record._BESIDE._replace(seconds=LONG))
    setattr(overview, "COUNT_SECONDS", LONG)
