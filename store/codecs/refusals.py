"""The errors for records that cannot be decoded, each with its remedy."""

from __future__ import annotations

import sys
from typing import Any

from store.classes.allowlist import is_dangerous
from store.classes.shown import described
from store.errors import ClassNotFound, Corrupt, Untrusted

_BRING_KEY = "bring the key it was sealed with (STORE_KEY_FILE)"
BRING_KEY_OR_ADMIT = (
    f"If the record is yours, {_BRING_KEY}; if you trust who wrote it, take it over: `store admit FILE NAME`"
)

# Top-level module → distribution to install. Objects of these libraries use many classes and functions: allowing one
# would only lead to the next refusal.
DISTRIBUTIONS = {
    "numpy": "numpy", "pandas": "pandas", "scipy": "scipy", "sklearn": "scikit-learn", "joblib": "joblib",
    "polars": "polars", "pyarrow": "pyarrow", "xarray": "xarray", "torch": "torch", "tensorflow": "tensorflow",
    "keras": "keras", "jax": "jax", "xgboost": "xgboost", "lightgbm": "lightgbm", "catboost": "catboost",
    "statsmodels": "statsmodels", "skimage": "scikit-image", "PIL": "pillow", "cv2": "opencv-python",
    "matplotlib": "matplotlib", "shapely": "shapely", "geopandas": "geopandas", "astropy": "astropy", "h5py": "h5py",
    "dask": "dask", "numba": "numba", "cupy": "cupy", "sympy": "sympy", "spacy": "spacy", "nltk": "nltk",
}  # fmt: skip


def refusal(module: str, name: str) -> Untrusted:
    """The error for a global that is not allowed, with the line that allows it where that is possible."""
    dotted = f"{module}.{name}"
    shown = repr(dotted if len(dotted) <= 200 else dotted[:197] + "...")
    library = module.partition(".")[0]
    if library in DISTRIBUTIONS:
        reason = f"loading it takes {shown}, which is not plain data but code of {library}: allowing it is not enough"
        return refused(
            reason, dotted[:200], '. Numbers can be stored as NumPy arrays with codec="auto", which need neither'
        )
    if len(dotted) > 200 or not _may_be_allowed(module, name):
        return refused(
            f"loading it takes {shown}, which is not plain data, nor a class that could be allowed",
            missing=dotted[:200],
        )
    return Untrusted(
        f"it was not sealed with a key of yours, and loading it takes {shown}, which is not plain data. If that "
        f"is a class of yours, put @store.allow above it, or open the store with allow=[{shown}]; if the "
        f"record is yours, {_BRING_KEY}",
        missing=dotted[:200],
        reason=f"loading it takes {shown}, which is not plain data",
        allowable=True,
    )


def refused(reason: str, missing: str | None = None, hint: str = "") -> Untrusted:
    """The error for a value that no `allow=` can permit. `hint`: another way to store such values."""
    return Untrusted(
        f"it was not sealed with a key of yours, and {reason}. {BRING_KEY_OR_ADMIT}{hint}",
        missing=missing,
        reason=reason,
        allowable=False,
    )


def no_restraint(codec: str) -> Untrusted:
    """The error for a foreign record whose codec can run any code."""
    return refused(f"the codec {codec!r} has no restricted decoder: it could run any code")


def undecodable(exc: Exception) -> Corrupt:
    """The error for any exception of a decoder: a KeyError of `__setstate__` must not look like a missing record."""
    return Corrupt(f"its bytes cannot be decoded ({described(exc)}); the record stays as it is")


def too_much(why: str) -> Corrupt:
    """The error for a valid record that is too expensive to decode."""
    return Corrupt(f"{why}, so it was not decoded; if the record is yours, bring the key it was sealed with")


def does_not_fit(what: str) -> Corrupt:
    """The error for arguments that no pickler writes."""
    return Corrupt(f"its arguments for {what} do not fit")


def _may_be_allowed(module: str, name: str) -> bool:
    """Whether `allow=` may permit a global: it is a class, or its module is not imported, so its type is unknown."""
    found: Any = sys.modules.get(module)
    if found is None:
        return not is_dangerous(module, name)
    for part in name.split("."):
        found = _attribute(found, part)
        if found is None:
            return not is_dangerous(module, name)
    return isinstance(found, type) and not is_dangerous(module, name, found)


def _attribute(owner: Any, name: str) -> Any:
    """The attribute of that name, read without running code of the owner."""
    try:
        return vars(owner).get(name)
    except TypeError:
        return None


# -- missing libraries


def not_installed(module: str) -> str | None:
    """The distribution to install for a missing module; None if it is installed or unknown."""
    library = module.partition(".")[0]
    if library not in DISTRIBUTIONS or _is_there(library):
        return None
    return DISTRIBUTIONS[library]


def install(dotted: str, distribution: str) -> ClassNotFound:
    """The error for a record that needs a library which is not installed."""
    library, shown = dotted.partition(".")[0], dotted[:200]
    return ClassNotFound(
        f"it is made of {shown!r}, and {library} is not installed: pip install {distribution}; the record is intact",
        missing=shown,
    )


def _is_there(library: str) -> bool:
    if library in sys.modules:
        return sys.modules[library] is not None
    from importlib.util import find_spec

    try:
        return find_spec(library) is not None
    except (ImportError, ValueError):
        return False
