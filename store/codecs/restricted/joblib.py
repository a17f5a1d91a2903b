"""The restricted decoder for what joblib writes: a pickle in which the bytes of each array stand as they are.

joblib puts a `NumpyArrayWrapper` in the place of an array: subclass, shape, order and dtype. After the opcode that
gives it its state, and outside of any frame, follow the length of a padding in one byte and the padding (since
joblib 1.2), and the array's data. Format: https://github.com/joblib/joblib/blob/main/joblib/numpy_pickle.py
"""

from __future__ import annotations

from functools import partial
from typing import Any

from store.classes.allowlist import Allowed
from store.classes.lookup import AS_WRITTEN, Lookup
from store.codecs.contract import Buffers, Description
from store.codecs.pickle.codec import run_to_end
from store.codecs.refusals import does_not_fit
from store.codecs.restricted.globals import NAMES_OF_FUNCTIONS, Global
from store.codecs.restricted.machine import Machine

_FIELDS = {"subclass", "shape", "order", "dtype", "allow_mmap"}
_ALIGNMENT = "numpy_array_alignment_bytes"


class NumpyArrayWrapper:
    """Stands for the class of joblib, of which nothing is made."""


class Memmap:
    """Stands for `numpy.memmap`, of which joblib keeps the array alone."""


_NAMES = {
    **NAMES_OF_FUNCTIONS,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): Global(NumpyArrayWrapper),
    ("numpy", "memmap"): Global(Memmap),
    ("numpy.core.memmap", "memmap"): Global(Memmap),
}


def _read_array(machine: Machine, state: Any) -> Any:
    """The array of a wrapper's state and of the bytes that follow. Raises: Untrusted, Corrupt."""
    objects, reader = machine.objects, machine.reader
    if type(state) is not dict or state.keys() - {_ALIGNMENT} != _FIELDS:
        raise does_not_fit("an array")
    subclass, shape, order, dtype = (state[field] for field in ("subclass", "shape", "order", "dtype"))
    if subclass is not Memmap and not objects.arrays.is_class(subclass):
        raise objects.not_callable(subclass)
    if type(order) is not str or order not in ("C", "F"):
        raise does_not_fit("an array")
    size = objects.arrays.bytes_of(dtype, shape)
    if state.get(_ALIGNMENT) is not None:
        reader.unframed(reader.unframed(1)[0])
    data = reader.unframed(size)
    machine.budget.charge(size)
    return objects.arrays.array(dtype, shape, order, bytearray(data))


class RestrictedJoblib:
    """The part of the codec joblib that decodes with restraint, for which joblib need not be installed."""

    name = "joblib"
    protocols = range(6)
    default_protocol = 5

    def decode_restricted(
        self, body: bytes, buffers: Buffers = (), *, allow: Allowed, lookup: Lookup = AS_WRITTEN
    ) -> Any:
        machine = Machine(bytes(body), allow=allow, lookup=lookup, special=_NAMES)
        machine.objects.stateful[NumpyArrayWrapper] = partial(_read_array, machine)
        return run_to_end(machine)

    def describe(self, body: bytes) -> Description:
        from store.codecs.pickle.description import describe

        return describe(body)


codec: Any = RestrictedJoblib()
