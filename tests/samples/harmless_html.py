"""What is wrong with a page of a store: whatever could run, fetch, or lead away from it."""

from __future__ import annotations

from html.parser import HTMLParser

CODE = {"script", "style", "iframe", "object", "embed", "base", "frame", "applet", "foreignobject", "animate", "set", "math"}
ADDRESSES = {"href", "src", "action", "formaction", "xlink:href", "data", "poster", "background", "srcset", "ping", "manifest"}
SHOWN = {("img", "src"), ("link", "href")}  # where an image may be
IMAGES = tuple(f"data:image/{kind};base64," for kind in ("png", "jpeg", "gif", "webp"))


class Harmless(HTMLParser):
    """Collects the faults of a page whose addresses begin with `base`."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.links: list[str] = []
        self._base = base
        self._scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "script" and given == {"src": f"{self._base}/static/page.js", "defer": None} and not self._scripts:
            self._scripts += 1
        elif tag in CODE:
            self.faults.append(f"<{tag}>")
        if tag == "meta" and "http-equiv" in given:
            self.faults.append(f"<meta {given}>")
        for name, value in attrs:
            self._check(tag, name, value or "")

    def _check(self, tag: str, name: str, value: str) -> None:
        if name.startswith("on") or name in ("style", "srcdoc"):
            self.faults.append(f"<{tag} {name}={value[:60]!r}>")
        if name in ADDRESSES:
            if value.startswith(f"{self._base}/"):
                self.links.append(value)
            elif not value.startswith("#") and not ((tag, name) in SHOWN and value.startswith(IMAGES)):
                self.faults.append(f"<{tag} {name}={value[:60]!r}>")

    def handle_comment(self, data: str) -> None:
        self.faults.append(f"a comment: {data[:60]!r}")

    def handle_pi(self, data: str) -> None:
        self.faults.append(f"an instruction: {data[:60]!r}")


def read(text: str, base: str) -> Harmless:
    """A page, read as browsers do."""
    page = Harmless(base)
    page.feed(text)
    page.close()
    if any(not char.isprintable() and char not in "\n\t" for char in text):
        page.faults.append("unprintable characters")
    return page
