"""The pictures of the pages in `screenshots/`, which pages of this project show. `--screenshots` makes them anew."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from page_audit import LOOKS

if TYPE_CHECKING:
    from chromium import Browser

PICTURES = Path(__file__).parent / "screenshots"
PAGES = {
    "overview": "",
    "records": "namespace?namespace=",
    "record": "record?namespace=&name=footfall",
    "refused": "record?namespace=&name=partner/order",
    "settings": "settings?namespace=settings",
}
NAMES = [f"{page}-{width}-{theme}.png" for page in PAGES for width, theme in LOOKS]
HEIGHTS = {400: 800, 1600: 740}
MOST_BYTES = 150_000  # of each: the README shows one


def size_of(picture: bytes) -> tuple[int, int]:
    """The width and height of a PNG (https://www.w3.org/TR/png/#11IHDR)."""
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", picture[16:24])


def test_every_picture_is_there() -> None:
    assert sorted(file.name for file in PICTURES.iterdir()) == sorted(NAMES)
    for name in NAMES:
        picture = (PICTURES / name).read_bytes()
        assert str(size_of(picture)[0]) == name.split("-")[1] and len(picture) <= MOST_BYTES, name


@pytest.mark.heavy
@pytest.mark.parametrize("page", PAGES)
def test_picture_is_taken(browser: Browser, shop: Any, page: str, request: pytest.FixtureRequest) -> None:
    browser.open(f"{shop.url}/{PAGES[page]}")
    for width, theme in LOOKS:
        browser.size(width, HEIGHTS[width])
        browser.theme(theme)
        browser.settle()
        picture = browser.picture()
        assert size_of(picture) == (width, HEIGHTS[width])
        if request.config.getoption("--screenshots"):
            PICTURES.mkdir(exist_ok=True)
            (PICTURES / f"{page}-{width}-{theme}.png").write_bytes(picture)
