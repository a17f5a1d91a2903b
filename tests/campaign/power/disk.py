"""A disk under a power cut: what is certain to be on it at a moment of a log, and what may be.

The model. What fsync or fdatasync of a file returned for is on the disk, data and size. Of what came after it, each
write may be there or not, whatever came before or after it, or be torn: a sector of 512 bytes is written whole or not
at all. The size of the file is any that it had since. Where the size has reached the disk and the data has not, the
file holds zeros there, or what the disk held before.

A name belongs to its folder: only fsync of the folder makes it certain that a name was made, removed or renamed. To
sync the new file itself is not enough: POSIX does not say so, and fsync(2) of Linux warns of it ("Calling fsync() does
not necessarily ensure that the entry in the directory containing the file has also reached disk. For that an explicit
fsync() on a file descriptor for the directory is also needed."). Each rename is there whole or not at all. Two orders
of changes of names are tried, by chance:

- "journal": what is there is a beginning of all changes, as of ext4 and XFS, whose journals keep metadata in order
  (https://www.kernel.org/doc/html/latest/filesystems/ext4/journal.html), though without their habit to make the name
  durable when the file is synced;
- "any": each change for itself, which POSIX allows; see "All File Systems Are Not Created Equal" (Pillai and others,
  OSDI 2014), table 1, for file systems that did.

Written to a file through a map: nothing is known of it (SQLite's -shm alone is, which it makes anew).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from random import Random

from .log import Entry

SECTOR = 512  # bytes
Files = dict[str, bytes | None]
"""Relative path → content; None: a folder."""
Base = dict[str, tuple[int, bytes | None]]
"""Relative path → inode, content; "" is the root."""


@dataclass(eq=False, slots=True)
class File:
    """A file, whatever names it has."""

    synced: bytes = b""
    live: bytearray = field(default_factory=bytearray)
    pending: list[Entry] = field(default_factory=list)

    def apply(self, entry: Entry) -> None:
        if entry.kind == "sync":
            self.synced = bytes(self.live)
            self.pending.clear()
        else:
            _apply(self.live, entry)
            self.pending.append(entry)

    def after_cut(self, rng: Random, chance: float) -> bytes:
        """What may be on the disk, where a write since the last sync is there with that chance."""
        if not self.pending or chance == 0:
            return self.synced
        if chance == 1:
            return bytes(self.live)
        content = bytearray(self.synced)
        sizes = [len(content)]
        whole = len(content)
        torn = rng.random() < 0.5
        for entry in self.pending:
            whole = entry.number if entry.kind == "truncate" else max(whole, entry.number + len(entry.data))
            sizes.append(whole)
            if rng.random() >= chance:
                continue
            if torn and entry.kind == "write" and rng.random() < 0.5:
                for part in _sectors(entry):
                    if rng.random() < chance:
                        _apply(content, part)
            else:
                _apply(content, entry)
        if rng.random() < 0.3:
            _resize(content, rng.choice(sizes), rng)
        return bytes(content)


@dataclass(eq=False, slots=True)
class Folder:
    """The names in a folder."""

    synced: dict[str, File | Folder] = field(default_factory=dict)
    live: dict[str, File | Folder] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of names: (folder, name, what it names from now on), all of it or nothing."""

    parts: tuple[tuple[Folder, str, File | Folder | None], ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """What a power cut leaves of what was not synced."""

    data: float
    """The chance of a write or truncation to be there."""
    names: float
    """The same of a change of names."""
    order: str
    """"journal" or "any"."""

    @classmethod
    def drawn(cls, rng: Random) -> Cut:
        """Often all or nothing of the one or the other, which is where mistakes show."""
        chances = [rng.choice((0.0, 0.5, 1.0, rng.random())) for _ in range(2)]
        return cls(*chances, rng.choice(("journal", "any")))


class Disk:
    """A folder, from what was there at the beginning, changed entry by entry."""

    def __init__(self, root: str, base: Base) -> None:
        """All of `base` was synced."""
        self.root = PurePosixPath(root)
        self._top = Folder()
        self._nodes: dict[int, File | Folder] = {}
        self._changes: list[Change] = []  # of names, not synced
        for path, (inode, content) in sorted(base.items()):
            node = Folder() if content is None else File(content, bytearray(content))
            self._nodes[inode] = node
            if path:
                folder, name = self._place(str(self.root / path))
                folder.live[name] = folder.synced[name] = node
            else:
                assert isinstance(node, Folder)
                self._top = node

    def apply(self, entry: Entry) -> None:
        """The next entry of the log."""
        if entry.kind in ("write", "truncate"):
            node = self._nodes[entry.inode]
            assert isinstance(node, File)
            node.apply(entry)
        elif entry.kind == "sync":
            self._sync(self._nodes[entry.inode], entry)
        elif entry.kind != "mark":
            self._change(Change(tuple(self._parts(entry))))

    def live(self) -> Files:
        """What a program sees: with a power cut or without, all of it is there if it was synced."""
        return _listed(self._top, "", lambda folder: folder.live, lambda file: bytes(file.live))

    def after_cut(self, rng: Random, cut: Cut) -> Files:
        """What may be there after a power cut at this moment."""
        names: dict[Folder, dict[str, File | Folder]] = {}
        for change in self._kept(rng, cut):
            for folder, name, node in change.parts:
                _set(names.setdefault(folder, dict(folder.synced)), name, node)
        return _listed(
            self._top, "", lambda folder: names.get(folder, folder.synced), lambda file: file.after_cut(rng, cut.data)
        )

    def _kept(self, rng: Random, cut: Cut) -> list[Change]:
        if cut.order == "any":
            return [change for change in self._changes if rng.random() < cut.names]
        if 0 < cut.names < 1:
            return self._changes[: rng.randint(0, len(self._changes))]
        return self._changes if cut.names else []

    def _sync(self, node: File | Folder, entry: Entry) -> None:
        if isinstance(node, File):
            node.apply(entry)
            return
        left = []
        for change in self._changes:
            if any(folder is node for folder, _, _ in change.parts):
                for folder, name, named in change.parts:
                    _set(folder.synced, name, named)
            else:
                left.append(change)
        self._changes = left

    def _change(self, change: Change) -> None:
        self._changes.append(change)
        for folder, name, node in change.parts:
            _set(folder.live, name, node)

    def _parts(self, entry: Entry) -> Iterator[tuple[Folder, str, File | Folder | None]]:
        folder, name = self._place(entry.path)
        if entry.kind in ("create", "mkdir"):
            node: File | Folder = File() if entry.kind == "create" else Folder()
            self._nodes[entry.inode] = node
            yield folder, name, node
        elif entry.kind in ("unlink", "rmdir"):
            yield folder, name, None
        else:
            yield *self._place(entry.other), folder.live[name]
            if entry.kind == "rename":
                yield folder, name, None

    def _place(self, path: str) -> tuple[Folder, str]:
        parts = PurePosixPath(path).relative_to(self.root).parts
        folder = self._top
        for part in parts[:-1]:
            inner = folder.live[part]
            assert isinstance(inner, Folder)
            folder = inner
        return folder, parts[-1]


def _apply(content: bytearray, entry: Entry) -> None:
    if entry.kind == "truncate":
        _resize(content, entry.number)
        return
    if len(content) < entry.number:
        _resize(content, entry.number)
    content[entry.number : entry.number + len(entry.data)] = entry.data


def _resize(content: bytearray, size: int, rng: Random | None = None) -> None:
    """Zeros come where it grows; with `rng` perhaps what the disk held before."""
    more = size - len(content)
    if more > 0 and rng is not None and rng.random() < 0.5:
        content += rng.randbytes(more)
    elif more > 0:
        content += bytes(more)
    else:
        del content[size:]


def _sectors(entry: Entry) -> Iterator[Entry]:
    """A write, cut where sectors of the file begin."""
    at, end = entry.number, entry.number + len(entry.data)
    while at < end:
        until = min(end, (at // SECTOR + 1) * SECTOR)
        yield entry._replace(number=at, data=entry.data[at - entry.number : until - entry.number])
        at = until


def _set(names: dict[str, File | Folder], name: str, node: File | Folder | None) -> None:
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node


def _listed(
    folder: Folder, path: str, names_of: Callable[[Folder], dict[str, File | Folder]], content_of: Callable[[File], bytes]
) -> Files:
    found: Files = {}
    for name, node in names_of(folder).items():
        if isinstance(node, File):
            found[path + name] = content_of(node)
        else:
            found[path + name] = None
            found |= _listed(node, f"{path}{name}/", names_of, content_of)
    return found
