"""100,000 records: a page holds a few of them, however they are sorted and searched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from page_audit import faults_of

if TYPE_CHECKING:
    from chromium import Browser

pytestmark = pytest.mark.heavy

MOST_ROWS, MOST_ELEMENTS, MOST_BYTES = 100, 5_000, 500_000
WORK = """
const { decodedBodySize } = performance.getEntriesByType('navigation')[0];
return [document.querySelectorAll('main tbody tr').length, document.querySelectorAll('*').length, decodedBodySize];
"""
FIRST = "return document.querySelector('main tbody a').textContent.trim()"


def opened(browser: Browser, large: Any, query: str) -> str:
    """The name that stands first on a page of the listing, which is bounded."""
    browser.open(f"{large.url}/namespace?namespace={query}")
    return checked(browser, large)


def checked(browser: Browser, large: Any) -> str:
    assert faults_of(browser, large.url) == []
    rows, elements, size = browser.run(WORK)
    assert 0 < rows <= MOST_ROWS and elements <= MOST_ELEMENTS and size <= MOST_BYTES
    return str(browser.run(FIRST))


def test_listing_is_read_page_by_page(browser: Browser, large: Any) -> None:
    firsts = [opened(browser, large, "")]
    for _ in range(3):
        browser.open(browser.run("return document.querySelector('a[rel=next]').href"))
        firsts.append(checked(browser, large))
    assert firsts[0] == "item:000000" and firsts == sorted(set(firsts))


def test_listing_is_searched_and_sorted(browser: Browser, large: Any) -> None:
    assert opened(browser, large, "&prefix=item:0999") == "item:099900"
    assert opened(browser, large, "&reverse=1") == "item:099999"
    for sort in ("size", "modified", "expires"):
        assert opened(browser, large, f"&sort={sort}&reverse=1").startswith("item:")
    assert opened(browser, large, "&after=item:050000") == "item:050001"


def test_first_page_is_bounded(browser: Browser, large: Any) -> None:
    browser.open(large.url + "/")
    checked(browser, large)
    assert "100,000" in browser.run("return document.querySelector('main').textContent")
