"""What is wrong with a page, as a browser shows it: what runs, what comes from elsewhere, what cannot be read or used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chromium import Browser

HERE = Path(__file__).parent
AUDIT = (HERE / "page_audit.js").read_text("utf-8")
LOOK = (HERE / "page_look.js").read_text("utf-8")
LOOKS = ((400, "light"), (1600, "light"), (1600, "dark"), (400, "dark"))

LINKS = "return [...document.querySelectorAll('a[href]')].map((it) => it.href.split('#')[0])"
STATUS = "return performance.getEntriesByType('navigation')[0].responseStatus"


def faults_of(browser: Browser, base: str, statuses: tuple[int, ...] = (200,)) -> list[str]:
    """What the page that is open runs, fetches, logs or lacks; `base` is what its addresses begin with."""
    browser.settle()
    status = browser.run(STATUS)
    found = [] if status in statuses else [f"its status is {status}"]
    logged = [line for line in browser.console() if status == 200 or f"status of {status}" not in line]
    return found + list(browser.run(AUDIT, base)) + logged


def unreadable(browser: Browser, looks: Sequence[tuple[int, str]] = LOOKS) -> list[str]:
    """What cannot be read of the page that is open, in each width and theme."""
    found = []
    for width, theme in looks:
        browser.size(width)
        browser.theme(theme)
        found += [f"{width} px, {theme}: {fault}" for fault in browser.run(LOOK)]
    return found


def links_of(browser: Browser, base: str) -> list[str]:
    """The pages that the open one leads to."""
    return list(dict.fromkeys(link for link in browser.run(LINKS) if link.startswith(base)))
