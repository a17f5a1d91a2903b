"""What a page says of the owner of a record, in one word."""

from __future__ import annotations

from store.display.html import Html, element

MEANINGS = {
    "own": "A key of yours sealed this record; it was decoded in full.",
    "foreign": "No key of yours sealed this record; it was decoded as plain data.",
    "refused": "This record was not decoded; its bytes are as they were written.",
    "tampered": "The seal names a key of yours and does not match: the bytes were changed.",
    "corrupt": "The bytes of this record are damaged.",
    "skipped": "This record was not decoded, to keep the page small and fast.",
}


def badge(name: str) -> Html:
    """The badge of a `Look`: "own", "foreign", "refused", "tampered", "corrupt" or "skipped". Raises: KeyError."""
    return element("span", name, class_=f"badge badge-{name}", title=MEANINGS[name])
