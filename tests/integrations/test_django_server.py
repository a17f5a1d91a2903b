"""`examples/django_project` behind gunicorn: several clients at once, killed workers, restarts."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

for library in ("django", "gunicorn"):
    pytest.importorskip(library, reason=f"{library} is missing: no server was tested with Django")

from django_shop import PASSWORD, PROJECT, SAMPLES, Browser, Shop  # noqa: E402

CLIENTS, ITEMS = 8, 10

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]


@pytest.fixture
def shop(tmp_path: Path, place: str) -> Iterator[Shop]:
    shop = Shop(tmp_path, SHOP_SESSIONS=place, SHOP_SECRET_KEY="of-the-tests")
    try:
        shop.manage("migrate", "--verbosity", "0")
        shop.add_user("ann")
        yield shop
    finally:
        shop.close()


def logged_in(shop: Shop) -> Browser:
    browser = Browser(shop)
    assert browser.ask("GET", "/")[0] == 200
    status, body = browser.ask("POST", "/login", user="ann", password=PASSWORD)
    assert (status, body) == (200, "welcome"), shop.log.read_text()
    return browser


def home(browser: Browser) -> dict[str, Any]:
    status, body = browser.ask("GET", "/")
    assert status == 200, browser.shop.log.read_text()
    found: dict[str, Any] = json.loads(body)
    return found


def fill_carts(browser: Browser, disturb: Callable[[], None], path: str = "/cart") -> set[str]:
    """Clients with one cookie add to its cart at once; `disturb` is called in the middle. The acknowledged items."""
    acknowledged: set[str] = set()
    barrier = threading.Barrier(CLIENTS + 1)
    half = threading.Event()

    def add(number: int) -> None:
        mine = browser.copy()
        barrier.wait(60)
        for count in range(ITEMS):
            item = f"item {number}.{count}"
            while item not in acknowledged:
                try:
                    status, _ = mine.ask("POST", path, item=item)
                except (OSError, http.client.HTTPException):
                    continue  # its worker was killed, perhaps after it stored the item
                if status == 200:
                    acknowledged.add(item)
            if len(acknowledged) >= CLIENTS * ITEMS // 2:
                half.set()

    threads = [threading.Thread(target=add, args=[number]) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    barrier.wait(60)
    assert half.wait(100)
    disturb()
    for thread in threads:
        thread.join(100)
    assert not any(thread.is_alive() for thread in threads)
    return acknowledged


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_nothing_acknowledged_is_lost(shop: Shop, worker: str) -> None:
    shop.start("--worker-class", worker)
    anonymous = Browser(shop)
    assert home(anonymous) == {"user": "", "cart": []}
    assert anonymous.ask("POST", "/cart", item="tea") == (200, "added")
    before = anonymous.cookies["sessionid"]
    assert anonymous.ask("POST", "/login", user="ann", password="wrong")[0] == 403
    assert anonymous.ask("POST", "/login", user="ann", password=PASSWORD) == (200, "welcome")
    assert anonymous.cookies["sessionid"] != before
    assert home(anonymous) == {"user": "ann", "cart": ["tea"]}

    acknowledged = fill_carts(anonymous, shop.kill_a_worker)
    assert len(acknowledged) == CLIENTS * ITEMS
    assert acknowledged <= set(home(anonymous)["cart"])

    shop.stop()
    shop.start("--worker-class", worker)
    assert acknowledged <= set(home(anonymous)["cart"])
    assert anonymous.ask("GET", "/bestsellers") == (200, '{"items": ["cups", "pot", "tea"]}')

    other, stale = logged_in(shop), anonymous.copy()
    assert anonymous.ask("POST", "/logout-everywhere") == (200, "logged out 2 times")
    assert [home(browser)["user"] for browser in (anonymous, other, stale)] == [""] * 3
    assert home(Browser(shop, {"sessionid": before})) == {"user": "", "cart": []}
    assert "Traceback" not in shop.log.read_text()


def test_gevent_patches_after_the_stores_were_opened(tmp_path: Path, place: str) -> None:
    """Without a database: Django's own connections do not stand this order."""
    pytest.importorskip("gevent", reason="gevent is missing: its workers were not tested")
    shop = Shop(tmp_path, SHOP_SESSIONS=place)
    try:
        shop.start("--worker-class", "gevent", application="django_plain", folder=SAMPLES)
        browser = Browser(shop)
        assert browser.ask("POST", "/cart", item="first") == (200, "added")
        acknowledged = fill_carts(browser, shop.kill_a_worker)
        found = home(browser)
        assert acknowledged | {"first"} <= set(found["cart"])
        assert found["sold"] >= CLIENTS * ITEMS + 1
        assert "Traceback" not in shop.log.read_text()
    finally:
        shop.close()


def test_coroutines_on_the_event_loops_of_workers(tmp_path: Path, place: str) -> None:
    pytest.importorskip("gunicorn.workers.gasgi", reason="this gunicorn has no ASGI: no event loop was tested")
    shop = Shop(tmp_path, SHOP_SESSIONS=place)
    try:
        shop.start("--worker-class", "asgi", application="django_plain:asgi", folder=SAMPLES)
        browser = Browser(shop)
        assert browser.ask("POST", "/async-cart", item="first") == (200, "added"), shop.log.read_text()
        acknowledged = fill_carts(browser, shop.kill_a_worker, "/async-cart")
        found = home(browser)
        assert acknowledged | {"first"} <= set(found["cart"])
        assert found["sold"] >= CLIENTS * ITEMS + 1
    finally:
        shop.close()


def test_project_checks_and_clears_sessions(shop: Shop) -> None:
    assert "no issues" in shop.manage("check")
    assert not (Path(shop.environment["SHOP_DATA"]) / "cache.db").exists()
    shop.start()
    logged_in(shop)
    shop.manage("clearsessions")
    shop.stop()
    assert "Traceback" not in shop.log.read_text()


IN_DJANGOS_OWN_TABLE = """
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
user = get_user_model().objects.get()
session = SessionStore()
session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
session["cart"] = ["tea"]
session.save()
print("key:" + session.session_key)
"""


def test_visitors_stay_logged_in_after_moving_over(shop: Shop, tmp_path: Path) -> None:
    key = shop.manage("shell", "-c", IN_DJANGOS_OWN_TABLE).strip().rpartition("key:")[2]
    (tmp_path / "secret").write_text(shop.environment["SHOP_SECRET_KEY"])
    command = ["import", "django-sessions", str(tmp_path / "users.sqlite3"), shop.environment["SHOP_SESSIONS"]]
    done = subprocess.run(
        [sys.executable, "-m", "store", *command, "--sessions", "--secret-key-file", str(tmp_path / "secret")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "imported 1\n"), done.stderr
    shop.start()
    browser = Browser(shop, {"sessionid": key})
    assert home(browser) == {"user": "ann", "cart": ["tea"]}
    assert browser.ask("POST", "/cart", item="cups") == (200, "added")
    assert home(browser) == {"user": "ann", "cart": ["tea", "cups"]}
    assert browser.ask("POST", "/logout") == (200, "bye")
    assert home(Browser(shop, {"sessionid": key})) == {"user": "", "cart": []}


def test_files_of_the_example_are_short() -> None:
    assert all(len(file.read_text().splitlines()) < 80 for file in PROJECT.rglob("*.py"))
