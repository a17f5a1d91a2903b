"""Badges, moments and countdowns."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from markup import markup_of

from store.web.values import badge, countdown, moment

NOW = 1_700_000_000.0


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOW + seconds, UTC)


@pytest.mark.parametrize("name", ["own", "foreign", "refused", "tampered", "corrupt", "skipped"])
def test_badge_says_what_it_means(name: str) -> None:
    found = markup_of(badge(name))
    assert found.text == name and found.first("span")["class"] == f"badge badge-{name}"
    assert len(str(found.first("span")["title"])) > 20


def test_badge_that_there_is_not() -> None:
    with pytest.raises(KeyError):
        badge("fine")


@pytest.mark.parametrize(
    ("expires", "shown"), [(None, "never"), (at(-1), "expired"), (at(0), "expired"), (at(90), "in 2 min"), (at(7200), "in 2 h")]
)
def test_countdown(expires: datetime | None, shown: str) -> None:
    found = markup_of(countdown(expires, NOW))
    assert found.text == shown
    if expires is not None:
        time = found.first("time")
        assert time["data-expires"] == f"{expires.timestamp():.3f}" and time["datetime"] == expires.isoformat()


def test_moment_has_its_date() -> None:
    found = markup_of(moment(at(-180), NOW))
    assert found.text == "3 min ago" and found.first("time")["title"] == "2023-11-14 22:10:20Z"
