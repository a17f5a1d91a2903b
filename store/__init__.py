"""A dict on disk that several processes can share and that never runs somebody else's code.

    from store import Store

    with Store("app.db") as s:
        s["settings"] = {"theme": "dark"}
        with s.edit("settings") as settings:
            settings["theme"] = "light"

`import store as shelve` runs a program that was written for the standard library's `shelve`.
"""

import sys as _sys
import types as _types
import typing as _typing
from importlib import import_module as _import_module
from importlib.machinery import ModuleSpec as _ModuleSpec

from store import codecs, errors
from store.classes.allowlist import allow
from store.codecs import pickle as _pickle  # so that `store.codecs.pickle` is there
from store.errors import *
from store.mapping.store import Store
from store.opened.options import StoreOptions as StoreOptions
from store.opened.sentinels import ABSENT
from store.shelf import DbfilenameShelf as DbfilenameShelf  # "as": exported to type checkers too
from store.shelf import Shelf as Shelf
from store.shelf import open as open

if _typing.TYPE_CHECKING:
    from store.aio import AsyncStore as AsyncStore
    from store.cache import Cache as Cache
    from store.care.backup import restore
    from store.care.copy import copy as copy  # not for `import *`, as `open`: it would hide the standard library's
    from store.care.destroy import destroy
    from store.care.recover import recover
    from store.classes.placeholder import Placeholder
    from store.classes.versions import versioned
    from store.mapping.sharding.resharding import reshard as reshard
    from store.memo import memo as memoize
    from store.rows.record import Record
    from store.sessions import Sessions as Sessions
    from store.settings import Settings as Settings

__version__ = "0.1.0"

__all__ = [
    "Store",
    "ABSENT",
    "Record",
    "Placeholder",
    "allow",
    "versioned",
    "destroy",
    "recover",
    "restore",
    "codecs",
    "errors",
    *errors.__all__,
]


_LATE = {
    "AsyncStore": "store.aio:AsyncStore",
    "Cache": "store.cache:Cache",
    "Placeholder": "store.classes.placeholder:Placeholder",
    "Record": "store.rows.record:Record",
    "Sessions": "store.sessions:Sessions",
    "Settings": "store.settings:Settings",
    "copy": "store.care.copy:copy",
    "destroy": "store.care.destroy:destroy",
    "memoize": "store.memo:memo",
    "recover": "store.care.recover:recover",
    "reshard": "store.mapping.sharding.resharding:reshard",
    "restore": "store.care.backup:restore",
    "versioned": "store.classes.versions:versioned",
}

# Modules that moved, by the names that older pickles and programs have. An entry stays for ever.
_MOVED = {
    "store.aio_handle": "store.aio.handle",
    "store.aio_sessions": "store.aio.sessions",
    "store.backups": "store.care.backup",
    "store.changes": "store.watching.changes",
    "store.codecs.placeholder": "store.classes.placeholder",
    "store.companions": "store.system.rights",
    "store.compaction": "store.care.compact",
    "store.evolution": "store.classes.versions",
    "store.handle": "store.mapping.store",
    "store.inspection": "store.care.inspect",
    "store.record": "store.rows.record",
    "store.recovery": "store.care.recover",
    "store.rekey": "store.care.rekey",
    "store.row": "store.rows.row",
    "store.stats": "store.care.stats",
    "store.upgrade": "store.care.upgrade",
    "store.verification": "store.care.verify",
}


class _MovedModules:
    """Imports a module of `_MOVED` by its old name: the new module itself, so that no class is there twice."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> _ModuleSpec | None:
        return _ModuleSpec(name, _MovedModules) if name in _MOVED else None  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: _ModuleSpec) -> None:
        """The default: an empty module, which `exec_module` replaces."""

    @staticmethod
    def exec_module(module: _types.ModuleType) -> None:
        _sys.modules[module.__name__] = _import_module(_MOVED[module.__name__])


_sys.meta_path.append(_MovedModules)


def __getattr__(name: str) -> _typing.Any:
    """Names that few programs need are loaded on first use (PEP 562)."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
    module, _, attribute = _LATE[name].partition(":")
    return globals().setdefault(name, getattr(_import_module(module), attribute))


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
