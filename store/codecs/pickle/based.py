"""The common part of the codecs that write pickles: `PickleBased`, and the errors for missing classes."""

from __future__ import annotations

import copyreg
import pickle
from collections.abc import Callable, Iterable
from functools import partial
from io import BytesIO
from typing import Any, Protocol, TypeGuard

from store.classes.allowlist import Allowed
from store.classes.dotted import imported
from store.classes.lookup import AS_WRITTEN, BY_OTHER_PYTHONS, Lookup
from store.classes.moved import claim_main, other_names
from store.classes.placeholder import Origin
from store.classes.renaming import RenamingUnpickler
from store.classes.shown import described
from store.codecs.contract import Buffers, Codec, Description, TakeBuffer
from store.codecs.refusals import install, no_restraint, not_installed, undecodable
from store.errors import ClassNotFound, NotSerializable, RecordError, StoreError

EXTENSIONS: dict[Any, Any] = copyreg._extension_registry  # type: ignore[attr-defined]
"""The codes that `copyreg.add_extension` assigned to classes: pickles hold them instead of the names."""

Dumps = Callable[[Any, int, TakeBuffer | None], bytes]
Loads = Callable[[bytes, Buffers, Lookup], Any]


class Pickled(Codec, Protocol):
    """A codec whose bodies are pickles."""

    pickler: Any
    """A Python pickler class that visits the same objects, to find the one that fails."""


def is_pickled(codec: Any) -> TypeGuard[Pickled]:
    """Whether the bodies of a codec are pickles."""
    return hasattr(codec, "pickler")


class PickleBased:
    """A codec made of `dumps` and `loads` functions, which may raise any exception.

    It stores code and has no restricted decoder: foreign records are refused.
    """

    default_protocol = 5  # fixed: older Pythons cannot read the default of a newer one

    def __init__(self, name: str, dumps: Dumps, loads: Loads, pickler: Any, protocols: range = range(2, 6)) -> None:
        self.name, self.protocols, self.pickler = name, protocols, pickler
        self._dumps, self._loads = dumps, loads

    def encode(self, value: Any, protocol: int, buffer_callback: TakeBuffer | None = None) -> bytes:
        try:
            body = self._dumps(value, protocol, buffer_callback)
            if claim_main(body):
                if buffer_callback is not None:
                    buffer_callback(None)
                body = self._dumps(value, protocol, buffer_callback)
            return body
        except MemoryError:
            raise
        except Exception as exc:
            raise NotSerializable(
                f"{described(exc)}; give the class that holds it a __getstate__ that leaves it out"
            ) from exc

    def decode(self, body: bytes, buffers: Buffers = (), *, lookup: Lookup = AS_WRITTEN) -> Any:
        try:
            return self._loads(body, buffers, lookup)
        except Exception as exc:
            return self.decoded_again(body, buffers, lookup, exc)

    def decoded_again(self, body: bytes, buffers: Buffers, lookup: Lookup, exc: Exception) -> Any:
        """The value, if decoding failed with `exc` because another Python wrote it with other names.

        Raises: MemoryError, StoreError: `exc`. ClassNotFound, Corrupt.
        """
        is_missing = isinstance(exc, ImportError | AttributeError)
        if is_missing and lookup.is_plain and _is_moved(self.describe(body)[0]):
            try:
                return self._loads(body, buffers, BY_OTHER_PYTHONS)
            except Exception as again:
                exc = again
        if isinstance(exc, MemoryError | StoreError):
            raise exc
        if isinstance(exc, ImportError | AttributeError):
            raise missing(self.describe(body)[0], lookup, exc) from exc
        raise undecodable(exc) from exc

    def decode_restricted(
        self, body: bytes, buffers: Buffers = (), *, allow: Allowed, lookup: Lookup = AS_WRITTEN
    ) -> Any:
        raise no_restraint(self.name)

    def describe(self, body: bytes) -> Description:
        from store.codecs.pickle.description import describe  # which loads pickletools

        return describe(body)


def missing(named: Iterable[str], lookup: Lookup, exc: Exception) -> RecordError:
    """The error for a missing class, or for undecodable bytes. `named`: the globals that the pickle names."""
    for dotted in named:
        why, new = _why_missing(dotted, lookup)
        if why is not None:
            lacking = not_installed(getattr(why, "name", None) or dotted)
            if lacking is not None and new is None:
                return install(dotted, lacking)
            where = f" under its new name {new[:200]!r} either" if new else " any more"
            return ClassNotFound(
                f"it is made of {dotted[:200]!r}, which is not there{where} ({described(why)}); the record is "
                f'intact: say where it is now, Store(…, renames={{{dotted[:200]!r}: "new.module.Name"}}), or make it '
                'importable again (PYTHONPATH), or read the state of its objects with on_missing="placeholder"',
                missing=dotted[:200],
            )
    return undecodable(exc)


def _why_missing(dotted: str, lookup: Lookup) -> tuple[Exception | None, str | None]:
    """(the error of looking up a global, None if it is found; its new name, if it has one)."""
    module, _, name = dotted.rpartition(".")
    new = lookup.renamed(module, name)
    if new is None and _is_moved([dotted]):
        return None, None
    try:
        if new is not None:
            lookup.find(new)
        elif (found := imported(dotted)) is None:
            return ModuleNotFoundError(f"No module named {module!r}", name=module), None
        else:
            _attribute(*found)
    except (ImportError, AttributeError) as exc:
        return exc, new
    except Exception:  # importing a module that decoding did not reach failed: not the cause
        pass
    return None, new


def _is_moved(named: Iterable[str]) -> bool:
    """Whether one of these globals is missing, but exists under the name that another Python has for it."""
    for dotted in named:
        others = list(other_names(*dotted.rpartition(".")[::2]))
        if others and not _is_here(dotted) and any(_is_here(".".join(other)) for other in others):
            return True
    return False


def _is_here(dotted: str) -> bool:
    try:
        found = imported(dotted)
        if found is not None:
            _attribute(*found)
    except (ImportError, AttributeError):
        return False
    return found is not None


def _attribute(found: Any, rest: str) -> None:
    for part in rest.split("."):
        found = getattr(found, part)


def unpickled(base: Any, body: bytes, lookup: Lookup, *args: Any, **options: Any) -> Any:
    """The value of a pickle, decoded by an unpickler class that resolves names with `lookup`."""
    unpickler = type("Unpickler", (RenamingUnpickler, base), {})(*args, BytesIO(body), **options)
    unpickler.look_up(lookup, Origin(body, partial(unpickled, base, body, lookup, *args, **options)))
    return unpickler.load()


def loads(body: bytes, buffers: Buffers, lookup: Lookup) -> Any:
    """The value, decoded by the stdlib's unpickler; at C speed unless names have to be resolved with `lookup`."""
    if lookup.is_plain:
        return pickle.loads(body, buffers=buffers)
    return unpickled(pickle.Unpickler, body, lookup, buffers=buffers)
