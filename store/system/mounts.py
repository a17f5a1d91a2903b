"""Whether a path lies on a network file system, from the table of mounts.

SQLite's WAL does not work there: it needs memory that cannot be shared between machines
(https://www.sqlite.org/wal.html, "Overview"). The criterion is whether several machines can have the file open, not
the distance of the disk. If that is unknown it counts as a network, which is slower and never wrong.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import NamedTuple

# A file system of several machines, or of a host and its guests, which share files and no memory.
_NETWORK = frozenset(
    """
    nfs nfs3 nfs4 cifs smb2 smb3 smbfs afs kafs auristorfs coda ncp ncpfs webdav ftp
    ceph lustre gpfs beegfs fhgfs orangefs pvfs2 panfs wekafs gfs gfs2 ocfs2 acfs snfs
    9p virtiofs vboxsf vmhgfs prl_fs drvfs fakeowner
    """.split()
)
# The kernel does not know the file system behind FUSE, and there are hundreds: sshfs, rclone, s3fs, glusterfs are
# remote, mergerfs may be either, and many do not support shared writable maps. Only these are known to be of one
# machine: a block device of its own (`fuseblk`: ntfs-3g, exfat), and the file systems of rootless containers.
_LOCAL_FUSE = frozenset({"fuseblk", "fuse.fuse-overlayfs", "fuse.ext2", "fuse.fuse2fs", "fuse.lxcfs"})

_LOCAL_LOCKS = frozenset({"nolock", "local_lock=all", "local_lock=flock", "nobrl", "flock=local", "localflock"})
_ESCAPE = r"\\([0-7]{3})"  # space, tab, newline and backslash, https://man7.org/linux/man-pages/man5/fstab.5
_BSD_LINE = r"(?P<source>.*?) on (?P<point>/.*) \((?P<type>[^,)]+)(?P<options>[^)]*)\)"
KNOWN = 100  # paths that are remembered
_known: dict[str, tuple[int, Mount | None]] = {}

_MOUNTINFO = "/proc/self/mountinfo"
_MOUNT_COMMAND = "/sbin/mount"


class Mount(NamedTuple):
    """A line of the table. Without numbers (BSD) a later mount hides an earlier one."""

    point: str
    type: str
    options: frozenset[str] = frozenset()
    read_only: bool = False
    """Whether the file system itself is, and not only this mount, while another mount of it may be writable."""
    number: int | None = None
    parent: int | None = None
    source: str = ""
    """The mounted device or server; for some FUSE file systems the folder that they show."""

    def covers(self, path: str) -> bool:
        """Whether the path is at or below the mount point."""
        return self.point in ("/", path) or path.startswith(self.point + "/")

    def is_network(self) -> bool:
        """Whether other machines may have its files open."""
        if self.type.startswith("fuse"):
            return self.type not in _LOCAL_FUSE
        return self.type in _NETWORK

    def local_locks(self) -> list[str]:
        """Its mount options that keep locks from reaching other machines."""
        return sorted(self.options & _LOCAL_LOCKS)


def mount_of(path: str) -> Mount | None:
    """The mount of a path without links; None if that is unknown (Windows, a hidden `/proc`).

    The table is read once for each path, and again if its directory is on another device.
    """
    try:
        device = os.stat(os.path.dirname(path)).st_dev  # makes an automounter mount it before we read the table
    except OSError:  # opening the file says so
        return find(_mounts(), path)
    known = _known.get(path)
    if known is None or known[0] != device:
        if len(_known) >= KNOWN:
            _known.clear()
        known = _known[path] = device, find(_mounts(), path)
    return known[1]


def places_of(path: str, mount: Mount | None) -> list[tuple[str, Mount]]:
    """Other paths of a file that FUSE shows, or that is below a folder that FUSE shows, each with the FUSE mount.

    `mount` is that of the path. These are guesses by name: a source that looks like a path may not be one.
    """
    if mount is not None and mount.type.startswith("fuse"):
        return [(mount.source + path[len(mount.point) :], mount)] if mount.source.startswith("/") else []
    shown = [each for each in _mounts() if each.type.startswith("fuse") and len(each.source) > 1]
    return [(each.point + path[len(each.source) :], each) for each in shown if path.startswith(each.source + "/")]


def find(mounts: Sequence[Mount], path: str) -> Mount | None:
    """The mount of an absolute path, resolved from mount to mount like the kernel does."""
    current = _root(mounts)
    if current is None:
        return _topmost(mounts, path)
    seen = {current.number}
    while True:
        # Mounts on it along the path; of several the first one on the path hides the others.
        nearest = None
        for mount in mounts:
            if mount.parent != current.number or mount.number in seen or not mount.covers(path):
                continue
            if nearest is None or len(mount.point) <= len(nearest.point):
                nearest = mount
        if nearest is None:
            return current
        seen.add(nearest.number)
        current = nearest


def parse_mountinfo(text: str) -> list[Mount]:
    """The lines of `/proc/self/mountinfo`; see proc_pid_mountinfo(5). Malformed lines are skipped."""
    found = []
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, described = before.split(" "), after.split(" ")
        if not separator or len(fields) < 6 or not (fields[0].isdigit() and fields[1].isdigit()):
            continue
        options = frozenset(described[-1].split(","))
        number, parent = int(fields[0]), int(fields[1])
        point, source = _unescaped(fields[4]), _unescaped(described[1])
        found.append(Mount(point, described[0], options, "ro" in options, number, parent, source))
    return found


def parse_mount_command(text: str) -> list[Mount]:
    """The lines that `mount` prints on macOS and the BSDs: `//me@nas/share on /Volumes/share (smbfs, nodev)`."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(_BSD_LINE, line)
        if match is not None:
            options = frozenset(option.strip() for option in match["options"].split(","))
            found.append(Mount(match["point"], match["type"], options, "read-only" in options))
    return found


def _mounts() -> list[Mount]:
    try:
        with open(_MOUNTINFO, encoding="utf-8", errors="surrogateescape") as file:
            return parse_mountinfo(file.read())
    except OSError:
        pass
    if sys.platform == "darwin" or "bsd" in sys.platform:
        import subprocess  # imported here, since it is slow and not needed on Linux

        try:
            done = subprocess.run([_MOUNT_COMMAND], capture_output=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return []
        return parse_mount_command(os.fsdecode(done.stdout))
    return []


def _root(mounts: Sequence[Mount]) -> Mount | None:
    """The mount at `/` that is on no other mount: the lowest of those stacked there."""
    numbers = {mount.number for mount in mounts}
    for mount in mounts:
        stands_alone = mount.parent not in numbers or mount.parent == mount.number
        if mount.point == "/" and mount.number is not None and stands_alone:
            return mount
    return None


def _topmost(mounts: Sequence[Mount], path: str) -> Mount | None:
    best = None
    for mount in mounts:
        if mount.covers(path) and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def _unescaped(text: str) -> str:
    return re.sub(_ESCAPE, lambda match: chr(int(match[1], 8)), text) if "\\" in text else text
