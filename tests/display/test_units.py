"""Sizes and ages as people read them."""

from datetime import UTC, datetime, timedelta

import pytest

from store.display.units import age_text, moment_text, size_text, span_text

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (10188, "9.9 KiB"), (10240, "10 KiB"),
        (1023 * 1024, "1.0 MiB"), (999 * 1024, "999 KiB"), (5 * 2**30, "5.0 GiB"), (2**60, "1048576 TiB"), (-5, "-5 B"),
        ("damaged", "damaged"),
    ],
)  # fmt: skip
def test_size_has_a_unit(size, shown):
    assert size_text(size) == shown
    assert size_text(size, exact=True) == str(size)


@pytest.mark.parametrize(
    ("seconds", "amount"),
    [
        (1, "1 s"), (59.4, "59 s"), (59.6, "1 min"), (180, "3 min"), (3540, "59 min"), (3599, "1 h"), (7200, "2 h"),
        (7199, "2 h"), (23 * 3600, "23 h"), (86399, "1 d"), (364 * 86400, "364 d"), (365 * 86400, "1 y"),
        (3650 * 86400, "10 y"),
    ],
)  # fmt: skip
def test_age_is_rounded_to_one_unit(seconds, amount):
    now = NOW.timestamp()
    assert age_text(NOW - timedelta(seconds=seconds), now) == f"{amount} ago"
    assert age_text(NOW + timedelta(seconds=seconds), now) == f"in {amount}"


def test_age_of_now_and_never():
    assert age_text(NOW + timedelta(seconds=0.4), NOW.timestamp()) == "now"
    assert age_text(None, 0) == "never"
    assert moment_text(None) == "never"
    assert moment_text(NOW.astimezone()) == "2026-01-02 03:04:05Z"
    assert age_text(datetime.max.replace(tzinfo=UTC), NOW.timestamp()) == "in 7979 y"


@pytest.mark.parametrize(
    "seconds, text",
    [(-5, "0s"), (0.5, "0s"), (1, "1s"), (59.9, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (86400 * 14, "14d")],
)
def test_span_of_time_by_its_largest_unit(seconds, text):
    assert span_text(seconds) == text
