"""`store rekey`: what it says and how it ends."""

import json

import pytest

from store import Store


def test_key_that_leaked_is_retired_and_removed(run, place, own_key):
    with Store(place) as s:
        s.update(a=1, b={2})
        s.within("web")["c"] = 3
    old = run("key", "show").out.splitlines()[1].split()[0]
    new = run("key", "new").out.split()[0]
    assert run("key", "retire", old).code == 0
    assert run("rekey", place) == (0, f"resealed 3, current 0, left 0\n{new}  3 records  (the newest key)\n", "")
    assert run("rekey", place).out.startswith("resealed 0, current 3, left 0\n")
    own_key.write_text("".join(line for line in own_key.read_text().splitlines(True) if "retired" not in line))
    assert run("get", place, "b").err == ""
    assert run("verify", place).code == 0


@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_what_is_left_is_named_and_the_exit_code_says_so(run, fails, place, tmp_path, monkeypatch):
    monkeypatch.setenv("STORE_KEY", "ab" * 32)
    with Store(place) as s:
        s.within("web")["c\n"] = 1
    monkeypatch.setenv("STORE_KEY", "cd" * 32)
    with Store(place, trust="all") as s:
        s["d"] = 2
    code, out, err = run("rekey", place)
    assert (code, out.splitlines()[0]) == (1, "resealed 0, current 1, left 1")
    assert 'store: "c\\n" (web) is left as it is: it was not sealed with a key of yours\n' in err
    code, out, _ = run("rekey", place, "--json")
    found = json.loads(out)
    assert code == 1
    assert [left[:2] for left in found["left"]] == [["web", "c\n"]]
    assert found["current"] == 1
    fails(2, "Missing argument 'PATH'", "rekey")
    fails(1, "there is no store", "rekey", tmp_path / "none.db")
    documented = run("rekey", "--help").out
    assert all(key in documented for key in found)
