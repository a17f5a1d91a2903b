"""joblib: pickles in which the contents of NumPy arrays stand as they are, for models and other large values.

Format: a pickle, with the bytes of each array after the opcodes that make it. https://joblib.readthedocs.io
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import joblib
from joblib.numpy_pickle import NumpyUnpickler

from store.allowlist import Allowed
from store.codecs.pickled import Buffers, Pickled, unpickled
from store.lookup import AS_WRITTEN, Lookup


class JoblibCodec(Pickled):
    """Whatever pickle can hold, arrays at the speed of a copy."""

    name = "joblib"
    protocols = range(2, 6)

    def dumps(self, value: Any, protocol: int, buffer_callback: Callable[[Any], Any] | None) -> bytes:
        file = io.BytesIO()
        joblib.dump(value, file, protocol=protocol)
        return file.getvalue()

    def loads(self, body: bytes, buffers: Buffers, lookup: Lookup) -> Any:
        # joblib.load would turn arrays of the other byte order into this machine's.
        return unpickled(NumpyUnpickler, body, lookup, "", ensure_native_byte_order=False)

    def decode_restricted(
        self, body: bytes, buffers: Buffers = (), *, allow: Allowed, lookup: Lookup = AS_WRITTEN
    ) -> Any:
        from store.codecs import restricted_joblib  # for records of others alone

        return restricted_joblib.codec.decode_restricted(body, buffers, allow=allow, lookup=lookup)


codec = JoblibCodec()
