"""Moments in time as Django writes them to SQLite."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def moment_of(text: Any) -> float:
    """The Unix seconds of a `datetime` column. Without a time zone it is UTC, as with `USE_TZ = True`.

    Raises:
        ValueError: it is no such text.
    """
    if not isinstance(text, str):
        raise ValueError(f"its time is a {type(text).__name__}")
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
