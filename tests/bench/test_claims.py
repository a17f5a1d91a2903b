"""Every figure of speed that a page quotes stands in the committed report, and the check finds one that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import claims

ROOT = Path(__file__).parents[2]
REPORT = Path(__file__).with_name("report.md")
PAGES = sorted(
    str(page.relative_to(ROOT))
    for pattern in ("*.md", ".github/*.md", "store/**/*.md", "examples/**/*.md")
    for page in ROOT.glob(pattern)
    if page.name != "CHANGELOG.md"  # tells what an older version did
)


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_of_speed_is_in_the_report(page):
    quoted = claims.claims((ROOT / page).read_text("utf-8"))
    known = claims.figures(REPORT.read_text("utf-8"))
    assert [claim for claim in quoted if claim not in known] == []


@pytest.mark.parametrize("text, found", [
    ("A cached read takes 1.8 µs, a write 38 µs.", ["1.8 µs", "38 µs"]),
    ("0.95 × raw `sqlite3`; 3 times as fast, 12.5 times faster", ["0.95", "3", "12.5"]),
    ("11,304 writes/s, 400,000 reads a second and 20 operations per second", ["11,304", "400,000", "20"]),
    ("`timeout=5` waits 5 seconds; `ttl=3600`; 8 processes add 1, 100 times each; computed 4 times", []),
    ("version 1.2.3 of 2026-11-26, 256 MiB", []),
])  # fmt: skip
def test_claims_of_speed_are_found(text, found):
    assert claims.claims(text) == found


def test_figures_of_a_report_are_known_with_their_units():
    known = claims.figures("| **store** | 1.8 µs | 1.66 µs – 3.15 µs | 0.19 (0.13 – 0.31) | 11,304 (9,000 – 12,479) | + 62.4 ms |")
    assert {"1.8 µs", "0.19", "11,304", "62.4 ms"} <= known
    assert "1.8" not in known
    assert "304" not in known
