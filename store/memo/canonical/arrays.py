"""Canonical forms of values of NumPy: arrays, scalars, dtypes and random generators."""

from __future__ import annotations

import sys
from typing import Any

from store.memo.canonical.writer import Writer

EXTENDED_BITS, EXTENDED_BYTES = 63, 10  # of the fraction, and in all, of x87's floats (Intel SDM 1, 4.2.2)


def write_numpy(writer: Writer, value: Any) -> bool:
    """Write a value of NumPy, which is not imported here; whether it was one."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not hasattr(numpy, "generic"):  # partly imported
        return False
    if type(value) in (numpy.ndarray, getattr(numpy, "memmap", None)):
        _write_array(writer, numpy.asarray(value))
    elif isinstance(value, numpy.generic):
        writer.sequence("numpy scalar", (numpy.asarray(value),))
    elif isinstance(value, numpy.dtype):
        _write_dtype(writer, value)
    elif isinstance(value, numpy.ufunc):
        writer.text("ufunc", value.__name__)
    else:
        return _write_random(writer, value)
    return True


def _write_array(writer: Writer, array: Any) -> None:
    writer.sequence("ndarray", (array.dtype, array.shape))
    if array.dtype.names is not None:  # field by field: between fields there may be bytes that mean nothing
        for name in array.dtype.names:
            _write_array(writer, array[name])
    elif array.dtype.kind in "OT":
        writer.write(array.tolist())
    else:
        writer.atom("content", _content(array))


def _content(array: Any) -> bytes:
    """The bytes of an array's elements; of extended floats without the padding."""
    numpy = sys.modules["numpy"]
    kind: Any = {"f": numpy.longdouble, "c": numpy.clongdouble}.get(array.dtype.kind)
    if kind is None or array.dtype.itemsize != numpy.dtype(kind).itemsize or numpy.finfo(kind).nmant != EXTENDED_BITS:
        return array.tobytes()  # type: ignore[no-any-return]
    little = array.astype(array.dtype.newbyteorder("<"), copy=False).ravel()  # the padding comes last
    size = numpy.dtype(numpy.longdouble).itemsize
    return little.view("u1").reshape(-1, size)[:, :EXTENDED_BYTES].tobytes()  # type: ignore[no-any-return]


def _write_dtype(writer: Writer, dtype: Any) -> None:
    base = None if dtype.subdtype is None else dtype.base
    missing = type(getattr(dtype, "na_object", None)).__name__, getattr(dtype, "coerce", None)  # of StringDType
    extra = dict(dtype.metadata) if dtype.metadata else None, dtype.isalignedstruct, *missing
    writer.sequence("dtype", (dtype.str, dtype.name, _fields(dtype), base, dtype.shape, extra))


def _fields(dtype: Any) -> Any:
    """Name, dtype, offset and, where there is one, title of each field."""
    if dtype.names is None:
        return None
    return [(name, *dtype.fields[name]) for name in dtype.names]


def _write_random(writer: Writer, value: Any) -> bool:
    random = sys.modules.get("numpy.random")
    if random is None:
        return False
    if type(value) is random.Generator:
        writer.sequence("generator", (value.bit_generator,))
    elif isinstance(value, random.BitGenerator) and type(value).__module__.startswith("numpy.random"):
        seeds = getattr(value, "seed_seq", None)  # the generators that spawn() makes depend on it
        writer.sequence("bit generator", (type(value).__name__, value.state, seeds))
    elif type(value) is random.SeedSequence:
        writer.sequence("seeds", (value.entropy, value.spawn_key, value.pool_size, value.n_children_spawned))
    elif type(value) is random.RandomState:
        writer.sequence("random state", (value.get_state(legacy=False),))
    else:
        return False
    return True
