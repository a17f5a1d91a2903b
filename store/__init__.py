"""A dict on disk that several processes can share and that never runs somebody else's code.

    from store import Store

    with Store("app.db") as s:
        s["settings"] = {"theme": "dark"}
        with s.edit("settings") as settings:
            settings["theme"] = "light"

`import store as shelve` runs a program that was written for the standard library's `shelve`.
"""

from store import codecs, errors
from store.allowlist import allow
from store.codecs import pickle as _pickle  # so that `store.codecs.pickle` is there
from store.codecs.placeholder import Placeholder
from store.errors import *
from store.evolution import versioned
from store.mapping import Store
from store.record import Record
from store.shelf import DbfilenameShelf as DbfilenameShelf  # "as": exported to type checkers too
from store.shelf import Shelf as Shelf
from store.shelf import open as open

__version__ = "0.1.0"

__all__ = ["Store", "Record", "Placeholder", "allow", "versioned", "codecs", "errors", *errors.__all__]
