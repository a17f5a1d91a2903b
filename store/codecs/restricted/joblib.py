"""The restricted decoder for files of joblib: a pickle with the raw bytes of arrays between its opcodes.

joblib replaces an array by a `NumpyArrayWrapper` with subclass, shape, order and dtype. After the BUILD opcode of the
wrapper, and outside of any frame, follow one byte with the length of a padding and the padding (since joblib 1.2),
and then the data of the array. Format: https://github.com/joblib/joblib/blob/main/joblib/numpy_pickle.py
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
    """Represents the class of joblib; it has no instances here."""


class Memmap:
    """Represents `numpy.memmap`; joblib stores only its array."""


_NAMES = {
    **NAMES_OF_FUNCTIONS,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): Global(NumpyArrayWrapper),
    ("numpy", "memmap"): Global(Memmap),
    ("numpy.core.memmap", "memmap"): Global(Memmap),
}


def _read_array(machine: Machine, state: Any) -> Any:
    """The array, from a wrapper's state and the bytes that follow it. Raises: Untrusted, Corrupt."""
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
    """The restricted decoder of the codec joblib; it does not need joblib."""

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
