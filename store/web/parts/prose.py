"""Sentences of pages and of errors, in which backquotes mark commands and names."""

from __future__ import annotations

from store.display.html import Html, element, joined


def prose(text: str) -> Html:
    """The text, with each part between two backquotes as `code`. A single backquote stays."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # the last one has no partner
        parts[-2:] = [f"{parts[-2]}`{parts[-1]}"]
    return joined(element("code", part) if place % 2 else part for place, part in enumerate(parts))
