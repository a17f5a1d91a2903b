"""Classes that pickle writes and cannot read back, each as programs have them; and some set right as errors advise."""

from __future__ import annotations

import collections
import email.message
import urllib.error
from collections.abc import Callable
from typing import Any, NamedTuple


class ApiError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")


class Prefixed(Exception):
    """Reads back, with its prefix twice."""

    def __init__(self, message: str) -> None:
        super().__init__("prefix: " + message)


class ByKeyword(ValueError):
    def __init__(self, *, field: str) -> None:
        super().__init__(field)


class Grouped(collections.defaultdict[str, Any]):
    def __init__(self, name: str, factory: Any) -> None:
        super().__init__(factory)
        self.name = name


class Checked(list[Any]):
    """Its items come before its attributes."""

    def __init__(self, kind: type, items: Any = ()) -> None:
        self.kind = kind
        self.extend(items)

    def append(self, item: Any) -> None:
        assert isinstance(item, self.kind)
        super().append(item)

    def extend(self, items: Any) -> None:
        for item in items:
            self.append(item)


class Recording(dict[str, Any]):
    def __init__(self) -> None:
        self.log: list[str] = []

    def __setitem__(self, name: str, value: Any) -> None:
        self.log.append(name)
        super().__setitem__(name, value)


class Latest(dict[str, Any]):
    """Keeps one item until it is told of more, and pickle gives it the items first."""

    size = 1

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        while len(self) > self.size:
            del self[next(iter(self))]


class Tagged(set[Any]):
    def __init__(self, tag: str, items: Any) -> None:
        super().__init__(items)


class Measured:
    def __new__(cls, unit: str) -> Measured:
        return super().__new__(cls)


class Labelled(str):
    def __new__(cls, text: str, label: str) -> Labelled:
        return super().__new__(cls, text)


class _Point(NamedTuple):
    x: int
    y: int


class Parsed(_Point):
    def __new__(cls, text: str) -> Parsed:
        return super().__new__(cls, *map(int, text.split()))


class Delegating:
    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Node:
    """Hashed as the set is made, before it has its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.friends: set[Node] = {self}

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and other.name == self.name


class Shape:
    def __reduce__(self) -> Any:
        return Shape, ()


class Square(Shape):
    """Comes back as a Shape."""


class Refusing:
    def __setstate__(self, state: Any) -> None:
        raise KeyError("unit")

    def __getstate__(self) -> Any:
        return {"a": 1}


def http_error() -> urllib.error.HTTPError:
    return urllib.error.HTTPError("http://x.example", 404, "not found", email.message.Message(), None)


def latest() -> Latest:
    made = Latest()
    made.size = 3
    made.update(a=1)
    made["b"] = 2
    return made


def recording() -> Recording:
    made = Recording()
    made["a"] = 1
    return made


UNREADABLE: dict[str, tuple[Callable[[], Any], str]] = {
    "exception": (lambda: ApiError(502, "away"), "can be written and not be read back"),
    "exception with keywords": (lambda: ByKeyword(field="a"), "can be written and not be read back"),
    "exception with other args": (lambda: Prefixed("a"), "would come back with other args"),
    "defaultdict": (lambda: Grouped("a", list), "can be written and not be read back"),
    "list": (lambda: Checked(int, [1]), "can be written and not be read back"),
    "dict": (recording, "can be written and not be read back"),
    "dict that drops": (latest, "would come back with 1 items instead of 2"),
    "set": (lambda: Tagged("a", [1]), "can be written and not be read back"),
    "__new__": (lambda: Measured("m"), "can be written and not be read back"),
    "str": (lambda: Labelled("a", "b"), "can be written and not be read back"),
    "named tuple": (lambda: Parsed("1 2"), "can be written and not be read back"),
    "__getattr__": (lambda: Delegating([]), "can be written and not be read back"),
    "set that holds its owner": (lambda: Node("a"), "can be written and not be read back"),
    "subclass": (Square, "would come back as .*Shape"),
    "__setstate__": (Refusing, "can be written and not be read back"),
}


# -- set right


class ReducedError(ApiError):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code, self.message = code, message

    def __reduce__(self) -> Any:
        return type(self), (self.code, self.message)


class ReducedMeasured(Measured):
    def __new__(cls, unit: str) -> ReducedMeasured:
        made = super().__new__(cls, unit)
        made.unit = unit  # type: ignore[attr-defined]
        return made  # type: ignore[return-value]

    def __reduce__(self) -> Any:
        return type(self), (self.unit,)  # type: ignore[attr-defined]


class PoliteDelegating(Delegating):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.inner, name)


class ReducedNode(Node):
    def __reduce__(self) -> Any:
        return type(self), (self.name,), {"friends": self.friends}

    __hash__ = Node.__hash__


class Named:
    """Counts how often one of it is made of a record."""

    made = 0

    def __init__(self, name: str = "a") -> None:
        self.name = name

    def __setstate__(self, state: dict[str, Any]) -> None:
        type(self).made += 1
        self.__dict__.update(state)


class CountedError(Exception):
    made = 0

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        type(self).made += 1
