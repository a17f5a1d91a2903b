"""Datasette's pages of a store of attacks, in a browser: Datasette sends no content-security-policy with its own."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import page_attacks
import pytest
import shown_stores
from datasette_server import datasette
from page_audit import faults_of, unreadable
from page_crawl import crawl

if TYPE_CHECKING:
    from chromium import Browser

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.damaged,
    pytest.mark.skipif(find_spec("datasette") is None, reason="Datasette is not installed: it was not tried in a browser"),
]
MARKER = "return window.marker ?? null"


def test_attacks_in_a_store_leave_no_mark(browser: Browser, trap: Any, tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    shown_stores.make("hostile", path, trap.address)
    trap.hits()
    with datasette(path, key=shown_stores.OWN) as url:
        shown = ""
        for page in ["/shop/records?_size=max", "/shop/records/1", "/shop/records?_sort=name", "/shop"]:
            browser.open(url + page)
            browser.settle()
            assert browser.run(MARKER) is None, page
            shown += browser.run("return document.body.textContent")
        assert trap.hits() == []
        assert {word for word in ("foreign", "tampered") if word not in shown} == set()
        lacking = [attack.name for number, attack in enumerate(page_attacks.ATTACKS)
                   if page_attacks.written(number, trap.address).split("\t")[0][:40] not in shown]  # fmt: skip
        assert lacking == []
        found = {}
        for _, address in crawl(browser, f"{url}/-/store/shop", lambda kind: kind.namespace in ("", "altered")):
            found[address] = faults_of(browser, url)
        assert {address: faults for address, faults in found.items() if faults} == {}
    assert trap.hits() == []


def test_pages_below_datasette_can_be_read(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    shown_stores.make("kinds", path)
    with datasette(path, key=shown_stores.OWN) as url:
        found = {}
        for _, address in crawl(browser, f"{url}/-/store/shop", lambda kind: 1, clicks=1):
            found[address] = faults_of(browser, url)
        assert {address: faults for address, faults in found.items() if faults} == {}
        browser.open(f"{url}/-/store/shop/")
        assert unreadable(browser) == []
        browser.open(f"{url}/shop/records?_size=max")
        styled = "return getComputedStyle(document.querySelector('.store-cell .badge')).borderRadius"
        assert browser.run(styled) == "999px"
        assert browser.run("return document.querySelectorAll('.store-cell svg').length") > 3
        assert browser.run("return document.querySelectorAll('.store-cell img').length") == 1
