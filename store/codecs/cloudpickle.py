"""cloudpickle: pickles that hold lambdas, closures and classes of `__main__` by value, not by name.

Such pickles store code: only records sealed with a key of the user are decoded. The format is pickle.
https://github.com/cloudpipe/cloudpickle
"""

from __future__ import annotations

from typing import Any

import cloudpickle

from store.classes.placeholder import PythonPickler
from store.codecs.contract import TakeBuffer
from store.codecs.pickle.based import PickleBased, loads


class _Pickler(PythonPickler):
    """The Python pickler with cloudpickle's reducers."""

    def __init__(self, file: Any, protocol: int) -> None:
        super().__init__(file, protocol)
        self._own = cloudpickle.Pickler(file, protocol)
        self.dispatch_table = self._own.dispatch_table

    def reducer_override(self, value: Any) -> Any:
        return self._own.reducer_override(value)


def _dumps(value: Any, protocol: int, buffer_callback: TakeBuffer | None) -> bytes:
    return cloudpickle.dumps(value, protocol, buffer_callback if protocol >= 5 else None)  # type: ignore[no-any-return]


codec = PickleBased("cloudpickle", _dumps, loads, _Pickler)
