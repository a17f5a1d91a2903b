"""joblib.Memory: names that a program can look up, arrays, both kinds of locations, and hostile folders."""

from __future__ import annotations

import collections
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest
from sources import Hostile, library
from sources_by_hand import memory_result

from store import Store
from store.importers import import_into
from store.importers.formats import joblib_memory

HASHES = [f"{number:032x}" for number in range(8)]


def run(s: Store[Any], source: Path, **options: Any) -> dict[str, tuple[str, str]]:
    return {one.name: (one.outcome, one.why) for one in import_into(s, "joblib-memory", source, **options)}


def squared(x: Any) -> Any:
    return x * x


def total(*numbers: int) -> dict[str, int]:
    return {"total": sum(numbers)}


@pytest.mark.parametrize("compress", [False, True, 3])
@pytest.mark.parametrize("kind", [str, Path])
def test_results_are_found_by_function_and_hash(kind: Any, compress: Any, tmp_path: Path, path: Path) -> None:
    joblib, numpy = library("joblib"), library("numpy")
    memory = joblib.Memory(kind(tmp_path / "source"), verbose=0, compress=compress)
    array = numpy.arange(1000.0)
    made = [memory.cache(squared).call_and_shelve(array), memory.cache(squared).call_and_shelve(3), memory.cache(total).call_and_shelve(1, 2)]
    names = [f"{result.func_id}/{result.args_id}" for result in made]
    for source in (tmp_path / "source", tmp_path / "source" / "joblib")[: 2 if kind is str else 1]:
        with Store[Any](":memory:") as s:
            assert run(s, source) == dict.fromkeys(names, ("imported", ""))
            assert (s[names[0]] == array * array).all()
            assert [s[name] for name in names[1:]] == [9, {"total": 3}]
            assert names[1].endswith(f"squared/{made[1].args_id}")


def test_result_of_a_class_waits_for_allow(tmp_path: Path, path: Path) -> None:
    memory_result(tmp_path / "source", f"mod/f/{HASHES[0]}", pickle.dumps(collections.UserDict(a=1)))
    memory_result(tmp_path / "source", f"mod/f/{HASHES[1]}", zlib.compress(pickle.dumps(Hostile(tmp_path / "code has run"))))
    with Store[Any](path) as s:
        assert [outcome for outcome, _ in run(s, tmp_path / "source").values()] == ["refused", "refused"]
        assert run(s, tmp_path / "source", allow=["collections.UserDict"])[f"mod/f/{HASHES[0]}"] == ("imported", "")
    assert not (tmp_path / "code has run").exists()


def test_folder_with_other_things(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblib_memory, "MAX_BYTES", 1000)
    source = memory_result(tmp_path / "source", f"bomb/{HASHES[0]}", zlib.compress(bytes(10_000_000)))
    memory_result(tmp_path / "secret", HASHES[0], pickle.dumps("secret"))
    memory_result(source, f"mod/f/{HASHES[0]}", pickle.dumps([1]))
    (source / "mod" / "f" / "func_code.py").write_text("raise SystemExit")
    (source / "mod" / "f" / HASHES[1]).symlink_to(tmp_path / "secret" / HASHES[0])
    (source / "mod" / "linked").symlink_to(tmp_path / "secret")
    (source / "mod" / "f" / HASHES[2]).mkdir()
    (source / "mod" / "f" / HASHES[2] / "output.pkl").symlink_to(tmp_path / "secret" / HASHES[0] / "output.pkl")
    (source / "mod" / "f" / HASHES[3]).mkdir()
    os.mkfifo(source / "mod" / "f" / HASHES[3] / "output.pkl")
    (source / "mod" / "f" / HASHES[4]).mkdir()
    memory_result(source, f"mod/f/{HASHES[5]}", pickle.dumps([1])[:-1])
    memory_result(source, f"mod/f/{HASHES[6]}", zlib.compress(pickle.dumps([1]))[:-1])
    os.truncate(memory_result(source, f"mod/f/{HASHES[7]}", b"") / "mod" / "f" / HASHES[7] / "output.pkl", 2**28)
    with Store[Any](path) as s:
        results = run(s, source)
        assert dict(s) == {f"mod/f/{HASHES[0]}": [1]}
    assert "more than 1000 bytes" in results.pop(f"bomb/{HASHES[0]}")[1]
    assert results.pop("mod/linked") == ("failed", "it is a link, which is not followed")
    outcomes = [results.pop(f"mod/f/{name}")[0] for name in HASHES]
    assert outcomes == ["imported", "failed", "failed", "failed", "skipped", "failed", "failed", "failed"]
    assert results == {}


def test_folders_that_are_nested_without_end(tmp_path: Path, path: Path) -> None:
    source = memory_result(tmp_path / "source", f"mod/f/{HASHES[0]}", pickle.dumps([1]))
    (source / ("x/" * 500)).mkdir(parents=True)
    deep = "x" + "/x" * joblib_memory.MAX_DEPTH
    with Store[Any](path) as s:
        results = run(s, source)
        assert results == {f"mod/f/{HASHES[0]}": ("imported", ""), deep: ("failed", "it is nested more than 64 folders deep")}
