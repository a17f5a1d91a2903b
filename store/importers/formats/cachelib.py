"""Folders of cachelib's `FileSystemCache`, which Flask-Caching and Flask-Session use as well.

A file has four bytes with the expiry, in Unix seconds and the byte order of the machine, or 0; then the value as a
pickle, or as JSON where the program has set that serializer. Old versions (0.4) have the expiry as a pickle too.
https://cachelib.readthedocs.io/en/stable/file/

The file's name is a hash of the key: SHA-256 now, MD5 in older versions. The key itself is stored nowhere, so the
record's name is that hash: `hashlib.sha256(key.encode()).hexdigest()` finds it again. The key of Flask-Session is
"session:" and the session id, unless `SESSION_KEY_PREFIX` says otherwise.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import Generator

from store.importers.compressed import MAX_BYTES
from store.importers.contract import Found
from store.importers.files import beneath, is_file, is_pickle, names_in

_HASH = re.compile(r"(?:[0-9a-f]{2}){16,64}")
_UNFINISHED = ".__wz_cache"
_COUNTERS = {  # the number of files, under the hash of a fixed key: bookkeeping, not a record
    hashlib.new(method, b"__wz_cache_count", usedforsecurity=False).hexdigest()
    for method in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
}
_EXPIRY = struct.Struct("=I")
_PICKLED_EXPIRY = re.compile(rb"(?s)(?:K(?P<one>.)|J(?P<four>....))\.(?=\x80)")  # 0 and recent times, in protocol 1
_JSON = re.compile(rb'[{\["\-0-9tfn]')


class CachelibImporter:
    """Reads a folder of files that are named by hashes."""

    def __init__(self, name: str) -> None:
        self.name = name

    def recognises(self, path: str) -> bool:
        try:
            names = os.listdir(path)
        except OSError:
            return False
        return not names or any(_HASH.fullmatch(name) and is_file(os.path.join(path, name)) for name in names)

    def read(self, path: str, *, table: str | None = None) -> Generator[Found]:
        for name in names_in(path):
            if name not in _COUNTERS:
                yield _found(path, name)


def _found(folder: str, name: str) -> Found:
    if name.endswith(_UNFINISHED):
        return Found(name, problem="it is a write that was not finished", skipped=True)
    if not _HASH.fullmatch(name):
        return Found(name, problem="its name is no hash of a key", skipped=True)
    try:
        expires, body = _parts(beneath(folder, name, MAX_BYTES))
    except (ValueError, OSError) as exc:
        return Found(name, problem=str(exc))
    return Found(name, body, "pickle" if is_pickle(body) else "json", expires or None)


def _parts(data: bytes) -> tuple[int, bytes]:
    """The expiry, and the bytes of the value. Raises: ValueError: cachelib does not write that."""
    pickled = _PICKLED_EXPIRY.match(data)
    if pickled and not is_pickle(data[_EXPIRY.size :]):
        digits = pickled["one"] or pickled["four"]
        return int.from_bytes(digits, "little"), data[pickled.end() :]
    body = data[_EXPIRY.size :]
    if not is_pickle(body) and not _JSON.match(body):
        raise ValueError("it is not in cachelib's form: an expiry, and then a pickle or JSON")
    return _EXPIRY.unpack_from(data)[0], body


importer = CachelibImporter("cachelib")
flask_session = CachelibImporter("flask-session")
