"""The table of globals that plain data needs, with the constructors that replace calling them.

A pair (module, qualified name) is looked up here exactly; a stream cannot cause the import of any other module. Each
entry is the object itself and the constructor to use for a call, which makes the checks that the C types lack. An
entry without a constructor can be loaded but not called.
"""

from __future__ import annotations

import builtins
import collections
import datetime
from functools import cache
from typing import Any, NamedTuple

from store.classes.allowlist import Allowed
from store.classes.moved import other_names
from store.codecs.refusals import install, not_installed
from store.codecs.restricted.constructors import (
    BUILTINS,
    COLLECTIONS,
    COSTS,
    DATETIME,
    Construct,
    address_maker,
    make_decimal,
    make_fraction,
    make_latin_1,
    make_zone,
    path_maker,
)


class Global(NamedTuple):
    """An object that a stream may name, and the constructor to use for a call; None: it may not be called.

    A `construct` that is a str names a method of `Objects`, or of its `arrays`, which charges its work. `cost` is the
    additional charge for a call in bytes (see `limits.py`), `factor` the charge for each byte of the arguments.
    """

    value: Any
    construct: Construct | None = None
    cost: int = 0
    factor: int = 1


def standard(module: str, name: str) -> Global | None:
    """The standard global of that name, here or in another Python, or None."""
    for one, its_name in ((module, name), *other_names(module, name)):
        found = _fixed().get((one, its_name))
        if found is None and one in _LATE:
            found = _late(one).get(its_name)
        if found is not None:
            return found
    if (module, name) in _OF_NUMPY:
        return _array(name, _OF_NUMPY[module, name])
    return None


def classes_of(allow: Allowed) -> set[type]:
    """The classes whose instances may get state by BUILD; never those of NumPy, even if allowed."""
    return {cls for cls in allow.values() if (cls.__module__, cls.__qualname__) not in _OF_NUMPY}


# -- the table

_VALUES = (
    "bool dict float int list object str tuple type map filter zip enumerate reversed "  # classes
    "abs all any ascii bin callable chr divmod hash hex id iter len max min next oct ord pow repr round sorted sum "
    "Ellipsis NotImplemented"
)


@cache
def _fixed() -> dict[tuple[str, str], Global]:
    """The entries of modules that every program has loaded."""
    table = {("builtins", name): Global(getattr(builtins, name)) for name in _VALUES.split()}
    for name, construct in BUILTINS.items():
        table["builtins", name] = Global(getattr(builtins, name), construct)
    for name, value in vars(builtins).items():
        if isinstance(value, type) and issubclass(value, BaseException):
            table["builtins", value.__name__] = Global(value, value)
            table["builtins", name] = Global(value, value)
    for name, construct in COLLECTIONS.items():
        table["collections", name] = Global(getattr(collections, name), construct, COSTS.get(name, 0))
    for name, construct in DATETIME.items():
        table["datetime", name] = Global(getattr(datetime, name), construct)
    table["_codecs", "encode"] = Global(make_latin_1, make_latin_1)
    return table


_LATE = {"decimal", "fractions", "ipaddress", "pathlib", "uuid", "zoneinfo"}


@cache
def _late(module: str) -> dict[str, Global]:
    """The entries of a standard module that is imported when a record needs it."""
    if module == "decimal":
        from decimal import Decimal

        return {"Decimal": Global(Decimal, make_decimal, factor=2)}
    if module == "fractions":
        from fractions import Fraction

        return {"Fraction": Global(Fraction, make_fraction, factor=16)}
    if module == "ipaddress":
        import ipaddress

        names = [f"IPv{version}{kind}" for version in "46" for kind in ("Address", "Interface", "Network")]
        return {name: Global(cls, address_maker(cls), 400) for name in names for cls in [getattr(ipaddress, name)]}
    if module == "pathlib":
        import pathlib

        names = ["PurePath", "PurePosixPath", "PureWindowsPath", "Path", "PosixPath", "WindowsPath"]
        return {name: Global(cls, path_maker(cls), 400, 16) for name in names for cls in [getattr(pathlib, name)]}
    if module == "uuid":
        from uuid import UUID

        return {"UUID": Global(UUID)}  # made by NEWOBJ and BUILD
    from zoneinfo import ZoneInfo

    return {"ZoneInfo": Global(ZoneInfo), "ZoneInfo._unpickle": Global(make_zone, make_zone, COSTS["ZoneInfo"])}


_CORE = [f"numpy.{core}.{module}" for core in ("core", "_core") for module in ("multiarray", "numeric")]
_OF_NUMPY: dict[tuple[str, str], str] = {
    ("numpy", "dtype"): "arrays.dtype", ("numpy", "ndarray"): "arrays.no_call", ("numpy", "record"): "arrays.no_call",
    ("numpy._core._internal", "_convert_to_stringdtype_kwargs"): "arrays.string_dtype",
    ("numpy.rec", "record"): "arrays.no_call", ("numpy.core.records", "record"): "arrays.no_call",
    **{(module, "_reconstruct"): "arrays.reconstruct" for module in _CORE[::2]},
    **{(module, "scalar"): "arrays.scalar" for module in _CORE[::2]},
    **{(module, "_frombuffer"): "arrays.frombuffer" for module in _CORE[1::2]},
    **{("numpy", name): "arrays.no_call" for name in (
        "bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128 "
        "datetime64 timedelta64 str_ bytes_ void"
    ).split()},
}  # fmt: skip


@cache
def _array(name: str, construct: str) -> Global:
    """The entry of a NumPy name. Raises: ClassNotFound: NumPy is not installed."""
    distribution = not_installed("numpy")
    if distribution is not None:
        raise install(f"numpy.{name}", distribution)
    from store.codecs.restricted.arrays import value_of

    return Global(value_of(name), construct)


def _reconstructor(*args: Any) -> Any:
    """Represents `copyreg._reconstructor` on the stack; calls go to `Objects.reconstruct`."""
    raise TypeError("this is a name, not a function")


def _getattr(*args: Any) -> Any:
    """Represents `getattr` on the stack; calls go to `Objects.attribute`."""
    raise TypeError("this is a name, not a function")


NAMES_OF_FUNCTIONS = {
    ("copyreg", "_reconstructor"): Global(_reconstructor, "reconstruct"),
    ("builtins", "getattr"): Global(_getattr, "attribute"),
}
