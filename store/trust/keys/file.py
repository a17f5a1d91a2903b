"""Reads key files; `changing.py` makes and changes them.

One key a line, 64 hexadecimal digits, newest first; a key followed by the word `retired` still verifies but no longer
seals. Blank lines and lines that begin with `#` are kept and ignored.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from store.errors import StorageError
from store.system.refusals import advice
from store.trust.keys.key import KEY_BYTES, Key

HOW_TO_WRITE = "64 hexadecimal digits, for example from `openssl rand -hex 32`; `store key new` makes a key file"
RETIRED = "retired"

KeyFile = str | os.PathLike[str]


def read_key_file(file: KeyFile) -> list[Key]:
    """The keys of a file, in its order.

    Raises:
        StorageError: it cannot be read. ValueError: it holds no key, or a line that is not a key.
    """
    return parse_keys(key_text(file), f"the key file {file}")


def key_text(file: KeyFile) -> str:
    """The text of a key file. Raises: StorageError: it cannot be read."""
    try:
        with open(file, encoding="ascii", errors="replace") as stream:
            return stream.read()
    except OSError as exc:
        raise StorageError(
            f"the key file {file} cannot be read: {exc.strerror}; {advice(exc, 'make it readable and try again')}",
            errno=exc.errno,
            path=str(file),
        ) from exc


def parse_keys(text: str, where: str) -> list[Key]:
    """The keys in the text of a key file or of STORE_KEY."""
    keys = [Key(bytes.fromhex(digits), retired=bool(word)) for digits, word in _key_lines(text, where)]
    if not keys:
        raise ValueError(f"{where} holds no key: a key is {HOW_TO_WRITE}")
    return keys


def why_unsafe(file: KeyFile) -> str:
    """The problem with the user's own key file; empty if there is none, or if there is no file."""
    try:
        status = os.lstat(file)
    except OSError:
        return ""
    if not stat.S_ISREG(status.st_mode):
        return f"{file} is not a regular file and was not used: remove it"
    if not hasattr(os, "geteuid"):
        return ""
    if status.st_uid != os.geteuid():
        return (
            f"{file} belongs to another user and was not used: chown it if it is yours; to use it as it is, set "
            f"STORE_KEY_FILE={file}"
        )
    if status.st_mode & 0o077:
        return f"{file} is open to other users and was not used: chmod 600 {file}"
    return ""


def _key_lines(text: str, where: str) -> Iterator[tuple[str, str]]:
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        digits, _, word = line.partition(" ")
        is_key = len(digits) == 2 * KEY_BYTES and all(digit in "0123456789abcdefABCDEF" for digit in digits)
        if not is_key or word.strip() not in ("", RETIRED):
            raise ValueError(f"{where}, line {number}: a key is {HOW_TO_WRITE}")
        yield digits, word
