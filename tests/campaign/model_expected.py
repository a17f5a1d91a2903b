"""The model: dicts that say what a store must hold."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any

from store.errors import Corrupt, RecordError, Tampered

from .model_values import NAMESPACES

Entries = dict[str, "Entry"]


@dataclass(frozen=True)
class Entry:
    """A record as the model knows it; `birth` tells it from an earlier one of its name."""

    value: Any
    expires: float | None
    revision: int
    birth: float
    foreign: bool = False
    damaged: bool = False

    @property
    def refusal(self) -> type[RecordError] | None:
        """What whoever wants the value gets instead."""
        if not self.damaged:
            return None
        return Corrupt if self.foreign else Tampered

    @property
    def shown(self) -> Any:
        """What stands for it in a listing."""
        return self.refusal or self.value


@dataclass
class Expected:
    """What is in the file, by namespace and name; the clock is the test's."""

    now: float = 1_800_000_000.0
    records: dict[str, Entries] = field(default_factory=lambda: {namespace: {} for namespace in NAMESPACES})
    dead: dict[tuple[str, str], Entry] = field(default_factory=dict)
    """Those that have expired, and may be in the file still."""

    def copy(self) -> tuple[dict[str, Entries], dict[tuple[str, str], Entry]]:
        return {namespace: dict(found) for namespace, found in self.records.items()}, dict(self.dead)

    def restore(self, kept: tuple[dict[str, Entries], dict[tuple[str, str], Entry]]) -> None:
        self.records, self.dead = kept

    def alive(self, namespace: str) -> Entries:
        """The records of a namespace, in order."""
        return self._alive(self.records[namespace], namespace, self.dead)

    def committed(self, kept: tuple[dict[str, Entries], dict[tuple[str, str], Entry]], namespace: str) -> Entries:
        """What another process sees while a transaction is open that began with that copy."""
        return self._alive(dict(kept[0][namespace]), namespace, {})

    def _alive(self, found: Entries, namespace: str, dead: dict[tuple[str, str], Entry]) -> Entries:
        for name in [name for name, e in found.items() if e.expires is not None and e.expires <= self.now]:
            dead[namespace, name] = found.pop(name)
        return found

    def assign(self, namespace: str, name: str, value: Any, ttl: float | None, *, foreign: bool = False) -> None:
        found = self.alive(namespace)
        self.dead.pop((namespace, name), None)
        old = found.get(name)
        expires = None if ttl is None else self.now + ttl
        value = copy.deepcopy(value)
        if old is None:
            found[name] = Entry(value, expires, 1, self.now, foreign)
        else:
            found[name] = Entry(value, expires, old.revision + 1, old.birth, foreign)

    def rewrite(self, namespace: str, name: str, value: Any) -> None:
        """As `edit` and `modify` do: the expiry stays."""
        entry = self.records[namespace][name]
        self.records[namespace][name] = replace(entry, value=value, revision=entry.revision + 1, foreign=False)

    def touch(self, namespace: str, name: str, ttl: float | None) -> None:
        entry = self.records[namespace][name]
        expires = None if ttl is None else self.now + ttl
        self.records[namespace][name] = replace(entry, expires=expires, revision=entry.revision + 1)

    def clear(self, namespace: str) -> None:
        self.records[namespace].clear()
        self.dead = {place: entry for place, entry in self.dead.items() if place[0] != namespace}

    def purge(self, namespace: str) -> None:
        """What others sealed stays, and what is damaged: nobody can say that it has expired."""
        self.alive(namespace)
        self.dead = {
            place: entry
            for place, entry in self.dead.items()
            if place[0] != namespace or entry.foreign or entry.damaged
        }
