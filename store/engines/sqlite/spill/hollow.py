"""Refuses files of one record that take far more memory than disk: holes, or one file under many names.

That only matters for a record of another user: files that we wrote are as large as the value.
"""

from __future__ import annotations

from collections.abc import Sequence

from store.engines.sqlite.spill.folder import Folder
from store.errors import Corrupt
from store.rows.spilled import Part

MAX_SPARSE_BYTES = 64 * 1024 * 1024  # up to here all files of a record together may be holes
LEAST_SHARE_ON_DISK = 256  # more take a 256th of their size on disk, however well that compresses


def refuse_hollow(folder: Folder, parts: Sequence[Part]) -> None:
    """Checks the files of a record of another user before any of them is opened.

    Raises:
        Corrupt: they are almost nothing on disk, and reading them would take much memory and time.
    """
    size = sum(part.bytes for part in parts)
    if size <= MAX_SPARSE_BYTES:
        return
    found = _disk_bytes(folder, parts)
    if len(found) < len(parts):
        what = "some are one file under several names"
    elif sum(found.values()) < size // LEAST_SHARE_ON_DISK:
        what = "they are almost nothing but holes"
    else:
        return
    raise Corrupt(
        f"its files, {parts[0].file} and {len(parts) - 1} more, are of somebody else, take {size} bytes, and {what}; "
        "delete the record"
    )


def _disk_bytes(folder: Folder, parts: Sequence[Part]) -> dict[object, int]:
    """The size on disk of each file, by inode; a file that is missing or cannot be examined counts fully."""
    found: dict[object, int] = {}
    try:
        with folder.opened() as opened:
            for part in parts:
                try:
                    status = opened.status(part.file)
                except OSError:  # opening it says why
                    found[part.file] = part.bytes
                else:
                    # https://pubs.opengroup.org/onlinepubs/9699919799/basedefs/sys_stat.h.html; none on Windows
                    blocks = getattr(status, "st_blocks", None)
                    found[status.st_dev, status.st_ino] = part.bytes if blocks is None else blocks * 512
    except FileNotFoundError:  # the folder
        return {part.file: part.bytes for part in parts}
    return found
