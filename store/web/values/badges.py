"""What a page says of the owner of a record, in one word."""

from __future__ import annotations

from store.display.html import Html, element

MEANINGS = {
    "own": "A key of yours sealed this record; it is decoded in full.",
    "foreign": "No key of yours sealed this record; only plain data and allowed classes are decoded.",
    "refused": "This record is not decoded, and nothing of it runs.",
    "tampered": "The seal names a key of yours and does not match: the bytes were altered.",
    "corrupt": "This record is damaged, or cannot be decoded here.",
    "skipped": "This record was not decoded, to keep the page small and fast.",
}
"""Each badge in a sentence."""


def badge(name: str) -> Html:
    """The badge of a `Look`: "own", "foreign", "refused", "tampered", "corrupt" or "skipped". Raises: KeyError."""
    return element("span", name, class_=f"badge badge-{name}", title=MEANINGS[name])
