"""Pages of a store whose file was replaced: a reader does not notice, so each page says it."""

from __future__ import annotations

import os
from pathlib import Path

from store import Store
from store.web.links import Links
from store.web.pages.layout import document
from store.web.place import place_of
from store.web.routing import page_of
from store.web.site import Site


def test_pages_say_that_the_file_was_deleted_or_replaced(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with Store(path) as s:
        s["a"] = 1
        site = Site(s, Links("/token"), place=place_of(s.location))

        def shown() -> str:
            return document(site, page_of(site, "namespace", {"namespace": ""}))

        assert "after these pages were started" not in shown()
        os.rename(path, tmp_path / "old.db")
        assert "was deleted after these pages were started. Put it back" in shown()
        path.write_bytes(b"another")
        assert "was replaced after these pages were started. End <code>store web</code>" in shown()
        os.replace(tmp_path / "old.db", path)
        assert "after these pages were started" not in shown()


def test_stores_without_a_file_have_no_place() -> None:
    assert place_of(":memory:") is None
    assert place_of("redis://localhost/0") is None
