"""A dict on disk that several processes can share and that never runs somebody else's code.

    from store import Store

    with Store("app.db") as s:
        s["settings"] = {"theme": "dark"}
        with s.edit("settings") as settings:
            settings["theme"] = "light"

`import store as shelve` runs a program that was written for the standard library's `shelve`.
"""

import typing as _typing

from store import codecs, errors
from store.classes.allowlist import allow
from store.codecs import pickle as _pickle  # so that `store.codecs.pickle` is there
from store.errors import *
from store.mapping.store import Store
from store.shelf import DbfilenameShelf as DbfilenameShelf  # "as": exported to type checkers too
from store.shelf import Shelf as Shelf
from store.shelf import open as open

if _typing.TYPE_CHECKING:
    from store.care.backup import restore
    from store.care.recover import recover
    from store.classes.placeholder import Placeholder
    from store.classes.versions import versioned
    from store.rows.record import Record

__version__ = "0.1.0"

__all__ = [
    "Store",
    "Record",
    "Placeholder",
    "allow",
    "versioned",
    "recover",
    "restore",
    "codecs",
    "errors",
    *errors.__all__,
]


_LATE = {
    "Record": "store.rows.record",
    "Placeholder": "store.classes.placeholder",
    "versioned": "store.classes.versions",
    "recover": "store.care.recover",
    "restore": "store.care.backup",
}


def __getattr__(name: str) -> _typing.Any:
    """What few programs need is loaded when it is asked for (PEP 562)."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
    from importlib import import_module

    return globals().setdefault(name, getattr(import_module(_LATE[name]), name))


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
