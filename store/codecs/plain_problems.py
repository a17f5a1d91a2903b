"""What text formats lose of a str or of a datetime: the message for it, or None where nothing is lost."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone


def no_surrogates(value: str) -> str | None:
    """Text has to go through UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return "a surrogate that stands alone has no UTF-8"
    return None


def fixed_offset(value: datetime) -> str | None:
    """A moment has an offset of whole minutes, or none, and that is all."""
    zone = value.tzinfo
    if value.fold:
        return "it has no fold"
    if zone is None:
        return None
    if type(zone) is not timezone:
        return f"it keeps the offset of a time zone and not its rules, here {type(zone).__qualname__}"
    offset = zone.utcoffset(None)
    if offset % timedelta(minutes=1):
        return "its offsets are whole minutes"
    return None if zone.tzname(None) == timezone(offset).tzname(None) else "its time zones have no names"
