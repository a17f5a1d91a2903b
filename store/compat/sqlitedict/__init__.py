"""The names of the library sqlitedict 2.1: `import store.compat.sqlitedict as sqlitedict` moves a program over.

    from store.compat.sqlitedict import SqliteDict

    with SqliteDict("app.db") as db:
        db["colors"] = {"red": (255, 0, 0)}
        db.commit()

The differences are in the table of `store/compat/README.md`.
"""

from store.compat.sqlitedict.coding import decode, decode_key, encode, encode_key, identity
from store.compat.sqlitedict.dictionary import SqliteDict, open
from store.compat.sqlitedict.place import logger

__version__ = "2.1.0"  # of the library whose names these are

__all__ = ["SqliteDict", "open", "encode", "decode", "encode_key", "decode_key", "identity", "logger"]
