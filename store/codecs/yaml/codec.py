"""YAML 1.1 for values that people read and edit: standard tags only, one document, no anchors and no aliases.

Values are converted to and from the events of PyYAML, not through its recursive composer and representer: nothing is
written as an alias, and neither direction recurses in C.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import yaml

from store.classes.lookup import Lookup
from store.codecs.formats import Format
from store.codecs.plain import Plain, fixed_offset, no_surrogates, same
from store.codecs.restricted.limits import Budget
from store.codecs.yaml.events import Reading, events_of
from store.errors import NotSerializable

# libyaml if PyYAML was built with it; foreign records are parsed in Python, which is memory-safe.
FAST_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FAST_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_LEAVES: dict[type, Any] = {
    type(None): None, bool: None, int: None, float: None, str: no_surrogates, bytes: None,
    datetime: fixed_offset, date: None,
}  # fmt: skip
# Errors of PyYAML, which does not check the range of numbers in escapes and directives.
_ERRORS = (yaml.YAMLError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)
_PLAIN = Plain("YAML", _LEAVES, _LEAVES, frozenset({list, dict, set}))


def _encode(value: Any) -> bytes:
    """Block style in UTF-8. Accepts None, bool, int, float, str, bytes, datetime, date, list, dict and set.

    Keys are anything but containers. Shared parts are written at each place; sets are written sorted.
    """
    _PLAIN.check(value)
    for quoted in (False, True):  # some values round-trip only with every str in quotes
        text: str = yaml.emit(events_of(value, quoted=quoted), Dumper=FAST_DUMPER, allow_unicode=True, width=100)
        if same(_read(text, FAST_LOADER), value):
            return text.encode()
    raise NotSerializable("value: it would not round-trip through YAML; use the codec 'pickle'")


def _decode(body: bytes, _: Lookup) -> Any:
    return _read(str(body, "utf-8"), FAST_LOADER)


def _restricted(body: bytes, _: Lookup) -> Any:
    budget = Budget()
    budget.grow(len(body))
    return _read(str(body, "utf-8"), yaml.SafeLoader, budget)


def has_comments(text: str) -> bool:
    """Whether a valid text has comments: a `#` between two tokens, or in the head of a block scalar."""
    end = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):  # libyaml's tokens have no positions
        start, gap = token.start_mark.index, text[end : token.start_mark.index]
        end = token.end_mark.index
        head = text[start:end].partition("\n")[0] if getattr(token, "style", None) in ("|", ">") else ""
        if "#" in gap or "#" in head:
            return True
    return "#" in text[end:]


def _read(text: str, kind: Any, budget: Budget | None = None) -> Any:
    """The value of the one document. Raises: YAMLError, ValueError."""
    loader = kind(text)
    try:
        return Reading(loader.get_event, budget).document()
    finally:
        loader.dispose()


codec = Format(
    "yaml", "YAML", encode=_encode, decode=_decode, restricted=_restricted, errors=_ERRORS,
    bytes_are="YAML that this codec supports",
)  # fmt: skip
