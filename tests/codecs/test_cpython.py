"""CPython's own tests of `pickle`, run on `store.codecs.pickle`.

They are skipped where the standard library was installed without its tests. The restricted decoder refuses the classes
of these tests, so only `trust="all"` can pass them.
"""

from __future__ import annotations

from typing import Any

import pytest

from store.codecs import pickle

cpython: Any = pytest.importorskip("test.test_pickle")


class Full(cpython.InMemoryPickleTests):  # type: ignore[misc]
    def dumps(self, arg: Any, protocol: int | None = None, **options: Any) -> bytes:
        return pickle.dumps(arg, protocol, **options)

    def loads(self, buf: Any, **options: Any) -> Any:
        return pickle.loads(buf, trust="all", **options)
