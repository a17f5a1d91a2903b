"""`Keyring`: the keys of a program, their sources and order, and when a key is made.

The user's own key file is made at the first write, never by a reader, in the user's data directory, never next to a
database. A key file is read again when it changes, so a running program follows a rotation.
"""

from __future__ import annotations

import errno
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn, cast

from store.errors import StorageError
from store.system.clock import steady_clock
from store.system.late import late
from store.trust.keys.file import read_key_file, why_unsafe
from store.trust.keys.key import KEY_BYTES, Key
from store.trust.keys.text import bytes_keys, sealing_first, text_keys

LOOK_SECONDS = 0.05  # shortest interval between checks of the key file by a writer: a check takes 1.6 us
APP_NAME = "sealed-store"  # the folder in the user's data directory

# Errors after which records are written without a key, because none can be stored. After a temporary error this
# would leave records without an owner.
PASSING = {
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR,
    errno.EAGAIN,
}  # fmt: skip

_CHANGING = "store.trust.keys.changing"  # loaded by the first program of a user that writes
_HOMELESS = "this user has no home directory to keep a key in"

KeySource = bytes | str | os.PathLike[str] | Sequence["bytes | str | os.PathLike[str]"] | None


class Keyring:
    """The keys of one program. The first that is not retired seals, all verify.

    Loaded by the first read or write. Safe across threads, which load the same keys.

    Args:
        source: the `key=` of the program: a secret (bytes or str), the path of a key file, or several,
            newest first. None: the file named by STORE_KEY_FILE, else the key in STORE_KEY, which is read as a str
            given as `key=` is, else the user's own key file.
        clock: returns the time in seconds, for the next check of a key file.
    """

    def __init__(self, source: KeySource = None, *, clock: Callable[[], float] = steady_clock) -> None:
        self._clock = clock
        self._looked = -math.inf
        self._given = None if source is None else sealing_first(_given_keys(source), "key=")
        self._named = os.environ.get("STORE_KEY_FILE")
        self._inline = os.environ.get("STORE_KEY")
        self._path: str | None = None
        self._keys: list[Key] | None = None
        self.by_id: dict[bytes, Key] = {}
        """The keys that are loaded, for a faster look-up than by `find`; another dict after each change."""
        self._sealing: Key | None = None
        self._stamp: object = None
        self.changed: Callable[[], None] = _nothing
        """Called when a key is dropped."""
        self.problem = ""
        """Why there is no key to seal with; empty if there is one, or if one can be made."""
        if self._given is None and not self._named and self._inline is not None:
            self._load()  # an invalid STORE_KEY raises at once

    def sealing_key(self) -> Key | None:
        """The key that seals new records, made now if there is none; None if no key can be made."""
        if self._sealing is not None and self._clock() - self._looked < LOOK_SECONDS:
            return self._sealing
        self._refresh()
        if self._sealing is None:
            if not self.keys():
                self._create()
            if self.keys() and self._sealing is None:
                self.problem = f"every key of {self.where()} is retired: make a new one, `store key new`"
        return self._sealing

    def find(self, key_id: bytes) -> Key | None:
        """The key with that id, or None; looks again at a key file that has changed since."""
        if self._keys is None:
            self._load()
        key = self.by_id.get(key_id)
        if key is None:
            self._refresh()
            key = self.by_id.get(key_id)
        return key

    def look(self) -> None:
        """Looks at a key file now. A writer does so now and then, a reader only for a key that it does not have."""
        if self._keys is None:
            self._load()
        else:
            self._refresh()

    def keys(self) -> list[Key]:
        """All keys, in their order; empty if none was made yet, or if they cannot be used."""
        if self._keys is None:
            self._load()
        return self._keys or []

    def where(self) -> str:
        """Where the keys come from, for messages."""
        if self._given is not None:
            return "the key= of the store" if self._given else "nowhere"
        return self.file() or "STORE_KEY"

    def file(self) -> str | None:
        """The key file, if the keys come from one."""
        if self._given is not None or (not self._named and self._inline is not None):
            return None
        if self._path is None:
            self._path = self._named or default_key_file()
        return self._path

    def unsafe(self) -> str:
        """Why the user's own key file is not used; empty if it is, or if a file was named."""
        file = self.file()
        if file is None or self._named:
            return ""
        return why_unsafe(file) if os.path.isabs(file) else _HOMELESS

    def foreseen_problem(self) -> str:
        """Why there can be no key; empty if there is one, or if one can probably be made."""
        if self.keys():
            return ""
        file = self.file()
        if self.problem or file is None or self._named:
            return self.problem
        return cast(str, late(f"{_CHANGING}:why_unmakeable", file)(file))

    def __repr__(self) -> str:
        return f"<Keyring from {self.where()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are never pickled")

    def _load(self) -> None:
        stamp = self._stamp_now()  # before reading: a change during the read is noticed the next time
        self._hold(self._found(stamp))
        self._stamp = stamp

    def _hold(self, keys: list[Key]) -> None:
        self._keys = keys
        before, self.by_id = self.by_id, {key.id: key for key in reversed(keys)}
        if not before.keys() <= self.by_id.keys():
            self.changed()
        self._sealing = next((key for key in keys if not key.retired), None)
        if self._sealing is not None:
            self.problem = ""

    def _found(self, stamp: object) -> list[Key]:
        """The keys that the source holds now."""
        if self._given is not None:
            return self._given
        file = self.file()
        if file is None:
            return sealing_first(text_keys(self._inline or "", "STORE_KEY"), "STORE_KEY")
        if not self._named:
            self.problem = self.unsafe()
            if self.problem or stamp is None:
                return []
        return read_key_file(file)

    def _refresh(self) -> None:
        """Read a changed key file again. The old keys are kept if the new file is unusable."""
        self._looked = self._clock()
        held, problem = self._keys, self.problem
        try:
            stamp = self._stamp_now()
            if stamp is None or stamp == self._stamp:
                return
            self._load()
        except (StorageError, ValueError):  # it is being edited
            if not held:
                raise
        if held and not self._keys:
            self._hold(held)
            self.problem = problem

    def _create(self) -> None:
        file = self.file()
        if file is None or self._named or self.problem:
            return
        problem = ""
        try:
            late(f"{_CHANGING}:create_key_file", file)(file)
        except OSError as exc:
            if exc.errno in PASSING:
                raise StorageError(
                    f"{file}: your key cannot be made ({exc.strerror}), and nothing was written; free space or see "
                    "the file system's log, and try again",
                    errno=exc.errno,
                    path=file,
                ) from exc
            problem = f"no key can be kept in {file} ({exc.strerror})"
        self._load()
        self.problem = self.problem or problem

    def _stamp_now(self) -> object:
        """A value that changes with the key file; None if there is no file."""
        file = self.file()
        if file is None:
            return None
        try:
            status = os.stat(file)
        except OSError as exc:
            if exc.errno in PASSING:  # it may exist: without it, records would be written without a key
                raise StorageError(
                    f"{file}: your key file cannot be looked at ({exc.strerror}); see the file system's log, and try "
                    "again",
                    errno=exc.errno,
                    path=file,
                ) from exc
            return None
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _nothing() -> None:
    """Called for a dropped key if nothing is cached."""


class NoKeys(Keyring):
    """A ring without keys, which neither loads nor makes any: its seals are checksums."""

    def __init__(self) -> None:
        super().__init__(bytes(KEY_BYTES))  # any key instead of those of the environment and the user; removed next
        self._given = []


def default_key_file() -> str:
    """The file of the user's own keys; a relative path if the user has no home directory."""
    folder = _linux_data_folder()
    if folder:
        return os.path.join(folder, APP_NAME, "keys")
    from platformdirs import user_data_dir

    try:
        return os.path.join(user_data_dir(APP_NAME, appauthor=False), "keys")
    except RuntimeError:  # no home; older releases of platformdirs return the "~"
        return os.path.join("~", APP_NAME, "keys")


def _linux_data_folder() -> str:
    """The user's data directory as `platformdirs` finds it, whose import takes 3.5 ms; empty in its rarer cases."""
    if sys.platform != "linux" or "ANDROID_ROOT" in os.environ:
        return ""
    data, home = os.environ.get("XDG_DATA_HOME", ""), os.environ.get("HOME", "")
    if data:
        return data if os.path.isabs(data) else ""
    return os.path.join(home, ".local", "share") if os.path.isabs(home) else ""


def _given_keys(source: KeySource) -> list[Key]:
    """The keys that `key=` names."""
    if isinstance(source, bytes):
        return bytes_keys(source)
    if isinstance(source, str):
        return text_keys(source, "key=")
    if isinstance(source, os.PathLike):
        return read_key_file(os.fsdecode(source))
    if isinstance(source, Sequence):
        keys = [key for one in source if one is not None for key in _given_keys(cast(KeySource, one))]
        if keys:
            return keys
    raise TypeError(f"key is bytes, str, a path, or a sequence of them (newest first), not {type(source).__name__}")
