"""A headless Chromium that tests drive with Selenium, in a folder of its own. It takes `selenium`."""

from __future__ import annotations

import os
import shutil
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from selenium import webdriver
from selenium.common.exceptions import JavascriptException, StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.support.ui import WebDriverWait

SECONDS = 120  # the most that a test waits for a page, which a machine with ten times its load may need
FLAGS = """
--headless=new --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update
--disable-sync --disable-dev-shm-usage --disable-extensions --disable-default-apps --no-default-browser-check
--no-proxy-server --disable-features=Translate,OptimizationHints,MediaRouter --mute-audio --hide-scrollbars
--force-device-scale-factor=1 --font-render-hinting=none
"""
TAB, ENTER = "\ue004", "\ue007"
Found = TypeVar("Found")


def missing() -> str | None:
    """The programs that are not installed here, None if all are."""
    lacking = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    what_to_do = "apt-get install chromium chromium-driver"
    return None if not lacking else f"{' and '.join(lacking)} not installed ({what_to_do}): nothing was tested in a browser"


class Browser:
    """One window. `driver` is Selenium's own."""

    def __init__(self, folder: Path) -> None:
        options = Options()
        options.binary_location = shutil.which("chromium") or ""
        for flag in [*FLAGS.split(), f"--user-data-dir={folder / 'profile'}"]:
            options.add_argument(flag)
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder), "TMPDIR": str(folder)}
        service = Service(shutil.which("chromedriver") or "", log_output=str(folder / "driver.log"), env={**os.environ, **home})
        self.driver = webdriver.Chrome(options, service)
        self.driver.set_page_load_timeout(SECONDS)
        self.driver.set_script_timeout(SECONDS)

    def close(self) -> None:
        self.driver.quit()

    def open(self, url: str) -> None:
        """Go to a page; what an earlier one has logged is forgotten."""
        self.driver.get(url)

    def run(self, script: str, *args: object) -> Any:
        """What a script returns. The policy of a page does not stop it, since the driver runs it."""
        return self.driver.execute_script(script, *args)

    def settle(self) -> None:
        """Waits until a page has been drawn twice, by when handlers of what is in it would have run."""
        done = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))"
        self.driver.execute_async_script(done)

    def wait(self, what: str, condition: Callable[[], Found | bool | None]) -> Found:
        """Waits until the condition holds, and gives what it gave. A page that was replaced meanwhile is asked again."""
        ignored = (StaleElementReferenceException, JavascriptException)
        found: Any = WebDriverWait(self.driver, SECONDS, 0.05, ignored).until(lambda _: condition(), f"no {what}")
        return found

    def console(self) -> list[str]:
        """What pages have logged since the last call: errors, and violations of a policy."""
        return [f"{entry['level']} {entry['source']}: {entry['message']}" for entry in self.driver.get_log("browser")]

    def size(self, width: int, height: int = 900) -> None:
        """The size of the page in CSS pixels; a window would not get as narrow."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def theme(self, name: str) -> None:
        """What a user prefers: `light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def scripts(self, on: bool) -> None:
        """Whether pages run scripts, as a user may decide."""
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not on})

    def press(self, *keys: str) -> None:
        """Types with the keyboard, where the focus is."""
        for key in keys:
            ActionChains(self.driver, duration=0).send_keys(key).perform()

    def field(self, label: str) -> Any:
        """The control with that label, as Selenium's element."""
        script = "return [...document.querySelectorAll('label')].find((it) => it.textContent.trim().startsWith(arguments[0]))?.control"
        found = self.run(script, label)
        assert found is not None, f"no field {label!r}: {self.run('return document.body.innerText')}"
        return found

    def write(self, label: str, text: str) -> None:
        """Puts a text into the field with that label, in place of what is there."""
        field = self.field(label)
        field.clear()
        field.send_keys(text)

    def follow(self, text: str) -> None:
        """Clicks the link or button whose text begins so, and waits until another page is there."""
        script = """
            const found = [...document.querySelectorAll('main a, main button')].find((it) => it.textContent.trim().startsWith(arguments[0]));
            if (found) { window.isLeft = true; found.click(); }
            return Boolean(found);
        """
        assert self.run(script, text), f"no {text!r} to click: {self.run('return document.body.innerText')}"
        self.wait(f"page after {text!r}", lambda: self.run("return !window.isLeft && document.readyState === 'complete'"))

    def text(self) -> str:
        """What the main part of the page says."""
        return str(self.run("return document.querySelector('main').innerText"))

    def picture(self) -> bytes:
        """What the window shows, as a PNG."""
        return b64decode(self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"])
