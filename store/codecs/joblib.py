"""joblib: pickles in which the contents of NumPy arrays stand as they are, for models and other large values.

Format: a pickle, with the bytes of each array after the opcodes that make it. https://joblib.readthedocs.io
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import joblib  # noqa: F401  # first, so that it is what is named where it is missing
from joblib.numpy_pickle import NumpyPickler, NumpyUnpickler

from store.classes.lookup import Lookup
from store.codecs.not_read_back import NotReadBack
from store.codecs.pickle.pickled import Buffers, Unrestrained, unpickled


class _Pickler(NumpyPickler):  # type: ignore[misc]
    """joblib's, which refuses the two classes of arrays that joblib writes and would give back as plain arrays."""

    def save(self, obj: Any) -> Any:
        if self.np is not None and type(obj) in (self.np.matrix, self.np.memmap):
            raise NotReadBack(
                "would come back as numpy.ndarray", remedy="store numpy.asarray(it), or use the codec 'pickle'"
            )
        return super().save(obj)


class JoblibCodec(Unrestrained):
    """Whatever pickle can hold, arrays at the speed of a copy. Only records of yours are decoded."""

    name = "joblib"

    def dumps(self, value: Any, protocol: int, buffer_callback: Callable[[Any], Any] | None) -> bytes:
        file = io.BytesIO()
        _Pickler(file, protocol=protocol).dump(value)
        return file.getvalue()

    def loads(self, body: bytes, buffers: Buffers, lookup: Lookup) -> Any:
        # joblib.load would turn arrays of the other byte order into this machine's.
        return unpickled(NumpyUnpickler, body, lookup, "", ensure_native_byte_order=False)


codec = JoblibCodec()
