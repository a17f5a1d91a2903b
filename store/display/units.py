"""Sizes and times in units: `1.5 KiB`, `3 min ago`, `in 2 h`, `45s`; and times that people type."""

from __future__ import annotations

import math
from datetime import UTC, datetime

_SIZES = ("KiB", "MiB", "GiB", "TiB")
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_STEPS = ((60, "s"), (60, "min"), (24, "h"), (365, "d"))  # how many make one of the next, and the unit's name


def size_text(size: object, *, exact: bool = False) -> str:
    """A size in bytes with its unit; with `exact`, or if it is no number (in a damaged file), as it is."""
    if exact or not isinstance(size, int):
        return str(size)
    if abs(size) < 1024:
        return f"{size} B"
    amount = float(size)
    for unit in _SIZES:
        amount /= 1024
        if abs(amount) < 999.5 or unit == _SIZES[-1]:
            break
    return f"{amount:.1f} {unit}" if abs(amount) < 9.95 else f"{amount:.0f} {unit}"


def age_text(moment: datetime | None, now: float) -> str:
    """The time since a moment or until it, rounded to one unit; "never" for None."""
    if moment is None:
        return "never"
    seconds = moment.timestamp() - now
    amount = _rounded(abs(seconds))
    if amount.startswith("0 "):
        return "now"
    return f"in {amount}" if seconds > 0 else f"{amount} ago"


def moment_text(moment: datetime | None) -> str:
    """A moment in UTC, to the second; "never" for None."""
    return "never" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def span_text(seconds: float) -> str:
    """A span of time, rounded down to its largest unit: "45s", "12m", "3h", "14d"."""
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return "0s"


def seconds_of(text: str, *, or_zero: bool = False) -> float:
    """The seconds of a time that a person typed: `90`, `0.5`, `30m`, `2h`, `7d`, `1w`.

    This is the only place that reads a number which may be infinite or nan.

    Raises:
        ValueError: it is no finite time above 0 (with `or_zero`, from 0 up).
    """
    unit = _UNIT_SECONDS.get(text[-1:], 0)
    try:
        amount = float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time: a number of seconds, or such as 30m, 2h, 7d") from None
    if not (amount >= 0 if or_zero else amount > 0) or amount == math.inf:
        least = "from 0 up" if or_zero else "above 0"
        raise ValueError(f"{text!r} is no finite time {least}: a number of seconds, or such as 30m, 2h, 7d")
    return amount


def _rounded(amount: float) -> str:
    for many, unit in _STEPS:
        if round(amount) < many:
            return f"{round(amount)} {unit}"
        amount /= many
    return f"{round(amount)} y"
