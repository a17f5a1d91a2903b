"""What the codecs have in common whose bodies are pickles, or are read by an unpickler."""

from __future__ import annotations

import copyreg
import pickle
from collections.abc import Callable, Iterable
from functools import partial
from io import BytesIO
from typing import Any, NoReturn

from store.classes.allowlist import Allowed
from store.classes.dotted import imported
from store.classes.finding import Finding
from store.classes.lookup import AS_WRITTEN, BY_OTHER_PYTHONS, Lookup
from store.classes.moved import claim_main, other_names
from store.classes.placeholder import Origin
from store.classes.shown import message_of
from store.errors import ClassNotFound, Corrupt, NotSerializable, RecordError, StoreError, Untrusted

Buffers = Iterable[Any]
EXTENSIONS: dict[Any, Any] = copyreg._extension_registry  # type: ignore[attr-defined]
"""The numbers that `copyreg.add_extension` gave classes: a pickle has them in place of the names."""


class Pickled:
    """A codec on a pickler and an unpickler: subclasses give `dumps` and `loads`, which may raise anything."""

    name: str
    protocols = range(6)
    default_protocol = 5  # by constant: a newer Python's would shut older ones out

    def dumps(self, value: Any, protocol: int, buffer_callback: Callable[[Any], Any] | None) -> bytes:
        raise NotImplementedError

    def loads(self, body: bytes, buffers: Buffers, lookup: Lookup) -> Any:
        raise NotImplementedError

    def encode(self, value: Any, protocol: int, buffer_callback: Callable[[Any], Any] | None = None) -> bytes:
        try:
            body = self.dumps(value, protocol, buffer_callback)
            if claim_main(body):
                if buffer_callback is not None:
                    buffer_callback(None)
                body = self.dumps(value, protocol, buffer_callback)
            return body
        except MemoryError:
            raise
        except Exception as exc:
            raise NotSerializable(
                f"{described(exc)}; give the class that holds it a __getstate__ that leaves it out"
            ) from exc

    def decode(self, body: bytes, buffers: Buffers = (), *, lookup: Lookup = AS_WRITTEN) -> Any:
        try:
            return self.loads(body, buffers, lookup)
        except Exception as exc:
            return self.decoded_again(body, buffers, lookup, exc)

    def decoded_again(self, body: bytes, buffers: Buffers, lookup: Lookup, exc: Exception) -> Any:
        """The value, where decoding failed with `exc` since another Python has other names for what is in it.

        Raises: whatever `not_decoded` gives.
        """
        if lookup.is_plain and isinstance(exc, ImportError | AttributeError) and _is_moved(self.describe(body)[0]):
            try:
                return self.loads(body, buffers, BY_OTHER_PYTHONS)
            except Exception as again:
                raise self.not_decoded(body, lookup, again) from again
        raise self.not_decoded(body, lookup, exc) from exc

    def not_decoded(self, body: bytes, lookup: Lookup, exc: Exception) -> Exception:
        """The error for what decoding raised, to be raised from it; MemoryError and errors of ours are raised."""
        if isinstance(exc, MemoryError | StoreError):
            raise exc
        if isinstance(exc, ImportError | AttributeError):
            return missing(self.describe(body)[0], lookup, exc)
        return undecodable(exc)

    def describe(self, body: bytes) -> tuple[tuple[str, ...], str, str | None]:
        from store.codecs.pickle import (
            description as pickle_description,  # pickletools is only for those who look closely
        )

        return pickle_description.describe(body)


class Unrestrained(Pickled):
    """A codec that stores code, and so cannot be decoded with restraint: records of others are refused."""

    protocols = range(2, 6)  # those below write a lock, say, and read it back as an object without one

    def decode_restricted(
        self, body: bytes, buffers: Buffers = (), *, allow: Allowed, lookup: Lookup = AS_WRITTEN
    ) -> NoReturn:
        raise no_restraint(self.name)


def no_restraint(codec: str) -> Untrusted:
    """The error for a record of somebody else whose codec could run any code."""
    from store.codecs.refusals import refused

    return refused(f"the codec {codec!r} cannot be decoded with restraint: it could run any code")


def undecodable(exc: Exception) -> Corrupt:
    """Any error of a decoder: a KeyError that a `__setstate__` raised must not pass for a missing name."""
    return Corrupt(f"its bytes cannot be decoded ({described(exc)}); the record stays as it is")


def missing(named: Iterable[str], lookup: Lookup, exc: Exception) -> RecordError:
    """The error for a class that is not there, if it is that; `named` are the globals that the pickle names."""
    from store.codecs.refusals import install, not_installed

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
                'importable again (PYTHONPATH), or look at what is left with on_missing="placeholder"',
                missing=dotted[:200],
            )
    return undecodable(exc)


def _why_missing(dotted: str, lookup: Lookup) -> tuple[Exception | None, str | None]:
    """What is raised by looking for a global, or None where it is there; and its new name, if it has one."""
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
    except Exception:  # a module that decoding did not come to cannot be imported: not what is to be told
        pass
    return None, new


def _is_moved(named: Iterable[str]) -> bool:
    """Whether one of these globals is not here, and is under the name that another Python has for it."""
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


def described(exc: Exception) -> str:
    return f"{type(exc).__name__}: {message_of(exc)}"[:500]


def unpickled(base: Any, body: bytes, lookup: Lookup, *args: Any, **options: Any) -> Any:
    """The value of a pickle, by an unpickler class that takes names from `lookup`."""
    unpickler = type("Unpickler", (Finding, base), {})(*args, BytesIO(body), **options)
    unpickler.look_up(lookup, Origin(body, partial(unpickled, base, body, lookup, *args, **options)))
    return unpickler.load()


def loads(body: bytes, buffers: Buffers, lookup: Lookup) -> Any:
    """The value, by the stdlib's unpickler, at C speed where no name has to be looked up anew."""
    if lookup.is_plain:
        return pickle.loads(body, buffers=buffers)
    return unpickled(pickle.Unpickler, body, lookup, buffers=buffers)


class _TypeNoter(pickle.Pickler):
    """Notes the types of the objects that it pickles."""

    def __init__(self, file: Any) -> None:
        super().__init__(file, 5, buffer_callback=lambda buffer: None)
        self.types: set[type] = set()

    def reducer_override(self, value: Any) -> Any:
        self.types.add(type(value))
        return NotImplemented


class _Nowhere:
    def write(self, chunk: Any) -> None:
        """Keeps nothing."""


def types_in(value: Any) -> set[type] | None:
    """The types of the objects in a value, but for those of plain data; None where pickle itself cannot tell."""
    noting = _TypeNoter(_Nowhere())
    try:
        noting.dump(value)
    except Exception:  # of what other codecs hold
        return None
    return noting.types
