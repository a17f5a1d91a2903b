"""Canonical forms of values of pandas, SciPy and scikit-learn: data frames, sparse matrices, estimators.

The libraries are never imported here: without them there is no value of theirs. Types are compared exactly, since a
subclass may hold more; estimators, which are all subclasses, count by everything that they hold.
"""

from __future__ import annotations

import sys
from typing import Any

from store.memo.canonical.functions import write_callable
from store.memo.canonical.names import is_known
from store.memo.canonical.writer import Writer


def write_scientific(writer: Writer, value: Any) -> bool:
    """Write a value of pandas, SciPy or scikit-learn; whether it was one."""
    library = type(value).__module__.partition(".")[0]
    if library == "pandas":
        return _write_pandas(writer, value)
    if library == "scipy":
        return _write_sparse(writer, value)
    base = sys.modules.get("sklearn.base")
    if library == "sklearn" or (base is not None and isinstance(value, base.BaseEstimator)):
        return _write_estimator(writer, value)
    return False


# -- pandas


def _write_pandas(writer: Writer, value: Any) -> bool:
    pandas = sys.modules["pandas"]
    kind = type(value)
    if kind is pandas.DataFrame:
        columns = [value.iloc[:, number].array for number in range(value.shape[1])]
        parts: Any = value.index, value.columns, columns, value.attrs, value.flags.allows_duplicate_labels
    elif kind is pandas.Series:
        parts = value.index, value.name, value.array, value.attrs, value.flags.allows_duplicate_labels
    elif isinstance(value, pandas.MultiIndex):
        parts = list(value.names), [value.get_level_values(number).array for number in range(value.nlevels)]
    elif isinstance(value, pandas.Index):
        parts = value.name, value.array, getattr(value, "freqstr", None)
    elif isinstance(value, pandas.api.extensions.ExtensionArray):
        parts = _array_parts(pandas, value)
    elif isinstance(value, pandas.api.extensions.ExtensionDtype):
        parts = _dtype_parts(pandas, value)
    else:
        parts = _scalar_parts(pandas, value)
    if parts is None:
        return False
    writer.sequence(f"pandas {kind.__name__}", parts)
    return True


def _array_parts(pandas: Any, array: Any) -> Any:
    dtype = array.dtype
    if isinstance(dtype, pandas.CategoricalDtype):
        return dtype, array.codes
    if dtype.kind in "mM":
        return _dtype_or_name(pandas, dtype), array.asi8
    kind = type(array)
    if kind.__module__.startswith("pandas.core.arrays.numpy_"):
        return dtype, array.to_numpy()
    numpy = sys.modules["numpy"]
    return _dtype_or_name(pandas, dtype), list(numpy.asarray(array, dtype=object))


def _dtype_or_name(pandas: Any, dtype: Any) -> Any:
    return dtype if isinstance(dtype, pandas.api.extensions.ExtensionDtype) else str(dtype)


def _dtype_parts(pandas: Any, dtype: Any) -> Any:
    if isinstance(dtype, pandas.CategoricalDtype):
        return dtype.categories, dtype.ordered
    missing = getattr(dtype, "na_value", None)
    return str(dtype), repr(dtype), getattr(dtype, "storage", None), type(missing).__name__, repr(missing)


def _scalar_parts(pandas: Any, value: Any) -> Any:
    kind = type(value)
    if value is pandas.NA or value is pandas.NaT:
        return (repr(value),)
    if kind is pandas.Timestamp:
        return value.unit, value.asm8, value.fold, value.tz
    if kind is pandas.Timedelta:
        return value.unit, value.asm8
    if kind is pandas.Period:
        return value.ordinal, value.freqstr
    if kind is pandas.Interval:
        return value.left, value.right, value.closed
    if isinstance(value, pandas.offsets.BaseOffset):
        return value.freqstr, value.n, value.normalize, dict(value.kwds)
    return None


# -- SciPy


def _write_sparse(writer: Writer, value: Any) -> bool:
    sparse = sys.modules.get("scipy.sparse")
    if sparse is None or not sparse.issparse(value) or not is_known(type(value)):
        return False
    entries = value.tocoo()
    places = tuple(getattr(entries, "coords", None) or (entries.row, entries.col))
    writer.sequence("sparse", (type(value).__name__, value.shape, places, entries.data))
    return True


# -- scikit-learn


def _write_estimator(writer: Writer, value: Any) -> bool:
    """An estimator by its class, its parameters and what it learned; compiled parts of it by how they are pickled."""
    kind: Any = type(value)
    with writer.allowing_functions():
        if write_callable(writer, value):
            return True
        held = getattr(value, "__dict__", None)
        is_compiled = held is None or kind.__reduce__ is not object.__reduce__
        made = value.__reduce_ex__(2) if is_compiled else ()
        if any(part is not None for part in made[3:]):
            return False
        writer.sequence("estimator", (kind, held, made[1:3]))
    return True
