"""The browser, and the server that no page may reach: one of each for all tests."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import page_attacks
import pytest
import shown_stores
import trap_server
from store_web import Served, served, warm_up

if TYPE_CHECKING:
    from chromium import Browser


@pytest.fixture(scope="session")
def one_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    pytest.importorskip("selenium", reason="selenium is not installed: nothing was tested in a browser")
    import chromium
    from selenium.common.exceptions import WebDriverException

    if chromium.missing():
        pytest.skip(chromium.missing() or "")
    try:
        opened = chromium.Browser(tmp_path_factory.mktemp("browser"))
    except WebDriverException as exc:  # as in a container that forbids its sandbox
        pytest.skip(f"Chromium does not start here, so nothing was tested in a browser: {exc.msg}")
    yield opened
    opened.close()


@pytest.fixture
def browser(one_browser: Browser) -> Browser:
    """A wide light window on an empty page, with nothing logged."""
    one_browser.open("about:blank")
    one_browser.size(1600)
    one_browser.theme("light")
    one_browser.console()
    return one_browser


class Trap:
    """A server that pages must not reach."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.other = address.replace("127.0.0.1", "localhost")
        """The same by another name, for the pages that show attacks: their own origin is not a trap."""

    def hits(self) -> list[str]:
        """What it was asked for since the last call."""
        with urlopen(f"{self.address}/hits", timeout=30) as answer:
            found: list[str] = json.load(answer)
            return found


@pytest.fixture(scope="session")
def trap() -> Iterator[Trap]:
    assert trap_server.__file__ is not None
    command = [sys.executable, trap_server.__file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Trap(process.stdout.readline().strip())
        process.terminate()


def _needs(*libraries: str) -> None:
    """Skips a test where a library of the pages, or of the values in its store, is not installed."""
    for library in ("starlette", "uvicorn", *libraries):
        pytest.importorskip(library, reason=f"{library} is not installed: the pages of `store web` were not tested in a browser")


@pytest.fixture(scope="session")
def of_every_kind(one_browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store that is copied for those below: making it takes seconds."""
    _needs("numpy", "pandas", "msgpack", "yaml", "tomli_w")
    folder = tmp_path_factory.mktemp("kinds")
    shown_stores.make("kinds", folder / "shop.db")
    return folder


HOSTILE_FOLDER = page_attacks.written(page_attacks.NAMES.index("image that fails"), "")  # a folder's name is shown as well


@pytest.fixture(scope="session")
def kinds(of_every_kind: Path) -> Iterator[Served]:
    """Every kind of value, to be read."""
    copied = shutil.copytree(of_every_kind, of_every_kind.with_name("kinds-read"))
    with served(copied / "shop.db") as site:
        warm_up(site.url)
        yield site


@pytest.fixture(scope="session")
def writable(of_every_kind: Path) -> Iterator[Served]:
    """The same, in a store that its pages and the tests write to."""
    copied = shutil.copytree(of_every_kind, of_every_kind.with_name("kinds-written"))
    with served(copied / "shop.db", "--write", "--settings", "shown_stores:Preferences") as site:
        warm_up(site.url)
        yield site


@pytest.fixture(scope="session")
def hostile(one_browser: Browser, trap: Trap, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Attacks wherever a page shows text; with the pages that write, which are more."""
    _needs()
    folder = tmp_path_factory.mktemp("hostile") / HOSTILE_FOLDER
    folder.mkdir()
    shown_stores.make("hostile", folder / "shop.db", trap.address)
    with served(folder / "shop.db", "--write") as site:
        yield site


@pytest.fixture(scope="session")
def large(one_browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """100,000 records."""
    _needs()
    path = tmp_path_factory.mktemp("large") / "shop.db"
    shown_stores.make("large", path)
    with served(path) as site:
        yield site


@pytest.fixture(scope="session")
def shop(one_browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A store as a program might keep it, for pictures."""
    _needs("numpy", "pandas")
    path = tmp_path_factory.mktemp("shop") / "shop.db"
    shown_stores.make("shop", path)
    with served(path, "--write", "--settings", "shown_stores:Preferences") as site:
        warm_up(site.url)
        yield site
