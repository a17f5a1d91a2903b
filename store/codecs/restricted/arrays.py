"""NumPy arrays and scalars in foreign records, built from a checked dtype, a checked shape and checked bytes.

NumPy's own reconstruction functions never get foreign arguments or states. `dtypes.py` builds the dtypes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pickle import PickleBuffer
from typing import Any

import numpy as np

from store.codecs.numpy import dtype as numpy_dtype
from store.codecs.numpy.codec import MAX_EMPTY, scalar_of
from store.codecs.refusals import does_not_fit, refused, too_much
from store.codecs.restricted.dtypes import MAX_DIMENSIONS, Dtypes, Plain, check_content, split
from store.codecs.restricted.limits import Budget
from store.codecs.restricted.stack import Unbuilt

ARRAY_COST = 500  # charged for an array or scalar in addition to its data: making it takes about 5 us
_LOOKED_AT = 8  # bytes of bools, text or long doubles checked per byte charged: about 0.5 ns each

Array = np.ndarray[Any, Any]


class Arrays:
    """Makes the arrays, scalars and dtypes of one decode.

    `lent` has the buffers beside the pickle, by id: the first array on each uses it without a copy.
    """

    def __init__(self, budget: Budget, lent: dict[int, Any]) -> None:
        self._budget = budget
        self._lent = lent
        self._dtypes = Dtypes(budget)

    def dtype(self, kind: Any, align: Any, copy: Any) -> Unbuilt:
        """`numpy.dtype(kind, False, True)`; the dtype is built from the state that follows."""
        if kind is not np.record:
            split(kind)
        if not _is_flag(align) or not _is_flag(copy):
            raise does_not_fit("a dtype")
        return Unbuilt(lambda state: self._dtypes.build(kind, state))

    def reconstruct(self, cls: Any, shape: Any, kind: Any) -> Unbuilt:
        """`_reconstruct(ndarray, (0,), b"b")`: an array whose state follows, with its data in the pickle."""
        if cls is not np.ndarray or shape != (0,) or kind not in (b"b", "b"):
            raise does_not_fit("an array")
        return Unbuilt(self._array_of_state)

    def frombuffer(self, buffer: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> Array:
        """`_frombuffer(…)`: an array whose data is a buffer, in the pickle or beside it."""
        data = self._taken(buffer)
        if order == "K" and type(order) is str:
            if type(axes) is not tuple or sorted(map(_index, axes)) != list(range(len(axes))):
                raise does_not_fit("an array")
            return self.array(dtype, shape, "C", data).transpose(axes)
        if type(order) is not str or order not in ("C", "F") or axes is not None:
            raise does_not_fit("an array")
        return self.array(dtype, shape, order, data)

    def scalar(self, dtype: Any, data: Any = b"") -> Any:
        """`scalar(dtype, bytes)`."""
        known = self._dtypes.known(dtype)
        content = self._as_bytes(data)
        self._budget.charge(ARRAY_COST)
        if dtype.subdtype is not None or len(content) != dtype.itemsize:
            raise does_not_fit("a scalar")
        self._look_at(content, dtype, known)
        made = scalar_of(dtype, memoryview(content))
        if isinstance(made, np.void):  # hashed field by field
            self._budget.weigh_as(made, known.fields + len(content))
        return made

    def string_dtype(self, *args: Any) -> Any:
        """Refuses NumPy 2's StringDType, whose arrays are pickled as objects."""
        raise refused(
            'an array in it has the dtype StringDType, whose text is in Python objects; store it as .astype("U")'
        )

    def no_call(self, *args: Any) -> Any:
        """Refuses to call a class of NumPy: arrays are made only by the functions above."""
        raise refused("it calls a class of NumPy's in a way that arrays do not take")

    def array(self, dtype: Any, shape: Any, order: str, data: Any) -> Array:
        """The array on that data, whose size must match. Raises: Untrusted, Corrupt."""
        view = memoryview(data)
        if self.bytes_of(dtype, shape) != view.nbytes:
            raise does_not_fit("an array")
        self._budget.charge(ARRAY_COST)
        self._look_at(view, dtype, self._dtypes.known(dtype))
        made: Array = np.ndarray(shape, dtype, buffer=view, order=order)  # type: ignore[arg-type]
        return made

    def bytes_of(self, dtype: Any, shape: Any) -> int:
        """The size of an array of that dtype and shape. Raises: Corrupt: they are invalid, or it is too large."""
        known = self._dtypes.known(dtype)
        if dtype.subdtype is not None or type(shape) is not tuple:
            raise does_not_fit("an array")
        if len(shape) + known.dimensions > MAX_DIMENSIONS or any(_index(size) >= 2**63 for size in shape):
            raise too_much(f"it has an array of more than {MAX_DIMENSIONS} dimensions, or a size beyond 63 bits")
        size: int = math.prod(shape) * dtype.itemsize
        if not size and numpy_dtype.extent(shape, dtype.itemsize) > MAX_EMPTY:
            raise too_much("it has an array without bytes, and with too many elements")
        return size

    def is_class(self, cls: Any) -> bool:
        """Whether it is `numpy.ndarray` itself."""
        return cls is np.ndarray

    def _array_of_state(self, state: Any) -> Array:
        if type(state) is not tuple or len(state) not in (4, 5):
            raise does_not_fit("an array")
        version, shape, dtype, is_fortran, data = state if len(state) == 5 else (1, *state)
        if type(version) is not int or version != 1 or not _is_flag(is_fortran):
            raise does_not_fit("an array")
        content = self._as_bytes(data)
        self._budget.charge(len(content))
        # A copy: other references to the bytes must not change with the array.
        return self.array(dtype, shape, "F" if is_fortran else "C", bytearray(content))

    def _taken(self, buffer: Any) -> Any:
        """A buffer for a new array: lent to this array only, or read-only."""
        if type(buffer) is bytes:
            return buffer
        view = PickleBuffer(buffer).raw()
        if self._lent.pop(id(buffer), None) is not None:
            return view
        self._budget.charge(view.nbytes)
        return bytes(view) if view.readonly else bytearray(view)

    def _as_bytes(self, data: Any) -> bytes:
        """The bytes in a pickle; Python 2 wrote them as str, which `encoding="latin1"` restores."""
        if type(data) is str:
            self._budget.charge(len(data))
            return data.encode("latin-1")
        if type(data) is not bytes:
            raise does_not_fit("an array")
        return data

    def _look_at(self, data: Any, dtype: Any, known: Plain) -> None:
        """Raises: Corrupt, Untrusted: the data does not hold valid elements of that dtype."""
        size = dtype.itemsize
        if len(data) and size and _has_rules(dtype):
            self._budget.charge(len(data) // _LOOKED_AT + 1000 * known.fields)
            check_content(np.ndarray((len(data) // size, size), np.uint8, buffer=data), dtype)


def value_of(name: str) -> Any:
    """The object on the stack for a name of NumPy; only `Arrays` calls it."""
    found = np.bool_ if name == "bool" else getattr(np, name, None)
    return _FUNCTIONS[name] if found is None else found


def _stand_in(name: str) -> Callable[..., Any]:
    def stand_in(*args: Any) -> Any:
        raise TypeError(f"this is the name of {name}, not the function")

    return stand_in


_FUNCTIONS = {
    name: _stand_in(name) for name in ("_reconstruct", "scalar", "_frombuffer", "_convert_to_stringdtype_kwargs")
}


def _has_rules(dtype: Any) -> bool:
    """Whether some byte patterns are not valid elements."""
    return dtype.kind in "bUV" or dtype.itemsize > 8


def _index(value: Any) -> int:
    """A size or an axis. Raises: Corrupt: it is not an int, or negative."""
    if type(value) is not int or value < 0:
        raise does_not_fit("an array")
    return value


def _is_flag(value: Any) -> bool:
    """Python 2 wrote False and True as 0 and 1."""
    return type(value) in (bool, int) and value in (0, 1)
