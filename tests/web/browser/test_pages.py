"""Every page in a browser: what it runs, whether it can be read at each width in light and dark, and how far away it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import page_attacks
import pytest
from page_audit import LOOKS, faults_of, unreadable
from page_crawl import Kind, crawl, kind_of

if TYPE_CHECKING:
    from chromium import Browser

pytestmark = pytest.mark.heavy

READING = {"", "namespace", "record", "health"}  # the pages of a store that is only read
WRITING = {"set", "delete", "admit", "settings"}
NAMED = ("", "values", "altered", "classes", "settings")  # the namespaces whose own names are no attacks


def test_every_kind_of_value_is_shown_without_fault(browser: Browser, kinds: Any) -> None:
    def most(kind: Kind) -> int:
        return 100 if kind == Kind("record", "") else 2

    found: dict[str, list[str]] = {}
    for number, (_, url) in enumerate(crawl(browser, kinds.url, most)):
        found[url] = faults_of(browser, kinds.url) + unreadable(browser, LOOKS if number < 5 else LOOKS[number % 4 :: 4])
    assert {url.removeprefix(kinds.url): faults for url, faults in found.items() if faults} == {}
    assert {kind_of(kinds.url, url).path for url in found} >= READING
    assert sum("record?" in url for url in found) > 50


def test_attacks_in_a_store_leave_no_mark(browser: Browser, hostile: Any, trap: Any) -> None:
    attacks = [page_attacks.written(number, trap.address) for number in range(len(page_attacks.ATTACKS))]

    def most(kind: Kind) -> int:
        if kind.namespace in NAMED:
            return 8 if kind.path == "record" else 1
        return 1 if kind.path == "namespace" or kind.namespace in attacks[:3] else 0

    trap.hits()
    found: dict[str, list[str]] = {}
    shown = ""
    for kind, url in crawl(browser, hostile.url, most):
        found[url] = faults_of(browser, hostile.url)
        shown += browser.run("return document.body.textContent")
        if kind.namespace in NAMED:
            found[url] += unreadable(browser, LOOKS[len(found) % 4 :: 4])
    assert {url.removeprefix(hostile.url): faults for url, faults in found.items() if faults} == {}
    assert trap.hits() == []
    assert len(found) > 80 and {kind_of(hostile.url, url).path for url in found} >= READING | WRITING
    assert [attack for attack in attacks if attack.replace("\t", "\\t") not in shown.replace("\t", "\\t")] == []


def test_themes_differ(browser: Browser, kinds: Any) -> None:
    browser.open(kinds.url + "/")
    colour = "const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number); return r + g + b"
    assert browser.run(colour) > 3 * 200
    browser.theme("dark")
    assert browser.run(colour) < 3 * 60


def test_page_that_is_not_there_says_so(browser: Browser, kinds: Any) -> None:
    for path in ("nothing", "record?namespace=&name=nothing", "namespace?namespace=nothing"):
        browser.open(f"{kinds.url}/{path}")
        assert faults_of(browser, kinds.url, (200, 404)) + unreadable(browser) == []
        assert "no" in browser.run("return document.querySelector('main').textContent").lower()


def test_pages_read_the_same_without_scripts(browser: Browser, kinds: Any) -> None:
    browser.scripts(False)
    try:
        browser.open(f"{kinds.url}/namespace?namespace=carts")
        source = browser.driver.page_source
    finally:
        browser.scripts(True)
    assert 'class="scripted"' not in source and ">cart:0</a>" in source and "items" in source
