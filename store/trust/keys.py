"""The keys that seal records: where they come from, in which order, and how one is made.

A key file holds one key a line, 64 hexadecimal digits, newest first: the first one seals, all verify.
Blank lines and lines that begin with `#` are ignored. The user's own key file is made at the first write,
never by a reader, in the user's data directory, never beside a database.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import NoReturn, cast

from store.errors import StorageError

KEY_BYTES = 32
ID_BYTES = 8
UNKEYED = bytes(ID_BYTES)  # the key id of a seal that was made without a key: a checksum
APP_NAME = "sealed-store"  # the folder in the user's data directory

_HOMELESS = "this user has no home directory to keep a key in"
_HOW_TO_WRITE = "64 hexadecimal digits, for example from `openssl rand -hex 32`"

KeySource = bytes | str | os.PathLike[str] | Sequence["bytes | str | os.PathLike[str]"] | None


class Key:
    """One secret. Its `id` is public and is stored with each seal; nothing else of it is ever shown."""

    __slots__ = ("_secret", "id")

    def __init__(self, material: bytes) -> None:
        if not material:
            raise ValueError("a key may not be empty")
        # The material may have any length; blake2b takes keys of up to 64 bytes (RFC 7693).
        self._secret = blake2b(material, digest_size=KEY_BYTES, person=b"store.key.v1").digest()
        self.id = self.derive(b"store.key-id.v1")[:ID_BYTES]

    def derive(self, purpose: bytes) -> bytes:
        """Another secret for one purpose, from which this one cannot be found; 32 bytes."""
        return blake2b(key=self._secret, digest_size=KEY_BYTES, person=purpose).digest()

    def __repr__(self) -> str:
        return f"<Key {self.id.hex()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are never pickled")


class Keyring:
    """The keys of one program. The first seals, all verify; found late, by the first read or write.

    Args:
        source: what the program gave as `key=`: a secret (bytes or str), the path of a key file, or several,
            newest first. None: the file named by STORE_KEY_FILE, else the key in STORE_KEY, else the user's
            own key file.
    """

    def __init__(self, source: KeySource = None) -> None:
        self._given = _given_keys(source)
        self._environment = {name: os.environ.get(name) for name in ("STORE_KEY_FILE", "STORE_KEY")}
        self._keys: list[Key] | None = None
        self._stamp: object = None
        self.problem = ""
        """Why there is no key to seal with; empty where there is one, or where one can be made."""
        if self._given is None and self._file() is None:
            self._load()  # a bad STORE_KEY is told at once

    def sealing_key(self) -> Key | None:
        """The key that new records are sealed with; made now if there is none. None: none can be had."""
        if not self._loaded():
            self._create()
        keys = self._loaded()
        return keys[0] if keys else None

    def find(self, key_id: bytes) -> Key | None:
        """The key with that id, or None; looks again at a key file that has changed since."""
        for key in self._loaded():
            if key.id == key_id:
                return key
        if self._file() is not None and self._stamp_now() != self._stamp:
            self._keys = None
            return next((key for key in self._loaded() if key.id == key_id), None)
        return None

    def where(self) -> str:
        """Where the keys come from, for messages."""
        if self._given is not None:
            return "the key= of the store"
        file = self._file()
        return str(file) if file is not None else "STORE_KEY"

    def __repr__(self) -> str:
        return f"<Keyring from {self.where()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are never pickled")

    def _file(self) -> Path | None:
        """The key file, where the keys come from one."""
        if self._given is not None:
            return None
        if self._environment["STORE_KEY_FILE"]:
            return Path(self._environment["STORE_KEY_FILE"])
        return None if self._environment["STORE_KEY"] is not None else default_key_file()

    def _loaded(self) -> list[Key]:
        if self._keys is None:
            self._load()
        return self._keys or []

    def _load(self) -> None:
        file = self._file()
        if self._given is not None:
            self._keys = self._given
        elif file is None:
            self._keys = _parse(self._environment["STORE_KEY"] or "", "STORE_KEY")
        elif self._environment["STORE_KEY_FILE"]:
            self._stamp, self._keys = self._stamp_now(), read_key_file(file)
        else:
            self._stamp = self._stamp_now()
            self._keys = self._own_keys(file)

    def _own_keys(self, file: Path) -> list[Key]:
        """Those of the user's own file, unless somebody else could have written or read it."""
        self.problem = _why_unsafe(file) if file.is_absolute() else _HOMELESS
        if self.problem or self._stamp is None:
            return []
        return read_key_file(file)

    def _create(self) -> None:
        file = self._file()
        if file is None or self._environment["STORE_KEY_FILE"] or self.problem:
            return
        try:
            create_key_file(file)
        except OSError as exc:
            self.problem = f"no key can be kept in {file} ({exc.strerror})"
        self._keys = None
        problem = self.problem
        self._load()
        self.problem = self.problem or problem

    def _stamp_now(self) -> object:
        file = self._file()
        try:
            status = os.stat(file) if file is not None else None
        except OSError:
            return None
        return status and (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def default_key_file() -> Path:
    """Where the user's own keys are kept; a relative path where the user has no home."""
    from platformdirs import user_data_path  # 25 ms that only the default source has to pay

    try:
        return user_data_path(APP_NAME, appauthor=False) / "keys"
    except RuntimeError:  # no home; older releases of platformdirs leave the "~" as it is
        return Path("~", APP_NAME, "keys")


def read_key_file(file: Path) -> list[Key]:
    """The keys of a file, in its order.

    Raises:
        StorageError: it cannot be read. ValueError: it holds no key, or something else than keys.
    """
    try:
        text = file.read_text("ascii", "replace")
    except OSError as exc:
        raise StorageError(
            f"the key file {file} cannot be read: {exc.strerror}", errno=exc.errno, path=str(file)
        ) from exc
    return _parse(text, f"the key file {file}")


def create_key_file(file: Path) -> None:
    """Make the file with one new key, unless somebody was faster: 16 that start at once agree on one.

    A temporary file is linked to the name, which fails where the name exists; so no reader ever sees half
    a key, and no writer replaces one. Raises: OSError.
    """
    _make_folder(file.parent)
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(KEY_BYTES) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        with suppress(FileExistsError):
            os.link(temporary, file)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
    _sync_folder(file.parent)


def _make_folder(folder: Path) -> None:
    """Make the data directory below a home that exists; a home that does not is nobody's to make."""
    with suppress(RuntimeError):  # no home at all: then XDG_DATA_HOME named the folder
        home = Path.home()
        if folder.is_relative_to(home) and not home.is_dir():
            raise FileNotFoundError(errno.ENOENT, f"the home directory {home} does not exist")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _why_unsafe(file: Path) -> str:
    """What is wrong with the user's own key file; empty where nothing is, or where there is none."""
    try:
        status = os.lstat(file)
    except OSError:
        return ""
    if not stat.S_ISREG(status.st_mode):
        return f"{file} is not a regular file and was not used: remove it"
    if os.name != "posix":
        return ""
    if status.st_uid != os.geteuid():
        return f"{file} belongs to another user and was not used: chown it, or name a file in STORE_KEY_FILE"
    if status.st_mode & 0o077:
        return f"{file} is open to other users and was not used: chmod 600 {file}"
    return ""


def _parse(text: str, where: str) -> list[Key]:
    keys = [Key(bytes.fromhex(line)) for line in _key_lines(text, where)]
    if not keys:
        raise ValueError(f"{where} holds no key: a key is {_HOW_TO_WRITE}")
    return keys


def _key_lines(text: str, where: str) -> Iterator[str]:
    for number, raw in enumerate(text.replace(",", "\n").splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if len(line) != 2 * KEY_BYTES or not all(digit in "0123456789abcdefABCDEF" for digit in line):
            raise ValueError(f"{where}, line {number}: a key is {_HOW_TO_WRITE}")
        yield line


def _given_keys(source: KeySource) -> list[Key] | None:
    """The keys that `key=` names; None where it names none."""
    if source is None:
        return None
    if isinstance(source, bytes | str):
        return [Key(source.encode() if isinstance(source, str) else source)]
    if isinstance(source, os.PathLike):
        return read_key_file(Path(source))
    if isinstance(source, Sequence):
        keys = [key for one in source for key in _given_keys(cast(KeySource, one)) or ()]
        if keys:
            return keys
    raise TypeError(f"key is bytes, str, a path, or a sequence of them (newest first), not {type(source).__name__}")
