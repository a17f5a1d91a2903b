"""Converts values to the events that PyYAML writes, and the events that it reads to values."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

import yaml
from yaml import events as ev

from store.codecs.refusals import too_much
from store.codecs.restricted.limits import Budget
from store.errors import Corrupt

MAX_DEPTH = 1000  # of containers
MAX_DEPTH_RESTRICTED = 200  # the Python parser visits all open flow collections for each token
MAX_NUMBER = 10_000  # characters: in base 60 a number takes quadratic time

_TAG = "tag:yaml.org,2002:"
_NULL, _BOOL, _INT, _FLOAT, _STR, _BINARY, _TIMESTAMP, _SEQ, _MAP, _SET = (
    _TAG + name for name in "null bool int float str binary timestamp seq map set".split()
)
# Text with these is written in double quotes: readers break lines at some, skip others and refuse the rest.
_UNUSUAL = re.compile("[^\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")

_resolver: Any = yaml.resolver.Resolver()


# -- writing


def events_of(value: Any, *, quoted: bool) -> Iterator[Any]:
    """The events of a document with one value; `quoted`: each str in double quotes. Raises: RecursionError."""
    found: list[Any] = [ev.StreamStartEvent(), ev.DocumentStartEvent(explicit=False)]
    _Writing(found, quoted).add(value)
    found += [ev.DocumentEndEvent(explicit=False), ev.StreamEndEvent()]
    return iter(found)


class _Writing:
    def __init__(self, found: list[Any], quoted: bool) -> None:
        self.found = found
        self.quoted = quoted

    def add(self, value: Any) -> None:
        kind = type(value)
        if kind is list:
            self.found.append(ev.SequenceStartEvent(None, None, True, flow_style=False))
            for item in value:
                self.add(item)
            self.found.append(ev.SequenceEndEvent())
        elif kind is dict:
            self._add_pairs(None, value.items())
        elif kind is set:  # sorted, so that equal sets have equal bytes
            ordered = sorted(value, key=lambda item: (type(item).__name__, repr(item)))
            self._add_pairs(_SET, ((item, None) for item in ordered))
        else:
            self.found.append(self._scalar(value, key=False))

    def _add_pairs(self, tag: str | None, pairs: Any) -> None:
        self.found.append(ev.MappingStartEvent(None, tag, tag is None, flow_style=False))
        for key, item in pairs:
            self.found.append(self._scalar(key, key=True))
            self.add(item)
        self.found.append(ev.MappingEndEvent())

    def _scalar(self, value: Any, key: bool) -> Any:
        if type(value) is bytes:
            text = (base64.b64encode if key else base64.encodebytes)(value).decode("ascii")
            return ev.ScalarEvent(None, _BINARY, (False, False), text, style="|" if text and not key else '"')
        tag, text = _text_of(value)
        # A str that would be read as another type needs quotes: implicit is (plain, in quotes).
        implicit = _resolver.resolve(yaml.ScalarNode, text, (True, False)) == tag, tag == _STR
        return ev.ScalarEvent(None, tag, implicit, text, style=self._style(text, key) if tag == _STR else None)

    def _style(self, text: str, key: bool) -> str | None:
        if self.quoted or _UNUSUAL.search(text):
            return '"'
        return "|" if "\n" in text and not key else None


def _text_of(value: Any) -> tuple[str, str]:
    """(tag, text) of a scalar. Raises: ValueError: an int of too many digits."""
    if value is None:
        return _NULL, "null"
    if isinstance(value, str):
        return _STR, value
    if isinstance(value, bool):
        return _BOOL, "true" if value else "false"
    if isinstance(value, float):
        return _FLOAT, _text_of_float(value)
    if isinstance(value, datetime):
        return _TIMESTAMP, value.isoformat(" ")
    if isinstance(value, date):
        return _TIMESTAMP, value.isoformat()
    return _INT, str(value)


def _text_of_float(value: float) -> str:
    text = repr(value)
    if text[-1] in "fn":  # inf and nan
        return text[:-3] + "." + text[-3:]
    return text.replace("e", ".0e") if "e" in text and "." not in text else text  # YAML 1.1 needs the point


# -- reading


class Reading:
    """Builds the value of the events that `event` returns; a budget limits the cost of its keys."""

    def __init__(self, event: Callable[[], Any], budget: Budget | None) -> None:
        self.event = event
        self.budget = budget
        self.depth = MAX_DEPTH_RESTRICTED if budget else MAX_DEPTH
        self.open: list[tuple[Any, list[Any]]] = []  # containers, and their items, which are added when they close

    def document(self) -> Any:
        """Raises: Corrupt, YAMLError, ValueError."""
        top: list[Any] = []
        self.event()
        self._expect(ev.DocumentStartEvent, "there is no document")
        while True:
            self._take(self.event(), self.open[-1][1] if self.open else top)
            if not self.open:
                break
        self._expect(ev.DocumentEndEvent, "the document does not end")
        self._expect(ev.StreamEndEvent, "there is more than one document")
        return top[0]

    def _expect(self, kind: type, otherwise: str) -> None:
        if not isinstance(self.event(), kind):
            raise Corrupt(f"the bytes are not YAML that this codec supports: {otherwise}")

    def _take(self, event: Any, items: list[Any]) -> None:
        if isinstance(event, ev.CollectionEndEvent):
            self._fill(*self.open.pop())
            return
        if isinstance(event, ev.AliasEvent) or event.anchor is not None:
            raise Corrupt(
                f"the bytes have an anchor or an alias, {event.anchor!r:.80}, which this codec does not support"
            )
        if isinstance(event, ev.ScalarEvent):
            items.append(_scalar_of(event))
            return
        container = _container_of(event)
        if self.open and type(self.open[-1][0]) is not list and len(items) % 2 == 0:
            raise Corrupt("the bytes have a list, a dict or a set as a key")
        if len(self.open) >= self.depth:
            raise too_much(f"it nests containers more than {self.depth} deep")
        items.append(container)
        self.open.append((container, []))

    def _fill(self, container: Any, items: list[Any]) -> None:
        if type(container) is list:
            container += items
            return
        for piece in self.budget.pieces(0, items, 2) if self.budget else (items,):
            for key, item in zip(piece[::2], piece[1::2], strict=True):
                if self.budget:
                    self.budget.charge_key(container, key)
                if key in container:
                    raise Corrupt(f"the bytes have the key {key!r:.80} twice")
                if type(container) is dict:
                    container[key] = item
                elif item is None:
                    container.add(key)
                else:
                    raise Corrupt("the bytes have a set whose items have values")
        if self.budget:
            self.budget.forget(container)


def _container_of(event: Any) -> Any:
    is_sequence = isinstance(event, ev.SequenceStartEvent)
    tag = _SEQ if is_sequence else _MAP
    if event.tag not in (None, "!"):
        tag = event.tag
    if is_sequence and tag == _SEQ:
        return []
    if not is_sequence and tag in (_MAP, _SET):
        return {} if tag == _MAP else set()
    raise Corrupt(f"the bytes have the tag {tag!r:.80}, and only the standard ones of plain values are taken")


_constructor = yaml.constructor.SafeConstructor()
_SCALARS: dict[str, Callable[[Any], Any]] = {
    _NULL: _constructor.construct_yaml_null,
    _BOOL: _constructor.construct_yaml_bool,
    _INT: _constructor.construct_yaml_int,
    _FLOAT: _constructor.construct_yaml_float,
    _BINARY: _constructor.construct_yaml_binary,
    _TIMESTAMP: _constructor.construct_yaml_timestamp,
}


def _scalar_of(event: Any) -> Any:
    tag = event.tag
    if tag is None or tag == "!":
        tag = _resolver.resolve(yaml.ScalarNode, event.value, event.implicit)
    if tag == _STR:
        return event.value
    if tag not in _SCALARS:
        raise Corrupt(f"the bytes have the tag {tag!r:.80}, and only the standard ones of plain values are taken")
    if len(event.value) > MAX_NUMBER and tag in (_INT, _FLOAT):
        raise too_much(f"it has a number of more than {MAX_NUMBER} characters")
    try:
        return _SCALARS[tag](yaml.ScalarNode(tag, event.value))
    except (ValueError, LookupError, AttributeError, ArithmeticError) as exc:
        raise Corrupt(f"the bytes have {event.value!r:.80} where {tag} needs something else") from exc
