"""Two codecs of one name."""

from __future__ import annotations

from typing import Any


class Named:
    """A codec of the program's own; `prefix` tells two of one name apart."""

    name = "named"

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def encode(self, value: Any) -> bytes:
        return str(value).encode()

    def decode(self, body: bytes) -> Any:
        return [self.prefix, body.decode()]
