"""NumPy arrays and scalars as a description and raw bytes: never a pickle, so foreign records are safe to load.

A body is the length of the header (4 bytes, little-endian), the header (JSON in ASCII), zeros up to a multiple of 64,
and the data. The header says whether the data follows or is in a separate buffer.
"""

from __future__ import annotations

import json
import math
from pickle import PickleBuffer
from typing import Any

import numpy as np

from store.classes.allowlist import Allowed
from store.classes.lookup import AS_WRITTEN, Lookup
from store.codecs.contract import Buffers, Description, TakeBuffer
from store.codecs.numpy import dtype as numpy_dtype
from store.errors import Corrupt, NotSerializable

ALIGNMENT = 64  # on disk, do not change: size of a cache line and of the widest vector register
LARGE = 64 * 1024  # bytes from which data is passed to `buffer_callback`, if there is one
MAX_HEADER = 1024 * 1024
MAX_EMPTY = 64 * 1024 * 1024  # bytes that an empty array could take if none of its sizes were 0
MAX_SHOWN = 100_000
_SHOWN_ELEMENTS = 100
_SHOWN_BYTES = 16 * 1024  # bytes of the largest element that is shown

_Bytes = np.ndarray[Any, np.dtype[np.uint8]]


class NumpyCodec:
    """Holds NumPy's scalars and arrays of exactly `numpy.ndarray`, except arrays of objects."""

    name = "numpy"
    protocols = range(1, 2)
    default_protocol = 1

    def encode(self, value: Any, protocol: int, buffer_callback: TakeBuffer | None = None) -> bytes:
        try:
            header, data = _taken_apart(value)
            front = _front(header)
            if _split(memoryview(front))[0] != header:
                raise ValueError(
                    "a name of a field has surrogates side by side, which would come back as one character"
                )
        except (ValueError, TypeError, OverflowError) as exc:
            raise NotSerializable(f"the codec 'numpy' cannot hold the value: {exc}; use the codec 'pickle'") from exc
        if buffer_callback is None or data.nbytes < LARGE or buffer_callback(PickleBuffer(data.data)):
            return b"".join((front, data.data))
        return _front({**header, "beside": True})

    def decode(self, body: bytes, buffers: Buffers = (), *, lookup: Lookup = AS_WRITTEN) -> Any:
        return _decode(body, buffers, restricted=False)

    def decode_restricted(
        self, body: bytes, buffers: Buffers = (), *, allow: Allowed, lookup: Lookup = AS_WRITTEN
    ) -> Any:
        return _decode(body, buffers, restricted=True)

    def describe(self, body: bytes) -> Description:
        try:
            header, data = _split(memoryview(body))
            dtype = _checked(header)
            shape = tuple(header["shape"])
            text = f"{dtype} {header['kind']}, shape {shape}, order {header['order']}"
            if header["beside"]:
                return (), f"{text}, its data in a buffer beside the body"[:MAX_SHOWN], None
            made = _put_together({**header, "beside": True}, dtype, data)  # read without a copy
        except (ValueError, TypeError, OverflowError, RecursionError) as exc:
            return (), repr(bytes(body[:1000])), str(_corrupt(exc))
        return (), f"{text}, {_elements(made)}"[:MAX_SHOWN], None


def _corrupt(exc: Exception) -> Corrupt:
    return Corrupt(f"the bytes are not an array as this codec writes it: {exc}")


# -- to bytes


def _taken_apart(value: Any) -> tuple[dict[str, Any], _Bytes]:
    """Header and data. Raises: ValueError: the codec cannot hold the value."""
    if type(value) is not np.ndarray and not (
        isinstance(value, np.generic) and type(value) is value.dtype.type  # not a class of the program
    ):
        raise ValueError(f"it is a {type(value).__qualname__}, not a numpy.ndarray itself or one of NumPy's scalars")
    is_array = type(value) is np.ndarray
    header = {
        "kind": "array" if is_array else "scalar",
        "dtype": numpy_dtype.describe(value.dtype),
        "shape": list(value.shape),
        "order": "F" if is_array and value.flags.f_contiguous and not value.flags.c_contiguous else "C",
        "beside": False,
    }
    made = _checked(header)
    if made != value.dtype or numpy_dtype.describe(made) != header["dtype"]:
        raise ValueError(f"its dtype {value.dtype} would come back as {made}")
    return header, _flat(value) if is_array else _as_bytes(_scalar_bytes(value))


def _as_bytes(data: bytes | memoryview) -> _Bytes:
    return np.ndarray(len(data), np.uint8, buffer=data)


def _flat(array: Any) -> _Bytes:
    """The bytes of an array in its order: a view if it is contiguous, else a copy."""
    if array.nbytes == 0:
        return _as_bytes(b"")
    if not array.flags.c_contiguous:
        # Copied as a whole: copying field by field would leave the padding between the fields undefined.
        array = array.T if array.flags.f_contiguous else np.ascontiguousarray(array.view(f"V{array.itemsize}"))
    flat: _Bytes = array.reshape(-1).view(np.uint8)
    return flat


def _scalar_bytes(value: Any) -> bytes:
    """The bytes of a scalar. Text and bytes do not go through an array, which would drop trailing zeros."""
    if type(value) is np.str_:
        return value.encode("utf-32-le" if value.dtype.str[0] == "<" else "utf-32-be", "surrogatepass")
    return bytes(value) if type(value) is np.bytes_ else value.tobytes()


def _front(header: dict[str, Any]) -> bytes:
    """Everything but the data."""
    text = json.dumps(header, separators=(",", ":"))
    if len(text) > MAX_HEADER:
        raise ValueError(f"its dtype takes more than {MAX_HEADER} bytes to describe")
    front = len(text).to_bytes(4, "little") + text.encode("ascii")
    return front + b"\0" * (-len(front) % ALIGNMENT)


# -- from bytes


def _decode(body: Any, buffers: Buffers, restricted: bool) -> Any:
    try:
        header, data = _split(memoryview(body))
        dtype = _checked(header)
        if header["beside"]:
            if data.nbytes or header["kind"] != "array":
                raise ValueError("its data cannot be in a separate buffer")
            data = memoryview(next(iter(buffers), b"")).cast("B")
        if restricted:
            numpy_dtype.check_layout(dtype)
            if data.nbytes and dtype.itemsize and data.nbytes % dtype.itemsize == 0:
                numpy_dtype.check_content(_as_bytes(data).reshape(-1, dtype.itemsize), dtype)
        return _put_together(header, dtype, data)
    except (ValueError, TypeError, OverflowError, RecursionError, BufferError) as exc:
        raise _corrupt(exc) from exc


def _split(body: memoryview) -> tuple[dict[str, Any], memoryview]:
    """Header and data. Checks only that the header is written as `_front` writes it."""
    size = int.from_bytes(body[:4], "little")
    text = bytes(body[4 : 4 + min(size, MAX_HEADER)])
    header = json.loads(text)
    if type(header) is not dict or set(header) != {"kind", "dtype", "shape", "order", "beside"}:
        raise ValueError("its header is something else")
    front = _front(header)
    if body[: len(front)] != front:
        raise ValueError("its header is not written as by this codec")
    return header, body[len(front) :]


def _checked(header: dict[str, Any]) -> np.dtype[Any]:
    """The dtype. Raises: ValueError, TypeError: the header does not describe an array or scalar."""
    shape = header["shape"]
    numpy_dtype.check_shape(shape)
    dtype = numpy_dtype.build(header["dtype"], len(shape))
    if header["kind"] not in ("array", "scalar") or header["order"] not in ("C", "F") or dtype.subdtype is not None:
        raise ValueError("its header is something else")
    if header["kind"] == "scalar" and shape:
        raise ValueError("a scalar has no shape")
    if type(header["beside"]) is not bool:
        raise ValueError("its header is something else")
    if math.prod(shape) * dtype.itemsize == 0 and numpy_dtype.extent(shape, dtype.itemsize) > MAX_EMPTY:
        raise ValueError("it has no bytes, and too many elements or too large ones")
    return dtype


def _put_together(header: dict[str, Any], dtype: np.dtype[Any], data: memoryview) -> Any:
    shape, order = tuple(header["shape"]), header["order"]
    size = math.prod(shape) * dtype.itemsize
    if data.nbytes != size:
        raise ValueError(f"it has {data.nbytes} bytes of data where {size} belong")
    if header["kind"] == "scalar":
        return scalar_of(dtype, data)
    if header["beside"]:
        made: np.ndarray[Any, Any] = np.ndarray(shape, dtype, buffer=data, order=order)
    else:
        made = np.ndarray(shape, dtype, order=order)
        _fill(made, data)
    if (order == "F") is made.flags.c_contiguous:
        raise ValueError("its order is not written as by this codec")
    return made


def _fill(made: np.ndarray[Any, Any], data: memoryview) -> None:
    if data.nbytes:
        _flat(made)[:] = _as_bytes(data)


def scalar_of(dtype: np.dtype[Any], data: memoryview) -> Any:
    """The scalar with that data, which the caller has checked."""
    if dtype.kind == "U":
        return np.str_(str(data, "utf-32-le" if dtype.str[0] == "<" else "utf-32-be", "surrogatepass"))
    if dtype.kind == "S":
        return np.bytes_(bytes(data))
    made: np.ndarray[Any, Any] = np.ndarray((), dtype)
    _fill(made, data)
    return made[()]


# -- describing


def _elements(made: Any) -> str:
    """The first elements as text, flattened: shortened by dimension, as NumPy does, 30 dimensions are too long."""
    if made.dtype.itemsize > _SHOWN_BYTES:
        return f"elements of {made.dtype.itemsize} bytes"
    values = numpy_dtype.values_in(made.dtype)  # more than bytes where fields overlap, or take none
    if values > _SHOWN_BYTES:
        return f"elements of {values:,} values each"
    most = _SHOWN_BYTES // max(made.dtype.itemsize, values)
    first = np.asarray(made).flat[: min(_SHOWN_ELEMENTS, most)]
    try:
        text = np.array2string(first, threshold=_SHOWN_ELEMENTS)
    except Exception as exc:  # an invalid character has no text
        return f"elements that cannot be shown: {exc}"
    return text if first.size == made.size else f"the first {first.size} elements {text}"


codec = NumpyCodec()
