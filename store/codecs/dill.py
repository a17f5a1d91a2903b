"""dill: pickles that hold functions, classes, modules' contents, and more, by value.

Format: that of pickle. https://dill.readthedocs.io
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

_already = "dill" in sys.modules

import dill  # noqa: E402

from store.classes.lookup import Lookup  # noqa: E402
from store.codecs.pickle.pickled import Buffers, Unrestrained, unpickled  # noqa: E402

if (
    not _already
):  # its import changes the stdlib's pickler in Python for the whole program, which asked for no such thing
    dill.extend(use_dill=False)


class DillCodec(Unrestrained):
    """Whatever dill can hold. What it stores by value is code: only records of yours are decoded."""

    name = "dill"

    def dumps(self, value: Any, protocol: int, buffer_callback: Callable[[Any], Any] | None) -> bytes:
        # recurse: else a function of `__main__` looks for its globals in the program that reads it.
        return dill.dumps(value, protocol, recurse=True)  # type: ignore[no-any-return]

    def loads(self, body: bytes, buffers: Buffers, lookup: Lookup) -> Any:
        return unpickled(dill.Unpickler, body, lookup)


codec = DillCodec()
