"""YAML 1.1 for values that people read and edit: standard tags alone, one document, no anchors and no aliases.

Values go to and from the events of PyYAML, not through its recursive composer and representer: what is written has
no alias, what is read is taken event by event, and neither recurses in C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from functools import partial
from typing import Any

import yaml

from store.classes.allowlist import Allowed
from store.classes.lookup import AS_WRITTEN, Lookup
from store.codecs.plain import Plain, describe_text
from store.codecs.plain_problems import fixed_offset, no_surrogates
from store.codecs.restricted.limits import Budget, too_much
from store.codecs.sameness import same
from store.codecs.yaml.events import Reading, events_of
from store.errors import Corrupt, NotSerializable

# libyaml where PyYAML was built with it; records of others are parsed in Python, where no pointer can go astray.
FAST_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FAST_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_LEAVES: dict[type, Any] = {
    type(None): None, bool: None, int: None, float: None, str: no_surrogates, bytes: None,
    datetime: fixed_offset, date: None,
}  # fmt: skip
# What PyYAML raises: it takes numbers in escapes and directives to be ones that fit.
_ERRORS = (yaml.YAMLError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)
_PLAIN = Plain("YAML", _LEAVES, _LEAVES, frozenset({list, dict, set}))


class YamlCodec:
    """Block style in UTF-8. Holds None, bool, int, float, str, bytes, datetime, date, list, dict and set.

    Keys are anything but containers. What two places share is written twice; sets are written in order.
    """

    name = "yaml"
    protocols = range(1, 2)
    default_protocol = 1

    def encode(self, value: Any, protocol: int, buffer_callback: Callable[[Any], Any] | None = None) -> bytes:
        try:
            _PLAIN.check(value)
            for quoted in (False, True):  # what the writer gets wrong in its own style it gets right in quotes
                text: str = yaml.emit(
                    events_of(value, quoted=quoted), Dumper=FAST_DUMPER, allow_unicode=True, width=100
                )
                if same(_read(text, FAST_LOADER), value):
                    return text.encode()
        except _ERRORS as exc:
            raise NotSerializable(f"YAML cannot hold the value: {exc}; use the codec 'pickle'") from exc
        raise NotSerializable("value: it would not come back from YAML as it is; use the codec 'pickle'")

    def decode(self, body: bytes, buffers: Iterable[Any] = (), *, lookup: Lookup = AS_WRITTEN) -> Any:
        try:
            return _read(str(body, "utf-8"), FAST_LOADER)
        except _ERRORS as exc:
            raise _not_yaml(exc) from exc

    def decode_restricted(
        self, body: bytes, buffers: Iterable[Any] = (), *, allow: Allowed, lookup: Lookup = AS_WRITTEN
    ) -> Any:
        budget = Budget()
        budget.grow(len(body))
        try:
            return _read(str(body, "utf-8"), yaml.SafeLoader, budget)
        except _ERRORS as exc:
            raise _not_yaml(exc) from exc
        except MemoryError as exc:
            raise too_much("it takes more memory than there is") from exc

    def describe(self, body: bytes) -> tuple[tuple[str, ...], str, str | None]:
        return describe_text(body, partial(self.decode_restricted, allow={}))


def has_comments(text: str) -> bool:
    """Whether a text that was read has comments: a `#` between two tokens, or in the head of a block scalar."""
    end = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):  # libyaml's tokens do not tell where they are
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


def _not_yaml(exc: Exception) -> Corrupt:
    return exc if isinstance(exc, Corrupt) else Corrupt(f"the bytes are not YAML that is taken here: {exc}")


codec = YamlCodec()
