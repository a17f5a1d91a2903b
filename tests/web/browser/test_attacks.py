"""The positive control: each attack works where a page shows it unescaped, and our policy alone stops it there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import page_attacks
import pytest

if TYPE_CHECKING:
    from chromium import Browser

pytestmark = pytest.mark.heavy

CLICK = "for (const it of document.querySelectorAll('a, button')) it.click()"


def marks(browser: Browser, trap: Any, number: int) -> list[int]:
    """The attacks that have left a mark."""
    found = browser.run("return typeof marker === 'undefined' ? null : marker")
    hits = {hit.partition("/")[0] for hit in trap.hits()}
    return [number] if found == number or str(number) in hits else []


def visited(browser: Browser, url: str, number: int) -> None:
    browser.console()
    browser.open(url)
    if page_attacks.ATTACKS[number].is_clicked:
        browser.run(CLICK)


def test_attacks_work_on_an_unescaped_page(browser: Browser, trap: Any) -> None:
    for number, attack in enumerate(page_attacks.ATTACKS):
        visited(browser, f"{trap.other}/unescaped/{number}", number)
        browser.wait(f"mark of {attack.name}", lambda number=number: marks(browser, trap, number))


def test_policy_alone_stops_attacks(browser: Browser, trap: Any) -> None:
    for number, attack in enumerate(page_attacks.ATTACKS):
        visited(browser, f"{trap.other}/policy/{number}", number)
        if attack.stops_at_policy:
            browser.wait(f"refusal of {attack.name}", lambda: [it for it in browser.console() if "Security Policy" in it])
            browser.settle()
            assert marks(browser, trap, number) == [], attack.name
        else:
            browser.wait(f"mark of {attack.name}", lambda number=number: marks(browser, trap, number))
