"""The canonical form of a value: the same bytes for equal values in every process and run of Python.

    canonical({"b": 1, "a": 2}) == canonical({"a": 2, "b": 1})

Each value is written as its type, a length, and its content, so that no two different values have the same form.
What counts as equal:

    None, bool, int, float, complex, str, bytes   by type and value: 1, 1.0 and True are three; so are 0.0 and -0.0
                                                  two; every NaN is the same one
    list, tuple, deque, range, slice              by type, in order
    namedtuples                                   by class, names of fields, and values
    dict, Counter, set, frozenset                 whatever their order; OrderedDict in order
    dataclasses                                   by class and the fields that take part in comparison, and what
                                                  else was set on the instance, but for a `cached_property`
    enum members                                  by class, name and value
    classes                                       imported ones by module and qualified name; those of the program
                                                  itself, and those that a function made, by their content as well
    datetime, date, time, timedelta, time zones   as written: one instant in two zones is two values
    Decimal, Fraction, UUID, paths, IP addresses, compiled patterns
                                                  as written: Decimal("1.0") and Decimal("1.00") are two
    NumPy arrays, scalars and dtypes              dtype with titles and offsets, shape and content, whatever the
                                                  layout in memory; random generators by their state
    pandas' frames, series, indexes, scalars      labels, dtypes, content and `attrs`
    SciPy's sparse matrices and arrays            class, shape, and entries as they are stored
    scikit-learn's estimators                     by class, parameters and what they learned
    what has a method `__memo_key__()`            by class name and what that method returns

Anything else (an open file, a function, an object of a class of yours, a value that contains itself) has no
canonical form. A subclass of a type above has none either: nobody knows what it adds.
"""

from __future__ import annotations

from typing import Any

from store.memo.canonical.arrays import write_numpy
from store.memo.canonical.classes import write_classed
from store.memo.canonical.functions import write_callable
from store.memo.canonical.science import write_scientific
from store.memo.canonical.writer import Form, Writer

FORMS: tuple[Form, ...] = (write_classed, write_numpy, write_scientific, write_callable)


def canonical(value: Any) -> bytes:
    """The canonical form of a value. Raises: TypeError: it has none; the message says which part of it."""
    writer = Writer(bytearray(), FORMS)
    try:
        writer.write(value)
    except RecursionError:
        raise TypeError("it is nested too deeply for a canonical form") from None
    return bytes(writer.out)
