"""The contract of a peer on a server, and the roster of those that a benchmark compares."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol

BATCH = 500
Pairs = list[tuple[str, Any]]
STORE = "store"


class Peer(Protocol):
    """One way to keep Python objects on a server. A missing operation is in `lacks` of its kind."""

    def get(self, name: str) -> Any: ...

    def set(self, name: str, value: Any) -> None: ...

    def delete(self, name: str) -> None: ...

    def update(self, pairs: Pairs) -> None: ...

    def get_many(self, names: list[str]) -> dict[str, Any]: ...

    def items(self) -> Iterable[tuple[str, Any]]: ...

    def edit(self, name: str) -> Any:
        """Read a record, change it and write it back, in the way that the benchmark's title says; returns it."""

    def close(self) -> None: ...


class Kind(NamedTuple):
    """A label, how it is opened by the URL of a server, and the modules that it needs."""

    label: str
    open: Callable[[str], Any]
    fill: Callable[[str, Pairs], None]
    """Make its records anew: these, and no others."""
    lacks: frozenset[str] = frozenset()
    modules: tuple[str, ...] = ()
    note: str = ""

    def missing(self) -> list[str]:
        return [module for module in self.modules if not _is_there(module)]


class Roster(NamedTuple):
    """Everybody that a benchmark compares; ratios refer to the one whose label is `bare`."""

    kinds: tuple[Kind, ...]
    bare: str

    def present(self, chosen: tuple[str, ...] = ()) -> list[Kind]:
        """The peers that are installed, of those whose labels begin so; of all for none."""
        named = [kind for kind in self.kinds if not chosen or kind.label.lower().startswith(chosen)]
        return [kind for kind in named if not kind.missing()]

    def notes(self) -> dict[str, str]:
        return {kind.label: kind.note for kind in self.kinds}

    def absent(self) -> list[str]:
        """Those that are not installed, and what they need."""
        return [f"{kind.label} (needs {', '.join(kind.missing())})" for kind in self.kinds if kind.missing()]


def changed(value: Any) -> Any:
    value["cart"].append(1)
    if len(value["cart"]) > 3:
        del value["cart"][1:]
    return value


def batches(pairs: Pairs) -> Iterable[Pairs]:
    for start in range(0, len(pairs), BATCH):
        yield pairs[start : start + BATCH]


def _is_there(module: str) -> bool:
    """Whether a module can be imported; one in a package that is missing is looked up in vain, not with an error."""
    package = module.partition(".")[0]
    return find_spec(package) is not None and find_spec(module) is not None
