"""joblib: pickles in which the contents of NumPy arrays stand as they are, for models and other large values.

Format: a pickle, with the bytes of each array after the opcodes that make it. https://joblib.readthedocs.io
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import joblib
from joblib.numpy_pickle import NumpyUnpickler

from store.codecs.pickled import Buffers, Unrestrained, unpickled
from store.lookup import Lookup


class JoblibCodec(Unrestrained):
    """Whatever pickle can hold, arrays at the speed of a copy. Only records of yours are decoded."""

    name = "joblib"

    def dumps(self, value: Any, protocol: int, buffer_callback: Callable[[Any], Any] | None) -> bytes:
        file = io.BytesIO()
        joblib.dump(value, file, protocol=protocol)
        return file.getvalue()

    def loads(self, body: bytes, buffers: Buffers, lookup: Lookup) -> Any:
        # joblib.load would turn arrays of the other byte order into this machine's.
        return unpickled(NumpyUnpickler, body, lookup, "", ensure_native_byte_order=False)


codec = JoblibCodec()
