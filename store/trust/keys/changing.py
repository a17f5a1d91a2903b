"""Makes and changes key files, one process at a time; a program that only reads does not load this."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from store.errors import LockTimeout, ReadOnly, StorageError
from store.system.descriptors import NEW
from store.system.locking import locked
from store.system.syncing import sync_file, sync_folder, sync_folders_above
from store.trust.keys.file import RETIRED, KeyFile, key_text, parse_keys
from store.trust.keys.key import KEY_BYTES, Key

LOCK_SECONDS = 10.0  # changing a key file takes milliseconds


def create_key_file(path: KeyFile) -> None:
    """Make the file with one new key unless it exists; processes that start at once agree on one key.

    Raises: OSError.
    """
    file = Path(path)
    _make_folder(file.parent)
    _link(file, os.urandom(KEY_BYTES).hex() + "\n")


def add_key(path: KeyFile) -> Key:
    """Add a new key before the others, which seals from now on. Makes the file if there is none.

    Raises:
        StorageError, ValueError: as `file.read_key_file`, or the file cannot be changed. OSError.
    """
    file, material = Path(path), os.urandom(KEY_BYTES).hex()
    _make_folder(file.parent)
    with _changing(file) as target:
        if not _link(target, material + "\n"):
            text = key_text(target)
            parse_keys(text, f"the key file {file}")
            _rewrite(target, f"{material}\n{text}")
    return Key(bytes.fromhex(material))


def retire_key(path: KeyFile, key_id: bytes) -> None:
    """Mark a key as retired: it still verifies its seals, but no longer seals.

    Raises:
        LookupError: the file has no such key. ValueError: no key would be left to seal with.
        StorageError: the file cannot be read or changed.
    """
    file = Path(path)
    key_text(file)  # raises if there is no file, before a lock file is made
    with _changing(file) as target:
        text = key_text(target)
        keys = parse_keys(text, f"the key file {file}")
        if all(key.id != key_id for key in keys):
            raise LookupError(f"{file} has no key {key_id.hex()}")
        if all(key.retired or key.id == key_id for key in keys):
            raise ValueError(
                f"{key_id.hex()} is the last key of {file} that seals: make a new one first: `store key new`"
            )
        lines = [_retired(line, key_id) for line in text.splitlines()]
        _rewrite(target, "\n".join(lines) + "\n")


def why_unmakeable(path: KeyFile) -> str:
    """The reason why the user's own key file cannot be made, judging by its parent folders; else empty."""
    file = Path(path)
    folder = next(folder for folder in file.parents if os.path.lexists(folder))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
        return f"no key can be kept in {file} ({folder} may not be written)"
    return _homeless(file.parent)


def _homeless(folder: Path) -> str:
    """The problem if the folder is below a home directory that does not exist; else empty."""
    with suppress(RuntimeError):  # no home: XDG_DATA_HOME named the folder
        home = Path.home()
        if folder.is_relative_to(home) and not home.is_dir():
            return f"the home directory {home} does not exist"
    return ""


def _retired(line: str, key_id: bytes) -> str:
    digits = line.strip().partition(" ")[0]
    if len(digits) == 2 * KEY_BYTES and not line.startswith("#") and Key(bytes.fromhex(digits)).id == key_id:
        return f"{digits} {RETIRED}"
    return line


@contextmanager
def _changing(file: Path) -> Iterator[Path]:
    """Lock a key file for one process at a time. Yields the file, with links resolved."""
    target = file.resolve()
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(f"{target}.lock", LOCK_SECONDS))
        except ReadOnly as exc:
            what, number = "cannot be changed here: its folder is read-only", errno.EACCES
            raise StorageError(f"the key file {file} {what}", errno=number, path=str(file)) from exc
        except LockTimeout as exc:
            what, number = "is being changed by another process: try again", errno.EAGAIN
            raise StorageError(f"the key file {file} {what}", errno=number, path=str(file)) from exc
        yield target


def _link(file: Path, text: str) -> bool:
    """Make the file unless it exists; whether it was made.

    A temporary file is linked to the name, which fails if the name exists; so no reader sees a partial key, and no
    writer replaces one.
    """
    with _temporary(file, text) as temporary:
        try:
            os.link(temporary, file)
            is_new = True
        except FileExistsError:
            is_new = False
    sync_folder(file.parent)  # the process that made it may not have synced yet, and the key is used next
    return is_new


def _rewrite(file: Path, text: str) -> None:
    """Replace the file atomically: a reader sees the old keys or the new ones. Owner and mode are kept."""
    status = os.stat(file)
    with _temporary(file, text) as temporary:
        if hasattr(os, "geteuid"):
            mine = os.stat(temporary)
            if (status.st_uid, status.st_gid) != (mine.st_uid, mine.st_gid):
                os.chown(temporary, status.st_uid, status.st_gid)
            os.chmod(temporary, stat.S_IMODE(status.st_mode))
        os.replace(temporary, file)
    sync_folder(file.parent)


@contextmanager
def _temporary(file: Path, text: str) -> Iterator[Path]:
    """A synced private file next to `file`, which is deleted afterwards unless it was renamed."""
    temporary = file.with_name(f".{file.name}.{os.urandom(8).hex()}")
    try:
        descriptor = os.open(temporary, NEW, 0o600)
        with open(descriptor, "w", encoding="ascii") as stream:
            stream.write(text)
            sync_file(stream)
        yield temporary
    finally:
        with suppress(OSError):  # already gone; if it stays, it is as private as the file itself
            os.unlink(temporary)


def _make_folder(folder: Path) -> None:
    """Make the data directory if the home directory exists; never makes a home directory."""
    problem = _homeless(folder)
    if problem:
        raise FileNotFoundError(errno.ENOENT, problem)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    sync_folders_above(folder)  # losing the key in a power cut would make all its records foreign
