"""Sessions and a dict side by side: any sequence of operations, and any moment, leaves both the same."""

from __future__ import annotations

from itertools import count
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from store import Store
from store.sessions import UNSET, Lifetime, NoSuchSession, Sessions

TTL = 10.0
leaves = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=4)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner))
data = st.dictionaries(st.text(max_size=3), values, max_size=3)
users = st.sampled_from([None, "ann", "bob"])
ttls = st.sampled_from([UNSET, 1.0, 3.0, 25.0])


class SessionsAndDict(RuleBasedStateMachine):
    """Two handles on one namespace; the model is id → (data, expiry), and id → user for those that have one."""

    stores: ClassVar[list[Store[Any]]]
    shards: ClassVar[int] = 1
    now: ClassVar[float] = 1_800_000_000.0
    namespaces = count()  # one for each run: a file for each would take most of the time

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        namespace = f"run {next(self.namespaces)}"
        self.open = [Sessions(store, namespace=namespace, ttl=TTL, shards=self.shards) for store in self.stores]
        self.model: dict[str, tuple[dict[str, Any], float]] = {}
        self.users: dict[str, str | None] = {}
        self.expired = 0

    def teardown(self) -> None:
        for sessions in self.open:
            sessions.close()

    @property
    def one(self) -> Sessions:
        self.open.reverse()  # each in its turn
        return self.open[0]

    @rule(target=ids, data=data, ttl=ttls, user=users)
    def create(self, data: dict[str, Any], ttl: float | Lifetime, user: str | None) -> str:
        id = self.one.create(data, ttl=ttl, user=user)
        assert id not in self.model
        self.users[id] = user
        self.model[id] = (data, self.now + (TTL if ttl is UNSET else ttl))
        return id

    @rule(target=ids, id=st.text(max_size=50) | st.text("abcXYZ019-_", min_size=43, max_size=43))
    def forge(self, id: str) -> str:
        return id

    @rule(id=ids)
    def load(self, id: str) -> None:
        assert self.one.load(id) == self.model.get(id, (None,))[0]

    @rule(id=ids, data=data, ttl=ttls)
    def save(self, id: str, data: dict[str, Any], ttl: float | Lifetime) -> None:
        assert self.one.save(id, data, ttl=ttl) is (id in self.model)
        if id in self.model:
            self.model[id] = (data, self.model[id][1] if ttl is UNSET else self.now + ttl)

    @rule(id=ids, key=st.text(max_size=3), value=values, ttl=ttls, fails=st.booleans())
    def modify(self, id: str, key: str, value: Any, ttl: float | Lifetime, fails: bool) -> None:
        def change(data: dict[str, Any]) -> dict[str, Any]:
            assert data == self.model[id][0]
            return {**data, key: value} if not fails else {}[key]

        try:
            assert self.one.modify(id, change, ttl=ttl) is (id in self.model)
        except KeyError as exc:  # of the function
            assert fails and exc.args == (key,)
        else:
            if id in self.model:
                found, expires = self.model[id]
                self.model[id] = ({**found, key: value}, expires if ttl is UNSET else self.now + ttl)

    @rule(id=ids, key=st.text(max_size=3), value=values, fails=st.booleans())
    def edit(self, id: str, key: str, value: Any, fails: bool) -> None:
        try:
            with self.one.edit(id) as found:
                assert found == self.model[id][0]
                found[key] = value
                if fails:
                    raise ZeroDivisionError
        except NoSuchSession:
            assert id not in self.model
        except ZeroDivisionError:
            pass
        else:
            self.model[id] = ({**self.model[id][0], key: value}, self.model[id][1])

    @rule(id=ids, ttl=ttls)
    def touch(self, id: str, ttl: float | Lifetime) -> None:
        assert self.one.touch(id, ttl=ttl) is (id in self.model)
        if id in self.model:
            found, expires = self.model[id]
            self.model[id] = (found, self.now + ttl if ttl is not UNSET else max(expires, self.now + TTL))

    @rule(target=ids, id=ids, ttl=ttls, user=users | st.just(UNSET))
    def rotate(self, id: str, ttl: float | Lifetime, user: Any) -> Any:
        new = self.one.rotate(id, ttl=ttl, user=user)
        if id not in self.model:
            assert new is None
            return multiple()
        assert new is not None and new not in self.model
        found, expires = self.model.pop(id)
        self.users[new] = self.users[id] if user is UNSET else user
        self.model[new] = (found, self.now + ttl if ttl is not UNSET else expires)
        return new

    @rule(id=ids)
    def delete(self, id: str) -> None:
        assert self.one.delete(id) is (self.model.pop(id, None) is not None)

    @rule(user=users.filter(bool), but=st.none() | ids)
    def end_all_of_a_user(self, user: str, but: str | None) -> None:
        theirs = [id for id in self.model if self.users[id] == user and id != but]
        assert self.one.by(user).end(but=but) == len(theirs)
        for id in theirs:
            del self.model[id]

    @rule(seconds=st.sampled_from([0.5, 1.0, 4.0, 10.0]))
    def wait(self, seconds: float) -> None:
        SessionsAndDict.now += seconds
        over = [id for id, (_, expires) in self.model.items() if expires <= self.now]
        self.expired += len(over)
        for id in over:
            del self.model[id]

    @rule()
    def clear_expired(self) -> None:
        assert self.one.clear_expired() <= self.expired  # writers purge some by themselves
        assert self.one.clear_expired() == 0
        self.expired = 0

    @invariant()
    def as_many_with_the_same_expiry(self) -> None:
        one = self.one
        assert len(one) == len(self.model)
        expiries = sorted(record.expires.timestamp() for record in one.records() if record.expires)
        assert expiries == sorted(expires for _, expires in self.model.values())
        assert one.rejected == 0
        for user in ("ann", "bob"):
            assert len(one.by(user)) == len(one.by(user).records()) == sum(self.users[id] == user for id in self.model)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.slow
def test_sessions_do_as_a_dict_does(place: str, shards: int) -> None:
    options: dict[str, Any] = {"trust": "own", "clock": lambda: SessionsAndDict.now}
    with Store(place, **options) as first, Store(place, **options) as second:
        SessionsAndDict.stores, SessionsAndDict.shards = [first, second], shards
        run_state_machine_as_test(
            SessionsAndDict,
            settings=settings(
                max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
            ),
        )
