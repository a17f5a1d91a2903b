"""What the model test does to records: the rules that any handle may be asked."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from store import ABSENT, Store
from store.errors import Conflict, RecordError, Untrusted

from .model_expected import Entry
from .model_handles import Handles
from .model_remote import Remote
from .model_values import change, handles, leaves, limits, names, ttls, values, wrapped


def raises(entry: Entry | None) -> Any:
    """What whoever decodes that record must see to."""
    refusal = None if entry is None else entry.refusal
    return nullcontext() if refusal is None else pytest.raises(refusal)


class Rules(Handles):
    """Writes and reads of one record and of many."""

    @rule(number=handles, name=names, value=leaves)
    def set(self, number: int, name: str, value: Any) -> None:
        s, _ = self.pick(number)
        s[name] = value
        self.assign(s, name, value)

    @rule(number=handles, name=names, value=values, ttl=ttls)
    def put(self, number: int, name: str, value: Any, ttl: float | None) -> None:
        s, found = self.pick(number)
        record = s.put(name, value, ttl=ttl)
        self.expected.assign(s.namespace, name, value, ttl)  # None is for ever
        assert record.revision == found[name].revision
        self.remembered.append((record, s.namespace, found[name]))

    @rule(number=handles, name=names, value=values, which=st.integers(0, 100))
    def put_if_unchanged(self, number: int, name: str, value: Any, which: int) -> None:
        s, found = self.pick(number)
        fitting = [known for known in self.remembered if known[1] == s.namespace]
        if not fitting:
            self.put_if_absent(s, found, name, value)
            return
        record, _, entry = fitting[which % len(fitting)]
        now_is = found.get(record.name)
        if now_is is not None and (now_is.birth, now_is.revision) == (entry.birth, entry.revision):
            s.put(record.name, value, if_version=record)
            self.assign(s, record.name, value)
        else:
            with pytest.raises(Conflict):
                s.put(record.name, value, if_version=record)

    def put_if_absent(self, s: Any, found: dict[str, Entry], name: str, value: Any) -> None:
        if name in found:
            with pytest.raises(Conflict):
                s.put(name, value, if_version=ABSENT)
        else:
            s.put(name, value, if_version=ABSENT)
            self.assign(s, name, value)

    # One rule for all that removes, else the stores would be empty most of the time.
    @rule(number=handles, name=names, how=st.sampled_from(["del", "pop", "pop", "popitem", "purge", "clear"]))
    def remove(self, number: int, name: str, how: str) -> None:
        s, found = self.pick(number)
        if how == "clear":
            s.clear()
            self.expected.clear(s.namespace)
        elif how == "purge":
            s.purge()
            self.expected.purge(s.namespace)
            assert s.purge() == 0
        elif how == "popitem" and found:
            name, entry = list(found.items())[-1]
            with raises(entry):
                assert s.popitem() == (name, entry.value)
                del found[name]
        elif how == "pop":
            entry = found.get(name)
            with raises(entry):
                assert s.pop(name, "default") == (entry.value if entry else "default")
                found.pop(name, None)
        elif how == "del" and name in found:
            del s[name], found[name]
        else:
            with pytest.raises(KeyError):
                s.popitem() if how == "popitem" else s.__delitem__(name)

    @rule(number=handles, name=names, value=values)
    def setdefault(self, number: int, name: str, value: Any) -> None:
        s, found = self.pick(number)
        if name not in found:
            self.assign(s, name, value)
        with raises(found[name]):
            assert s.setdefault(name, value) == found[name].value

    @rule(number=handles, name=names, really=st.booleans(), fail=st.booleans())
    def edit(self, number: int, name: str, really: bool, fail: bool) -> None:
        s, found = self.pick(number)
        mark, entry = self.mark(), found.get(name)
        new = copy.deepcopy(entry.value) if entry else []
        if entry is not None and entry.damaged:
            with raises(entry):
                self.edit_it(s, name, mark, really, fail)
        elif not change(new, mark):
            with pytest.raises(TypeError, match="modify"):
                self.edit_it(s, name, mark, really, fail)
        elif fail:
            with pytest.raises(RuntimeError):
                self.edit_it(s, name, mark, really, fail)
        else:
            self.edit_it(s, name, mark, really, fail)
            if entry is None:
                self.assign(s, name, new if really else [])
            elif really:
                self.expected.rewrite(s.namespace, name, new)

    def edit_it(self, s: Any, name: str, mark: str, really: bool, fail: bool) -> None:
        if isinstance(s, Remote):
            s.ask("edit", name, mark, really, fail)
            return
        with s.edit(name, default=[]) as value:
            if really:
                change(value, mark)
            if fail:
                raise RuntimeError

    @rule(number=handles, name=names)
    def modify(self, number: int, name: str) -> None:
        s, found = self.pick(number)
        entry = found.get(name)
        with raises(entry):
            result = s.modify(name, 0) if isinstance(s, Remote) else s.modify(name, wrapped, default=0)
            assert result == [entry.value if entry else 0]
            if entry is None:
                self.assign(s, name, [0])
            else:
                self.expected.rewrite(s.namespace, name, [entry.value])

    @rule(number=handles, name=names, ttl=ttls)
    def touch(self, number: int, name: str, ttl: float | None) -> None:
        s, found = self.pick(number)
        entry = found.get(name)
        if entry is None:
            with pytest.raises(KeyError):
                s.touch(name, ttl)
        elif entry.damaged or entry.foreign:
            with pytest.raises(entry.refusal or Untrusted):
                s.touch(name, ttl)
        else:
            self.expected.touch(s.namespace, name, ttl)
            assert s.touch(name, ttl).revision == found[name].revision

    # -- many

    @rule(number=handles, other=st.dictionaries(names, values, max_size=4), fail=st.booleans())
    def update(self, number: int, other: dict[str, Any], fail: bool) -> None:
        s, _ = self.pick(number)
        if fail and isinstance(s, Store):
            with pytest.raises(TypeError):
                s.update({**other, "unserializable": lambda: 0})
            return
        s.update(other)
        for name, value in other.items():
            self.assign(s, name, value)

    @precondition(lambda self: not self.transactions)
    @rule(
        one=st.dictionaries(names, leaves, max_size=2), inner=st.dictionaries(names, leaves, max_size=2),
        fail=st.sampled_from(["", "inner", "outer"]),
    )  # fmt: skip
    def transaction_of_the_other(self, one: dict[str, Any], inner: dict[str, Any], fail: str) -> None:
        s = self.open[-1]
        assert isinstance(s, Remote)
        self.pick(0)
        if fail == "outer":
            with pytest.raises(RuntimeError):
                s.ask("batch", list(one.items()), list(inner.items()), fail)
            return
        s.ask("batch", list(one.items()), list(inner.items()), fail)
        for name, value in [*one.items(), *([] if fail else inner.items())]:
            self.assign(s, name, value)

    # -- reading; one rule for all, since the invariant reads after every step

    @rule(
        number=handles, name=names, other=st.dictionaries(names, leaves, max_size=3), after=st.none() | names,
        limit=limits, back=st.booleans(),
    )  # fmt: skip
    def read(
        self, number: int, name: str, other: dict[str, Any], after: str | None, limit: int | None, back: bool
    ) -> None:
        s, found = self.pick(number)
        self.read_one(s, found, name)
        matching = [known for known in sorted(found, reverse=back) if known.startswith(name)]
        if after is not None:
            matching = [known for known in matching if (known < after if back else known > after)]
        assert s.names(name, after, limit, back) == matching[:limit]
        asked = [name for name in other if name in found and not found[name].damaged]
        assert list(s.get_many([*asked, "never stored"]).items()) == [(name, found[name].value) for name in asked]
        if isinstance(s, Store):
            self.read_as_dict(s, {name: entry.shown for name, entry in found.items()}, other)

    def read_as_dict(self, s: Store[Any], plain: dict[str, Any], other: dict[str, Any]) -> None:
        if any(isinstance(value, type) for value in plain.values()):
            with pytest.raises(RecordError):
                assert s == plain
        else:
            assert s == plain
            assert (s == other) == (plain == other)
        assert list((s | other).items()) == list((plain | other).items())
        assert list((other | s).items()) == list((other | plain).items())
        assert s.keys() & other.keys() == plain.keys() & other.keys()
        assert s.keys() - other.keys() == plain.keys() - other.keys()

    def read_one(self, s: Any, found: dict[str, Entry], name: str) -> None:
        entry = found.get(name)
        assert (name in s) == (entry is not None)
        if entry is None:
            with pytest.raises(KeyError):
                s[name]
            assert s.get(name, "default") == "default"
            return
        with raises(entry):
            value = s[name]
            assert value == s.get(name) == entry.value
            assert type(value) is type(entry.value)

    @rule(seconds=st.sampled_from([1, 20, 200]))
    def wait(self, seconds: int) -> None:
        self.expected.now += seconds
