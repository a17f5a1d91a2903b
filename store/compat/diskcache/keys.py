r"""Keys of diskcache as names of a store, and back.

Two keys have one name where diskcache finds the one by the other: text by its characters, bytes by theirs, whole
numbers of 64 bits and floats by their value (1 and 1.0 are one key), all else by type and content (True is not 1, and
(1,) is not (1.0,)). The order of the names is the order in which diskcache iterates over keys: numbers, text, bytes,
others. In names

- text is itself. "\1" and NUL inside are "\1\2" and "\1\1"; text that is empty, or begins with "\1" or "\2", has "\2"
  before it, and text that begins with U+10FFFF has U+10FFFF and "0" before it;
- a number is "\1" and the text of `numbers.py`;
- bytes are U+10FFFF, "1" and their hexadecimal digits;
- None, True, False, larger whole numbers, complex numbers, tuples, lists, dicts, sets, builtin types, `ENOVAL`, and
  what is built of these, are U+10FFFF, "2" and JSON: a tuple is an array, and what JSON lacks an object of one
  member, such as {"bytes":"00ff"};
- any other key is U+10FFFF, "3" and a BLAKE2b digest of its pickle. A name is not sealed, so the key itself is stored
  with the value, under the record's seal (`values.py`), and is never decoded from a name.
"""

from __future__ import annotations

import builtins
import json
import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from store.codecs.pickle import dumps
from store.compat.diskcache import numbers
from store.compat.diskcache.markers import CONSTANTS, Constant
from store.errors import Corrupt, NotSerializable

_NUMBER, _ESCAPED, _LAST = "\x01", "\x02", "\U0010ffff"
_TEXT, _BYTES, _PLAIN, _OTHER = (_LAST + digit for digit in "0123")
_TYPES = {name: value for name, value in vars(builtins).items() if isinstance(value, type)}
DIGEST_BYTES = 16


def name_of(key: Any) -> str:
    """The name of a key.

    Raises:
        ValueError: the key is NaN, or text with half of a surrogate pair. NotSerializable: it cannot be pickled.
    """
    kind = type(key)
    if kind is str:
        return key if key and key.isascii() and key.isprintable() else _of_text(key)
    if kind is float or (kind is int and numbers.SMALLEST <= key <= numbers.LARGEST):
        return _NUMBER + numbers.text_of(key)
    if kind is bytes:
        return f"{_BYTES}{key.hex()}"
    try:
        return _PLAIN + json.dumps(_form(key), separators=(",", ":"))
    except (TypeError, RecursionError, ValueError):  # no plain data, a circle, or thousands of digits
        return _OTHER + _digest(key)


def is_digest(name: str) -> bool:
    """Whether the name does not have the key, which is then with the value."""
    return name.startswith(_OTHER)


def key_of(name: str) -> Any:
    """The key of a name that is no digest. Raises: Corrupt: no key has that name."""
    try:
        return _key(name)
    except (ValueError, TypeError, KeyError, RecursionError) as exc:
        error = Corrupt(f"no key of diskcache has this name ({exc}); `del cache.store[name]` deletes it")
        raise error.about(name, "") from exc


def _of_text(text: str) -> str:
    escaped = text.replace("\x01", "\x01\x02").replace("\0", "\x01\x01")
    if not escaped or escaped[0] <= _ESCAPED:
        return _ESCAPED + escaped
    return _TEXT + escaped if escaped[0] == _LAST else escaped


def _key(name: str) -> Any:
    kind = name[:2]
    if kind == _BYTES:
        return bytes.fromhex(name[2:])
    if kind == _PLAIN:
        return _of_form(json.loads(name[2:]))
    if name.startswith(_NUMBER):
        return numbers.number_of(name[1:])
    text = name[2:] if kind == _TEXT else name[1:] if name.startswith(_ESCAPED) else name
    text = re.sub("\x01(.)", lambda match: {"\x01": "\0", "\x02": "\x01"}[match[1]], text, flags=re.DOTALL)
    if name_of(text) != name:
        raise ValueError("it is not what name_of makes of this text")
    return text


def _form(key: Any) -> Any:
    """The key as plain JSON. Raises: TypeError: it is of another class. RecursionError."""
    kind = type(key)
    if key is None or kind in (bool, int, float, str):
        return key
    if kind is tuple:
        return [_form(item) for item in key]
    if kind is list:
        return {"list": [_form(item) for item in key]}
    if kind is dict:
        return {"dict": [[_form(item), _form(value)] for item, value in key.items()]}
    if kind in (set, frozenset):
        return {kind.__name__: sorted(map(_form, key), key=json.dumps)}
    if kind is bytes:
        return {"bytes": key.hex()}
    if kind is complex:
        return {"complex": [key.real, key.imag]}
    if kind is Constant:
        return {"constant": key.name}
    if isinstance(key, type) and _TYPES.get(key.__name__) is key:
        return {"type": key.__name__}
    raise TypeError(kind)


def _of_form(form: Any) -> Any:
    """The key of a form. Raises: ValueError, TypeError, KeyError: it is none that `_form` makes."""
    if isinstance(form, list):
        return tuple(map(_of_form, form))
    if not isinstance(form, dict):
        return form
    kind, content = form.popitem() if len(form) == 1 else ("", None)
    return _MAKERS[kind](content)


_MAKERS: dict[str, Callable[[Any], Any]] = {
    "list": lambda content: [_of_form(item) for item in content],
    "dict": lambda content: {_of_form(item): _of_form(value) for item, value in content},
    "set": lambda content: {_of_form(item) for item in content},
    "frozenset": lambda content: frozenset(_of_form(item) for item in content),
    "bytes": bytes.fromhex,
    "complex": lambda content: complex(*content),
    "constant": CONSTANTS.__getitem__,
    "type": _TYPES.__getitem__,
}


def _digest(key: Any) -> str:
    try:
        data = dumps(key, protocol=5)
    except Exception as exc:  # its class decides what is raised
        raise NotSerializable(f"a key of class {type(key).__qualname__} cannot be pickled: {exc}") from exc
    return blake2b(data, digest_size=DIGEST_BYTES).hexdigest()
