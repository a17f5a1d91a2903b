"""cloudpickle: pickles that hold lambdas, closures and classes of `__main__` by value, not by name.

Format: that of pickle. https://github.com/cloudpipe/cloudpickle
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cloudpickle

from store.classes.lookup import Lookup
from store.codecs.pickle.pickled import Buffers, Unrestrained, loads


class CloudpickleCodec(Unrestrained):
    """Whatever cloudpickle can hold. What it stores by value is code: only records of yours are decoded."""

    name = "cloudpickle"

    def dumps(self, value: Any, protocol: int, buffer_callback: Callable[[Any], Any] | None) -> bytes:
        return cloudpickle.dumps(value, protocol, buffer_callback if protocol >= 5 else None)  # type: ignore[no-any-return]

    def loads(self, body: bytes, buffers: Buffers, lookup: Lookup) -> Any:
        return loads(body, buffers, lookup)


codec = CloudpickleCodec()
