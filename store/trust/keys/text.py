"""Keys given as text or bytes by a program or the environment, and the check for weak keys.

64 hexadecimal digits are 32 bytes, and any other text is used as it is, both in `key=` and in STORE_KEY.

Anyone with a copy of the file can try any number of keys on it, so only the strength of the key protects it. Weak
text is refused: people type it, and can choose a better key at once. Weak bytes come from a program, which may have
no other secret: they are stretched (scrypt, once per process) with a warning, since a common password is still found.
Records that a weak key sealed without stretching are still verified: for bytes always, for text if it follows a
better key, `key=[new, old]`; `rekey` seals them again.

A key is weak if it has under 16 bytes or fewer than 9 different steps. A step is a pair of neighbouring bytes that
are neither equal nor consecutive, so runs ("aaaa"), sequences ("12345678") and repetitions ("secretsecretsecret")
have few. Random text of 16 bytes has about 15; one in 80 random keys of 16 hexadecimal digits has too few: use 32
digits. This detects placeholders. It does not measure passwords: it has no list of words or keyboard patterns. 32
bytes and 64 hexadecimal digits are assumed to be random, and are not checked.
"""

from __future__ import annotations

import os
import re
from functools import cache
from itertools import pairwise

from store.system import caller
from store.trust.keys.file import parse_keys
from store.trust.keys.key import KEY_BYTES, Key

SHORTEST = 16  # bytes of a key that seals
LEAST_STEPS = 9  # a repeated word of 8 letters has 8
_HEX = rf"[0-9a-fA-F]{{{2 * KEY_BYTES}}}(?:\s+retired)?"
_HOW_TO_MAKE = "`openssl rand -hex 32` gives a good one, and `store key new` makes a key file"


def text_keys(text: str, where: str) -> list[Key]:
    """The keys in a text: one key, or a list of hexadecimal keys, newest first, separated by commas or lines.

    Earlier releases used a str of 64 digits in `key=` literally: records sealed with it are still verified.

    Raises:
        ValueError: it is empty, not valid text, the path of a file, or a list with an invalid part.
    """
    if not text.strip():
        raise ValueError(f"{where} holds no key: {_HOW_TO_MAKE}")
    lines = text.replace(",", "\n")
    if any(re.fullmatch(_HEX, line.strip()) for line in lines.splitlines()):
        keys = parse_keys(lines, where)
        return [*keys, Key(text.encode(), retired=True)] if where == "key=" and len(keys) == 1 else keys
    if os.path.isabs(text) and os.path.isfile(text):
        raise ValueError(f"{where} is the path of a file: name it in STORE_KEY_FILE, or pass key=pathlib.Path(…)")
    return [_with_weakness(_bytes_of(text, where))]


def bytes_keys(material: bytes) -> list[Key]:
    """The keys for bytes: the bytes; if they are weak, the stretched key, and the bytes as a retired key."""
    weakness = "" if len(material) in (0, KEY_BYTES) else _weakness_of(material)
    if not weakness:
        return [Key(material)]
    return [Key(_stretched(material), weakness=weakness, stretched=True), Key(material, retired=True)]


def sealing_first(keys: list[Key], where: str) -> list[Key]:
    """The same keys, with a warning if the sealing key is stretched.

    Raises:
        ValueError: the sealing key is weak and not stretched.
    """
    seals = next((key for key in keys if not key.retired), None)
    if seals is not None and seals.stretched:
        caller.warn(
            f"{where}: {seals.weakness}, so it can be guessed, even though it is stretched: {_HOW_TO_MAKE}; "
            "with key=[new, old] and `Store.rekey` you move to it"
        )
    elif seals is not None and seals.weakness:
        raise ValueError(
            f"{where}: {seals.weakness}, so it can be guessed: {_HOW_TO_MAKE}; "
            "a record of the weak key is read with key=[new, old]"
        )
    return keys


@cache
def _stretched(material: bytes) -> bytes:
    """A stretched key: each guess takes 32 MiB and a tenth of a second (RFC 7914)."""
    from hashlib import scrypt  # loads OpenSSL, which nothing else here needs

    return scrypt(material, salt=b"store.key.v1", n=2**15, r=8, p=1, maxmem=2**26, dklen=KEY_BYTES)


def _with_weakness(material: bytes) -> Key:
    return Key(material, weakness=_weakness_of(material))


def _weakness_of(material: bytes) -> str:
    """Why a key can be guessed, without quoting it; empty if no weakness is found."""
    if len(material) < SHORTEST:
        return f"a key has at least {SHORTEST} bytes, and this one has {len(material)}"
    steps = {pair for pair in pairwise(material) if abs(pair[0] - pair[1]) > 1}
    if len(steps) < LEAST_STEPS:
        return "this key is a run, a sequence or a repetition of few letters"
    return ""


def _bytes_of(text: str, where: str) -> bytes:
    try:
        return os.fsencode(text) if where == "STORE_KEY" else text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{where} is not valid text: pass bytes") from None
