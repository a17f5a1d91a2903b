"""How a way into a value is written: `value['conn'].pool[3].socket`.

Wherever Python has a way to write it, the path is that expression. The rest is written

    value.key((1, <_thread.lock object>))    a key of a dict
    value.member(<_thread.lock object>)      a member of a set
    f.__closure__['lock']                    what a variable of an enclosing function holds
    x.copyreg()[1][0]                        a result of the function that `copyreg.pickle` registered for x

A key is shown as text only where that runs nobody's code: exactly str, bytes, int, float, bool, None, members of
enums, and tuples of those. Anything else is `<module.Class object>`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from itertools import islice
from keyword import iskeyword
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType, NoneType
from typing import Any

from store.values.culprit.parts import ITEMS, Way, is_users

MOST_SHOWN = 80  # characters of a key
MOST_DEEP = 3  # tuples in tuples of a key
MOST_MADE = 8  # containers that a __reduce__ made, one in the other
_PLAIN = (str, bytes, int, float, bool, NoneType)
_FIELDS = (MemberDescriptorType, type(vars(Way)["protocol"]))  # slots, and the fields of a named tuple
_MISSING = object()


class Node:
    """An object on the way, and how the way came to it."""

    __slots__ = ("attribute", "form", "key", "parent", "value")

    def __init__(self, parent: Node | None, value: Any, form: str = "", key: Any = None, attribute: bool = False):
        self.parent, self.value, self.form, self.key, self.attribute = parent, value, form, key, attribute

    def chain(self) -> list[Node]:
        """From the whole value to here."""
        nodes = [self]
        while nodes[-1].parent is not None:
            nodes.append(nodes[-1].parent)
        return nodes[::-1]


def path_of(node: Node) -> str:
    """The path as text."""
    texts = ["value"]
    made = 0  # how many of the last texts have no better form than a call of __reduce__ or __getstate__
    for part in node.chain()[1:]:
        text, saved = _name_from_above(part, min(made, MOST_MADE))
        del texts[len(texts) - saved :]
        if text is None and part.attribute and part.parent is not None:
            text = _named(part.parent.value, part.value, part.key)
        made = made + 1 if text is None and (made or part.attribute) else 0
        texts.append(text or part.form.replace("{}", shown(part.key)))
    return "".join(texts)


def _name_from_above(part: Node, made: int) -> tuple[str | None, int]:
    """What an object that made the part's container calls the part itself, and how many steps that saves.

    What `__reduce__` and `__getstate__` make has no name in the program; what they put into it may have one.
    """
    above = part.parent
    for saved in range(1, made + 1):
        above = above and above.parent
        if above is not None:
            text = _named(above.value, part.value) or _item(above.value, part.value, part.key)
            if text is not None:
                return text, saved
    return None, 0


def holder_of(node: Node) -> type | None:
    """The class nearest to the node, on the way to it, that is the user's own to change."""
    below = None
    while node.parent is not None:
        owner = node.parent.value
        if _has_state(type(owner)) and not _apart_from_state(owner, node, below):
            return type(owner)
        below, node = node, node.parent
    return None


def _apart_from_state(owner: Any, node: Node, below: Node | None) -> bool:
    """Whether an object holds a part as an item or through its class, so that no `__getstate__` can leave it out."""
    if node.form in ITEMS or node.value is type(owner):
        return True
    in_argument = node.form.endswith("[1][{}]") and below is not None  # in a list of its items, say
    return in_argument and below is not None and _item(owner, below.value, below.key) is not None


def shown(key: Any, depth: int = 0) -> str:
    """A key as text, without running anybody's code."""
    try:
        text = _text(key, depth)
    except Exception:  # an int of too many digits
        text = _foreign(key)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 3] + "..."


def _text(key: Any, depth: int) -> str:
    if type(key) in _PLAIN:
        return repr(key[: MOST_SHOWN * 2] if isinstance(key, str | bytes) else key)
    if issubclass(type(key), Enum) and type(key.__dict__.get("_name_")) is str:
        return f"{type(key).__qualname__}.{key.__dict__['_name_']}"
    if type(key) is tuple and depth < MOST_DEEP:
        texts = [shown(item, depth + 1) for item in key[:MOST_SHOWN]]
        return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"
    return _foreign(key)


def _foreign(value: Any) -> str:
    try:
        return f"<{type(value).__module__}.{type(value).__qualname__} object>"
    except Exception:  # a metaclass has its own idea of either
        return "<object>"


def _named(owner: Any, part: Any, name: Any = None) -> str | None:
    """The attribute of `owner` that is `part`, preferably the one of that name; properties are not asked."""
    if part is type(owner):
        return ".__class__"
    if issubclass(type(owner), BaseException):
        for n, arg in enumerate(vars(BaseException)["args"].__get__(owner)):
            if arg is part:
                return f".args[{n}]"
    try:
        found = {attribute for attribute, held in _attributes(owner) if held is part}
    except Exception:  # a metaclass that answers in its own way
        return None
    return f".{name if type(name) is str and name in found else min(found)}" if found else None


def _attributes(owner: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of an object that can be read without running the program's code."""
    cls = type(owner)
    on_class = {name: member for base in reversed(cls.__mro__) for name, member in base.__dict__.items()}
    for name, held in _dict_of(owner).items():
        shadowed = hasattr(type(on_class.get(name)), "__set__")
        bound = issubclass(cls, type) and hasattr(type(held), "__get__") and type(held) is not FunctionType
        if type(name) is str and name.isidentifier() and not iskeyword(name) and not shadowed and not bound:
            yield name, held
    for name, member in on_class.items():
        kind = type(member)
        if kind in _FIELDS or (kind is GetSetDescriptorType and name in ("__self__", "__func__")):
            try:
                yield name, member.__get__(owner, cls)
            except AttributeError:  # a slot that was not filled
                pass


def _dict_of(owner: Any) -> dict[Any, Any]:
    try:
        return dict(object.__getattribute__(owner, "__dict__"))
    except Exception:
        return {}


def _item(owner: Any, part: Any, key: Any) -> str | None:
    """How `owner`, of a class derived from a built-in container, holds `part`; its own methods are not asked."""
    cls = type(owner)
    if cls in (list, tuple, dict, set, frozenset):
        return None
    if issubclass(cls, list | tuple) and type(key) is int:
        base: Any = list if issubclass(cls, list) else tuple
        held = next(islice(base.__iter__(owner), key, None), _MISSING)
        return f"[{key}]" if held is part else None
    if issubclass(cls, dict):
        for at, held in dict.items(owner):
            if part is held or part is at:
                return f"[{shown(at)}]" if part is held else f".key({shown(part)})"
    if issubclass(cls, set | frozenset):
        base = set if issubclass(cls, set) else frozenset
        return f".member({shown(part)})" if any(member is part for member in base.__iter__(owner)) else None
    return None


def _has_state(cls: type) -> bool:
    """Whether a class is the program's, and has a state that a `__getstate__` could leave something out of."""
    return is_users(cls) and not issubclass(cls, tuple | type)
