"""A key as text, in `key=` and in STORE_KEY alike: 64 hexadecimal digits are 32 bytes, any other text is itself."""

from __future__ import annotations

import os
import re

from store.trust.key import KEY_BYTES, Key
from store.trust.key_file import parse_keys

SHORTEST = 16  # bytes of a key that seals
_HEX = re.compile(rf"[0-9a-fA-F]{{{2 * KEY_BYTES}}}(?:\s+retired)?")
_HOW_TO_MAKE = "`openssl rand -hex 32` gives a good one, and `store key new` makes a key file"


def text_keys(text: str, where: str) -> list[Key]:
    """The keys that a text is: one, or a list of hexadecimal ones, newest first, between commas or on lines.

    In `key=` a str of 64 digits was itself a key once: what it has sealed is verified still.

    Raises:
        ValueError: it is empty, no text, the path of a file, or a list of which a part is no key.
    """
    if not text.strip():
        raise ValueError(f"{where} holds no key: {_HOW_TO_MAKE}")
    lines = text.replace(",", "\n")
    if any(_HEX.fullmatch(line.strip()) for line in lines.splitlines()):
        keys = parse_keys(lines, where)
        return [*keys, Key(text.encode(), retired=True)] if where == "key=" and len(keys) == 1 else keys
    if os.path.isabs(text) and os.path.isfile(text):
        raise ValueError(f"{where} is the path of a file: name it in STORE_KEY_FILE, or pass key=pathlib.Path(…)")
    return [Key(_bytes_of(text, where))]


def sealing_first(keys: list[Key], where: str) -> list[Key]:
    """The same keys. Raises: ValueError: the one that seals is so short that it can be guessed."""
    seals = next((key for key in keys if not key.retired), None)
    if seals is not None and seals.size < SHORTEST:
        raise ValueError(
            f"{where}: a key has at least {SHORTEST} bytes, and this one has {seals.size}, which can be guessed: "
            f"{_HOW_TO_MAKE}; what the short one has sealed is read with key=[new, old]"
        )
    return keys


def _bytes_of(text: str, where: str) -> bytes:
    try:
        return os.fsencode(text) if where == "STORE_KEY" else text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{where} is no valid text: pass bytes") from None
