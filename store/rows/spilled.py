"""The files of a record whose value is too large for its row: the column `spill`, as text and as parts.

On disk, never to change: JSON in ASCII without spaces, a list of [file, bytes, checksum]. If the row has no body, the
first file is the body; the others are buffers, in the order in which the body refers to them. The name of a file is
32 hex digits of BLAKE2b over the store's id, namespace and name, "-", and 32 random ones, so that a row can name no
file of another record. The checksum is SHA-256 in hex: the seal covers this text, and through it every byte.
(BLAKE2b takes 1.1 s for a GiB, SHA-256 with the processor's instructions for it 0.6 s.)
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Container, Sequence
from typing import Any, NamedTuple

from store.errors import Corrupt
from store.system.digests import blake2b
from store.system.late import late

FOLDER_SUFFIX = "-spill"
MAX_PARTS = 10_000  # of one record
_RANDOM_BYTES = 16
_MOST_TEXT = MAX_PARTS * 200  # characters; in a crafted file it may have any length, and nothing of it is read
# Compiled when the first value with files is met, as all patterns that a plain read does not need.
_FILE = "[0-9a-f]{32}-[0-9a-f]{32}"
_CHECKSUM = "[0-9a-f]{64}"
_LARGEST = 2**63 - 1


class Part(NamedTuple):
    """One file: its name in the folder, its size in bytes, and the SHA-256 of its content in hex."""

    file: str
    bytes: int
    checksum: str


def checksum(content: Any = b"") -> Any:
    """The hash of a part's content; its `hexdigest` is stored in the list."""
    # OpenSSL's, which uses the processor's instructions for it; 3 ms to load
    return late("hashlib:sha256", "a large value")(content)


def prefix_of(store_id: bytes, namespace: str, name: str) -> str:
    """The prefix of the names of all files of a record."""
    place = namespace.encode("utf-8", "surrogatepass")
    digest = blake2b(store_id, digest_size=16, person=b"store.spill.v1")
    digest.update(len(place).to_bytes(8, "little") + place + name.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def new_file(prefix: str, random: Callable[[int], bytes] = os.urandom) -> str:
    """A new unique name for a file of the record with that prefix."""
    return f"{prefix}-{random(_RANDOM_BYTES).hex()}"


def is_file(name: Any) -> bool:
    """Whether a name has our pattern: files with other names are never opened, reported as orphans or removed."""
    return isinstance(name, str) and re.fullmatch(_FILE, name) is not None


def is_of(file: str, prefix: str) -> bool:
    """Whether a file, by its name, is one of the record with that prefix."""
    return file.startswith(prefix + "-")


def text_of(parts: Sequence[Part]) -> str:
    """The text of the column `spill`."""
    # Imported only for spilled values: programs without them start faster.
    text: str = late("json:dumps", "a large value")(parts, separators=(",", ":"))
    return text


def parts_of(text: str, prefix: str) -> list[Part]:
    """The files of a row, all of them of the record with that prefix.

    Raises:
        Corrupt: the text is malformed, or names a file of another record.
    """
    found = _read(text)
    parts = [Part(*entry) for entry in found if _is_part(entry, prefix)]
    files = {part.file for part in parts}
    if not 0 < len(parts) == len(found) == len(files) <= MAX_PARTS or text_of(parts) != text:
        raise Corrupt("its list of files is not one of this record; nothing was opened; restore it from a backup")
    return parts


def files_of(text: Any, prefix: str, but: Container[str] = ()) -> list[str]:
    """The files of a row that belong to its record; other content of the text is ignored."""
    files = [entry[0] for entry in _read(text) if isinstance(entry, list) and entry and is_file(entry[0])]
    return [file for file in files if is_of(file, prefix) and file not in but]


def size_of(text: Any) -> int:
    """The total bytes of the files of a row according to its text; 0 if the text is malformed."""
    sizes = [entry[1] for entry in _read(text) if isinstance(entry, list) and len(entry) == 3]
    return sum(size for size in sizes if type(size) is int and 0 <= size <= _LARGEST)


def count_of(text: Any) -> int:
    """How many files a row names according to its text."""
    return len(_read(text))


def _read(text: Any) -> list[Any]:
    """The list in the text, or [] if it has none."""
    if not isinstance(text, str) or len(text) > _MOST_TEXT:
        return []
    loads = late("json:loads", "a large value")
    try:
        found = loads(text)
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []


def _is_part(entry: Any, prefix: str) -> bool:
    if not isinstance(entry, list) or len(entry) != 3:
        return False
    file, size, digest = entry
    return (
        is_file(file)
        and is_of(file, prefix)
        and type(size) is int
        and 0 <= size <= _LARGEST
        and isinstance(digest, str)
        and re.fullmatch(_CHECKSUM, digest) is not None
    )
