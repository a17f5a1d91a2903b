"""Looking at the files of other programs without changing them, and without taking locks away from this process.

Closing any descriptor of a file drops the locks that this process holds on it, those of SQLite included; so a source
that the program itself has open is refused before it is read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from urllib.parse import unquote

from store.engines.registry import file_formats
from store.errors import Corrupt, StorageError
from store.importers.contract import Found
from store.opened.opening import is_store

HEADER_BYTES = 100
SQLITE_MAGIC = b"SQLite format 3\0"
MAX_SPARSE_BYTES = 64 * 1024 * 1024  # up to here a file may be holes
LEAST_SHARE_ON_DISK = 256  # a larger one takes a 256th of its size on disk, however well the file system compresses
_DESCRIPTORS = "/dev/fd"


# -- one file


def is_file(path: str) -> bool:
    """Whether it is a regular file, or a link to one: a pipe would make the reader wait."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def header_of(path: str) -> bytes:
    """The first bytes of a file; none where there is none. Raises: StorageError: this program has it open."""
    if not is_file(path):
        return b""
    if is_open_here(path):
        raise StorageError(f"this program has {path} open itself; close it, then import it", path=path)
    return contents_of(path, HEADER_BYTES)


def contents_of(path: str, limit: int = -1) -> bytes:
    """The bytes of a file. Raises: StorageError."""
    try:
        with open(path, "rb") as file:
            return file.read(limit)
    except OSError as exc:
        raise unreadable(path, exc) from exc


def is_our_store(path: str) -> bool:
    """Whether it is a store."""
    if is_file(path) and is_open_here(path):  # only its engine can look at it
        return is_store(path)
    header = header_of(path)
    return any(file_formats.load(scheme).bears_mark(header) for scheme in file_formats.names())


def is_open_here(path: str) -> bool:
    """Whether a descriptor of this process is of that file, where the system tells."""
    try:
        wanted = os.stat(path)
        numbers = [int(number) for number in os.listdir(_DESCRIPTORS)]
    except (OSError, ValueError):
        return False
    for number in numbers:
        try:
            if os.path.samestat(os.fstat(number), wanted):
                return True
        except OSError:  # that of the listing itself
            continue
    return False


def is_pickle(header: bytes) -> bool:
    """Whether a file begins as a pickle of protocol 2 or newer does."""
    return len(header) > 1 and header[0] == 0x80 and 2 <= header[1] <= 5


def unreadable(path: str, exc: OSError) -> StorageError:
    """The error for a source that the system does not let us read."""
    return StorageError(f"{path} cannot be read: {exc.strerror or exc}", errno=exc.errno, path=path)


# -- the files of a folder


def beneath(folder: str, name: str, limit: int | None = None) -> bytes:
    """All bytes of a file under a folder. A hostile name cannot lead out of it: no link is followed.

    Raises:
        Corrupt: the name leads elsewhere, or to no regular file; the file is larger than `limit` bytes, or almost
            nothing but holes. StorageError: the file cannot be read.
    """
    parts = name.split("/")
    if not name or os.path.isabs(name) or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise Corrupt(f"its file name {name!r:.100} leads out of the folder; it was not followed")
    if os.open not in os.supports_dir_fd:  # Windows: a link that is made at this very moment would be followed
        below = [os.path.join(folder, *parts[:depth]) for depth in range(1, len(parts) + 1)]
        if any(map(os.path.islink, below)) or not is_file(below[-1]):
            raise Corrupt(f"its file {name!r:.100} is missing, a link, or not a regular one")
        size = _checked_size(os.stat(below[-1]), name, limit)
        return _whole(contents_of(below[-1], size + 1), name, size)
    number = _opened_beneath(folder, parts)
    try:
        size = _checked_size(os.fstat(number), name, limit)
    except Corrupt:
        os.close(number)
        raise
    with open(number, "rb") as file:
        return _whole(file.read(size + 1), name, size)


def _opened_beneath(folder: str, parts: list[str]) -> int:
    """A descriptor of the file, which may be no regular one. Raises: Corrupt: it is missing or a link."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
        return os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    except OSError as exc:
        raise Corrupt(f"its file {'/'.join(parts)!r:.100} is missing or a link ({exc.strerror})") from exc
    finally:
        os.close(at)


def _checked_size(status: os.stat_result, name: str, limit: int | None) -> int:
    """The size. Raises: Corrupt: reading the file would not end, or take far more memory than it takes on disk."""
    if not stat.S_ISREG(status.st_mode):
        raise Corrupt(f"its file {name!r:.100} is not a regular one")
    size = status.st_size
    if limit is not None and size > limit:
        raise Corrupt(f"its file {name!r:.100} has {size} bytes; at most {limit} are read")
    on_disk = getattr(status, "st_blocks", size) * 512  # Windows does not say
    if size > MAX_SPARSE_BYTES and on_disk < size // LEAST_SHARE_ON_DISK:
        raise Corrupt(f"its file {name!r:.100} has {size} bytes, which are almost nothing but holes")
    return size


def _whole(data: bytes, name: str, size: int) -> bytes:
    """Raises: Corrupt: the file grew while it was read, or the system gives it no size, as it does in /proc."""
    if len(data) > size:
        raise Corrupt(f"its file {name!r:.100} has more bytes than its size says")
    return data


def files_of(path: str, suffixes: tuple[str, ...], codec: str) -> Iterator[Found]:
    """A file, or each file of a folder in order of name, as a record named after it."""
    if not os.path.isdir(path):
        yield Found(_name_of(os.path.basename(path), suffixes), contents_of(path), codec)
        return
    for inner in _listed(path):
        name = _name_of(inner, suffixes)
        if os.path.islink(os.path.join(path, inner)):
            yield Found(name, problem="it is a link, which is not followed")
        elif not inner.endswith(suffixes):
            yield Found(inner, problem=f"by its name it is not one of {', '.join(suffixes)}", skipped=True)
        else:
            try:
                yield Found(name, beneath(path, inner), codec)
            except (ValueError, OSError) as exc:
                yield Found(name, problem=str(exc))


def names_in(folder: str) -> list[str]:
    """The names in a folder, in order. Raises: StorageError."""
    try:
        return sorted(os.listdir(folder))
    except OSError as exc:
        raise unreadable(folder, exc) from exc


def has_file_of(folder: str, suffixes: tuple[str, ...]) -> bool:
    """Whether a folder has a file of those suffixes, or nothing at all."""
    try:
        names = _listed(folder)
    except StorageError:
        return False
    return not names or any(name.endswith(suffixes) for name in names)


def _listed(folder: str) -> list[str]:
    """The files under a folder, by relative path, in order."""
    found = []
    try:
        for at, folders, files in os.walk(folder, onerror=_stop):
            links = [name for name in folders if os.path.islink(os.path.join(at, name))]
            found += [os.path.relpath(os.path.join(at, name), folder) for name in files + links]
    except OSError as exc:
        raise unreadable(folder, exc) from exc
    return sorted(found)


def _stop(error: OSError) -> None:
    raise error


def _name_of(path: str, suffixes: tuple[str, ...]) -> str:
    """The record's name; a path that is not UTF-8 keeps its escapes."""
    stem = next((path.removesuffix(suffix) for suffix in suffixes if path.endswith(suffix)), path)
    try:
        return unquote(stem, errors="strict")
    except UnicodeDecodeError:
        return stem
