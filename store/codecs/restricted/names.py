"""Resolves the names of globals in a stream with tables; never imports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from store.classes.allowlist import Allowed
from store.classes.dotted import splits
from store.classes.lookup import MAX_NAME, Lookup
from store.classes.moved import other_names
from store.classes.renaming import in_python_3
from store.codecs.refusals import refusal
from store.codecs.restricted.globals import Global, classes_of, standard
from store.codecs.restricted.limits import Budget
from store.errors import Corrupt

Find = Callable[[str, str], Any]
Special = dict[tuple[str, str], Global]


class Names:
    """Finds the globals of one stream, and remembers the constructor of each.

    `special` are additional names for this stream. `find` is the `find_class` of an `Unpickler` of the program; its
    results are trusted.
    """

    def __init__(self, budget: Budget, allow: Allowed, lookup: Lookup, fix_imports: bool, special: Special) -> None:
        self.budget = budget
        self.allow = allow
        self.lookup = lookup
        self.fix_imports = fix_imports
        self.special = special
        self.find: Find | None = None
        self.protocol = 0
        self.classes = classes_of(allow)  # whose instances may be given state
        self.calls: dict[int, Global] = {}  # id of a loaded global → its entry, with the constructor
        self._named: dict[int, Any] = {}  # id → the loaded global; keeping it prevents reuse of its id
        self._written: dict[int, tuple[str, str]] = {}  # id → the name under which it was loaded

    def load(self, module: str, name: str) -> Any:
        """Load a global, which may then be called if it has a constructor. Raises: Untrusted, Corrupt."""
        self.check_name(module, name)
        found = self.found_by_us(module, name) if self.find is None else self._found_by_program(module, name)
        self._named[id(found.value)] = found.value
        self._written[id(found.value)] = module, name
        if found.construct is not None:
            self.calls[id(found.value)] = found
        return found.value

    def load_member(self, owner: type, name: str) -> Any:
        """Load a global nested in a class that was loaded. Raises: Untrusted, Corrupt."""
        module, outer = self._written[id(owner)]
        if self._moved(module, f"{outer}.{name}") is not None:
            return self.load(module, f"{outer}.{name}")
        return self.load(owner.__module__, f"{owner.__qualname__}.{name}")

    def is_loaded(self, value: Any) -> bool:
        """Whether the stream has loaded it."""
        return id(value) in self._named

    def is_class(self, cls: Any) -> bool:
        """Whether it is an allowed class that the stream has loaded."""
        return id(cls) in self.calls and isinstance(cls, type) and cls in self.classes

    def check_name(self, module: str, name: str) -> None:
        """Charge the lookup of a name. Raises: Corrupt: it is too long."""
        size = len(module) + len(name)
        if size >= MAX_NAME:
            raise Corrupt(
                f"the name of a global in it has more than {MAX_NAME} characters: {module + '.' + name:.100}..."
            )
        self.budget.charge(400 + 32 * size)

    def renamed(self, module: str, name: str) -> tuple[str, str]:
        """The Python 3 name of a global, if the protocol may have used its Python 2 name."""
        return in_python_3(module, name) if self.protocol < 3 and self.fix_imports else (module, name)

    def found_by_us(self, module: str, name: str) -> Global:
        """The entry of a name in our tables. Raises: Untrusted: it is not allowed."""
        new = self._moved(module, name)
        if new is None:
            return self._found(*self.renamed(module, name))
        for module, name in splits(new):  # the split that is known; nothing is imported to find out
            if self._is_known(module, name):
                return self._found(module, name)
        raise refusal(*new.rpartition(".")[::2])

    def _moved(self, module: str, name: str) -> str | None:
        """The new name of a global, looked up by its written name and then by its Python 3 name."""
        new = self.lookup.renamed(module, name)
        return self.lookup.renamed(*self.renamed(module, name)) if new is None else new

    def _is_known(self, module: str, name: str) -> bool:
        return (module, name) in self.allow or standard(module, name) is not None

    def _found(self, module: str, name: str) -> Global:
        found = self.special.get((module, name)) or standard(module, name)
        allowed = self.allow.get((module, name))
        if allowed is None and found is None:
            allowed = next((self.allow[other] for other in other_names(module, name) if other in self.allow), None)
        if allowed is not None and (found is None or found.construct is None):
            return Global(allowed, allowed)
        if found is None:
            raise refusal(module, name)
        return found

    def _found_by_program(self, module: str, name: str) -> Global:
        assert self.find is not None
        value = self.find(module, name)
        ours = standard(*self.renamed(module, name))
        if ours is not None and ours.value is value:
            return self.found_by_us(module, name)
        if isinstance(value, type):
            self.classes.add(value)
        return Global(value, value if callable(value) else None)
