"""The pages with the keyboard alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from chromium import Browser

pytestmark = pytest.mark.heavy

FOCUS = """
const it = document.activeElement, style = getComputedStyle(it), box = it.getBoundingClientRect();
const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
return {
  text: (it.textContent.trim() || it.getAttribute('aria-label') || it.name || '').replace(/\\s+/g, ' '), tag: it.tagName, id: it.id,
  type: it.type || '', seen: (outlined || style.boxShadow !== 'none') && box.right > 0 && box.bottom > 0 && box.top < innerHeight,
};
"""
MOST_TABS = 120


def tab_to(browser: Browser, wanted: Callable[[Any], bool]) -> Any:
    """Presses Tab until the focus is on what is wanted. On the way each thing with the focus shows that it has it."""
    from chromium import TAB

    for _ in range(MOST_TABS):
        browser.press(TAB)
        focus = browser.run(FOCUS)
        assert focus["seen"] or focus["tag"] == "BODY", focus
        if wanted(focus):
            return focus
    raise AssertionError("Tab does not lead there")


def test_record_is_found_by_keyboard(browser: Browser, kinds: Any) -> None:
    from chromium import ENTER

    browser.open(kinds.url + "/")
    tab_to(browser, lambda focus: focus["text"].startswith("carts"))
    browser.press(ENTER)
    browser.wait("page of the namespace", lambda: "namespace=carts" in browser.run("return location.search"))
    tab_to(browser, lambda focus: focus["text"] == "cart:1")
    browser.press(ENTER)
    browser.wait("page of the record", lambda: "name=cart" in browser.run("return location.search"))


def test_first_tab_skips_to_the_content(browser: Browser, kinds: Any) -> None:
    from chromium import ENTER, TAB

    browser.open(kinds.url + "/namespace?namespace=carts")
    browser.press(TAB)
    focus = browser.run(FOCUS)
    assert "Skip" in focus["text"] and focus["seen"]
    browser.press(ENTER, TAB)
    assert browser.run("return document.querySelector('main').contains(document.activeElement)")


def test_slash_searches(browser: Browser, kinds: Any) -> None:
    from chromium import ENTER

    browser.open(kinds.url + "/namespace?namespace=carts")
    browser.press("/")
    assert browser.run(FOCUS)["tag"] == "INPUT"
    browser.press("cart:7", ENTER)
    browser.wait("records of the prefix", lambda: "prefix=cart" in browser.run("return location.search"))
    names = browser.run("return [...document.querySelectorAll('main a')].map((it) => it.textContent.trim())")
    assert "cart:7" in names and "cart:70" in names and "cart:8" not in names


def test_folded_value_unfolds_by_keyboard(browser: Browser, kinds: Any) -> None:
    from chromium import ENTER

    browser.open(kinds.url + "/record?namespace=&name=deep")
    closed = "return document.querySelectorAll('details:not([open])').length"
    before = browser.run(closed)
    tab_to(browser, lambda focus: focus["tag"] == "SUMMARY" and browser.run("return !document.activeElement.parentElement.open"))
    browser.press(ENTER)
    browser.wait("unfolded part", lambda: browser.run(closed) < before)
