"""Pickles that were made before modules moved still load: their bytes are written here by hand, with the old names."""

from __future__ import annotations

import asyncio
import importlib
import pickle
import subprocess
import sys
from datetime import UTC

import pytest

import store
from store import Store
from store.aio import AsyncStore
from store.sessions import Sessions


def reopened(place: str, namespace: str = "") -> bytes:
    """What `_reopen` is called with, and the call: of a `Store` at that place."""
    options = f"(dVnamespace\nV{namespace}\nsVmode\nVw\nsVcodec\nVpickle\nsVspill_bytes\nI1048576\ns"
    return f"cstore.handle\n_reopen\n(cstore.mapping\nStore\nV{place}\n{options}tR".encode()


def test_store(place: str) -> None:
    Store(place, namespace="x")["a"] = 1
    with pickle.loads(reopened(place, "x") + b".") as again:
        assert type(again) is Store
        assert (again.namespace, dict(again)) == ("x", {"a": 1})


def test_sessions(place: str) -> None:
    with Sessions(place) as sessions:
        id = sessions.create({"user": "ann"})
    call = reopened(place, "sessions").removesuffix(b"R")
    function, arguments = call[: call.index(b"(")], call[call.index(b"(") :]
    data = b"cstore.sessions\n_reopened\n(cstore.sessions\nSessions\n(" + function + arguments + b"tF60.0\nVjson\ntR."
    with pickle.loads(data) as again:
        assert again.load(id) == {"user": "ann"}


def test_async_store(place: str) -> None:
    Store(place)["a"] = 1
    call = reopened(place).removesuffix(b"R")
    function, arguments = call[: call.index(b"(")], call[call.index(b"(") :]
    data = b"cstore.aio_handle\n_again\n(cstore.aio\nAsyncStore\n(" + function + arguments + b"tF60.0\ntR."

    async def main() -> None:
        async with pickle.loads(data) as again:
            assert type(again) is AsyncStore
            assert await again.get("a") == 1

    asyncio.run(main())


RECORD = (
    b"\x80\x02cstore.record\nRecord\n)\x81](K\x07X\x01\x00\x00\x00nX\x01\x00\x00\x00aX\x06\x00\x00\x00pickleK\x05"
    b"X\x03\x00\x00\x00intX\x04\x00\x00\x003.11K\x04K\x02"
    b"cdatetime\ndatetime\nU\x0a\x07\xea\x01\x02\x03\x04\x05\x00\x00\x00cdatetime\ntimezone\ncdatetime\ntimedelta\n"
    b"K\x00K\x00K\x00\x87R\x85R\x86R"
    b"cdatetime\ndatetime\nU\x0a\x07\xea\x01\x02\x03\x04\x06\x00\x00\x00cdatetime\ntimezone\ncdatetime\ntimedelta\n"
    b"K\x00K\x00K\x00\x87R\x85R\x86RNNeb."
)


def test_record() -> None:
    record = pickle.loads(RECORD, encoding="latin-1")
    assert type(record) is store.Record
    assert (record.namespace, record.name, record.revision) == ("n", "a", 2)
    assert (record.created.tzinfo, record.modified.second, record.expires) == (UTC, 6, None)
    assert (record.codec, record.size, record.version) == ("pickle", 4, "")
    assert pickle.loads(pickle.dumps(record)) == record


def test_record_that_had_no_version_fits_no_state(place: str) -> None:
    record = pickle.loads(RECORD, encoding="latin-1")
    with Store(place) as s:
        with pytest.raises(store.Conflict):
            s.put("a", 1, if_version=record)
        s["a"] = 1
        with pytest.raises(store.Conflict):
            s.put("a", 2, if_version=record)
        again = pickle.loads(pickle.dumps(s.record("a")))
        assert s.put("a", 3, if_version=again).revision == 2


@pytest.mark.parametrize("old", sorted(store._MOVED))
def test_old_name_is_the_new_module(old: str) -> None:
    assert importlib.import_module(old) is importlib.import_module(store._MOVED[old])


@pytest.mark.parametrize(
    "where, new",
    [
        ("store.backups Backup", "store.care.backup"),
        ("store.changes Change", "store.watching.changes"),
        ("store.companions Rights", "store.system.rights"),
        ("store.compaction Compaction", "store.care.compact"),
        ("store.inspection Inspection", "store.care.inspect"),
        ("store.recovery Recovery", "store.care.recover"),
        ("store.rekey Rekeying", "store.care.rekey"),
        ("store.row Row", "store.rows.row"),
        ("store.stats Stats", "store.care.stats"),
        ("store.upgrade Upgraded", "store.care.upgrade"),
        ("store.verification Verification", "store.care.verify"),
    ],
)
def test_results_of_maintenance(where: str, new: str) -> None:
    module, name = where.split()
    assert pickle.loads(f"c{module}\n{name}\n.".encode()).__module__ == new


def test_old_names_cost_nothing_until_they_are_used() -> None:
    program = "import sys, store; print([m for m in sys.modules if m in store._MOVED])"
    found = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert found.strip() == "[]"


def test_name_that_never_was_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("store.never_was")
