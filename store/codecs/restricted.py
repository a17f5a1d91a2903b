"""Which globals a pickle of somebody else may name: harmless standard types, and what was allowed.

Used by `find_class`, so the C unpickler does the decoding.
"""

from __future__ import annotations

import builtins
import importlib
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from typing import Any

from store.allowlist import Allowed
from store.errors import Untrusted

_STANDARD = {
    "builtins": "Ellipsis NotImplemented bool bytearray bytes complex dict float frozenset int list object range set "
    "slice str tuple",
    "collections": "OrderedDict Counter deque defaultdict",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal",
    "fractions": "Fraction",
    "ipaddress": "IPv4Address IPv4Interface IPv4Network IPv6Address IPv6Interface IPv6Network",
    "pathlib": "PurePath PurePosixPath PureWindowsPath Path PosixPath WindowsPath",
    "uuid": "UUID SafeUUID",
    "copyreg": "_reconstructor",
}
# Functions that do nothing to anything but their arguments.
_HARMLESS_FUNCTIONS = (
    "abs all any ascii bin callable chr divmod hash hex id len max min oct ord pow repr round sorted sum"
)
_LATIN_1 = ("latin1", "latin-1")


def find_allowed(module: str, name: str, allow: Allowed) -> Any:
    """The global called `module.name`: looked up, never imported.

    Raises:
        Untrusted: it is none of the allowed ones; `.missing` names it.
    """
    for key in _spellings(module, name):
        found = allow.get(key)
        if found is None:
            found = _standard(*key)
        if found is not None:
            return found
    raise refusal(module, name)


def refusal(module: str, name: str) -> Untrusted:
    """The error for a global that is not allowed, with the line that would allow it."""
    dotted = f"{module}.{name}"
    shown = repr(dotted if len(dotted) <= 200 else dotted[:197] + "...")
    return Untrusted(
        f"it was not sealed with a key of yours, and loading it takes {shown}, which is not plain data. If that "
        f"is a class of yours, put @store.allow above it, or open the store with allow=[{shown}]; if the "
        "record is yours, bring the key it was sealed with (STORE_KEY_FILE)",
        missing=dotted[:200],
    )


def _spellings(module: str, name: str) -> list[tuple[str, str]]:
    """As it stands, and by its name in Python 3 where the pickle is of a protocol below 3."""
    found = [(module, name)]
    if (module, name) in NAME_MAPPING:
        found.append(NAME_MAPPING[module, name])
    if module in IMPORT_MAPPING:
        found.append((IMPORT_MAPPING[module], name))
    if module == "pathlib._local":  # how Python 3.13 spells it
        found.append(("pathlib", name))
    return found


def _standard(module: str, name: str) -> Any:
    if (module, name) == ("_codecs", "encode"):
        return _latin_1
    if name in _STANDARD.get(module, "").split():
        return getattr(importlib.import_module(module), name)
    if module == "builtins":
        if name in _HARMLESS_FUNCTIONS.split():
            return getattr(builtins, name)
        found = getattr(builtins, name, None)
        if isinstance(found, type) and issubclass(found, BaseException):
            return found
    return None


def _latin_1(text: str, encoding: str = "") -> bytes:
    """How protocols 0 to 2 write bytes; no other encoding may be asked for."""
    if not isinstance(text, str) or encoding not in _LATIN_1:
        raise refusal("_codecs", "encode")
    return text.encode(encoding)
