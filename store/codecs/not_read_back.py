"""What a codec, or the look at what it wrote, raises for bytes that would not come back as the value."""

from __future__ import annotations


class NotReadBack(Exception):
    """What was encoded cannot be decoded, or comes back as something else. `text` says so, of its class."""

    def __init__(self, text: str, why: Exception | None = None, remedy: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.remedy = remedy
        self.why = why  # what decoding raised; no __cause__, whose depth would be taken for the value's
