"""joblib: pickles with the raw contents of NumPy arrays, for models and other large values.

Only records sealed with a key of the user are decoded. Format: a pickle, with the bytes of each array after the
opcodes that make it. https://joblib.readthedocs.io
"""

from __future__ import annotations

import io
from typing import Any

import joblib  # noqa: F401  # first, so that it is what is named where it is missing
from joblib.numpy_pickle import NumpyPickler, NumpyUnpickler

from store.classes.lookup import Lookup
from store.codecs.contract import Buffers, NotReadBack, TakeBuffer
from store.codecs.pickle.based import PickleBased, unpickled


class _Pickler(NumpyPickler):  # type: ignore[misc]
    """joblib's pickler, except that it refuses the two array classes that joblib would read back as plain arrays."""

    def save(self, obj: Any) -> Any:
        if self.np is not None and type(obj) in (self.np.matrix, self.np.memmap):
            raise NotReadBack(
                "would come back as numpy.ndarray", remedy="store numpy.asarray(it), or use the codec 'pickle'"
            )
        return super().save(obj)


def _dumps(value: Any, protocol: int, buffer_callback: TakeBuffer | None) -> bytes:
    file = io.BytesIO()
    _Pickler(file, protocol=protocol).dump(value)
    return file.getvalue()


def _loads(body: bytes, buffers: Buffers, lookup: Lookup) -> Any:
    # joblib.load would turn arrays of the other byte order into this machine's.
    return unpickled(NumpyUnpickler, body, lookup, "", ensure_native_byte_order=False)


codec = PickleBased("joblib", _dumps, _loads, _Pickler)
