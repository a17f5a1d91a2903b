"""dill: pickles that hold functions, classes, modules' contents, and more, by value.

Such pickles store code: only records sealed with a key of the user are decoded. The format is pickle.
https://dill.readthedocs.io
"""

from __future__ import annotations

import sys
from typing import Any

_already = "dill" in sys.modules

import dill  # noqa: E402

from store.classes.lookup import Lookup  # noqa: E402
from store.codecs.contract import Buffers, TakeBuffer  # noqa: E402
from store.codecs.pickle.based import PickleBased, unpickled  # noqa: E402

if not _already:
    # Importing dill changes the stdlib's Python pickler for the whole program: this undoes it.
    dill.extend(use_dill=False)


class _Pickler(dill.Pickler):  # type: ignore[misc]
    def __init__(self, file: Any, protocol: int) -> None:
        super().__init__(file, protocol, recurse=True)


def _dumps(value: Any, protocol: int, buffer_callback: TakeBuffer | None) -> bytes:
    # recurse: otherwise a function of `__main__` looks up its globals in the program that reads it.
    return dill.dumps(value, protocol, recurse=True)  # type: ignore[no-any-return]


def _loads(body: bytes, buffers: Buffers, lookup: Lookup) -> Any:
    return unpickled(dill.Unpickler, body, lookup)


codec = PickleBased("dill", _dumps, _loads, _Pickler)
