"""`export --raw` and `import --raw`: files, pipes, and how they end."""

import json

import pytest
from changed import change
from spoiled import overwrite_page

from store import Store

OTHER = b"the key of somebody else"

pytestmark = [pytest.mark.damaged, pytest.mark.filterwarnings("ignore:.*sealed with a key")]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "records.jsonl"


@pytest.fixture
def copy(tmp_path):
    return tmp_path / "copy.db"


def test_through_a_file(run, stocked, out, copy):
    assert run("export", "--raw", stocked, out) == (0, "", "")
    assert run("import", "--raw", out, copy) == (0, "imported 5, own 5\n", "")
    with Store(stocked) as s, Store(copy) as t:
        assert t == s and t.within("settings") == s.within("settings")
        assert t.record("session:4f2a").expires == s.record("session:4f2a").expires
        assert t.verify().sealed == 5


def test_through_a_pipe(run, stocked, copy, stdin):
    lines = run("export", "--raw", stocked).out
    assert run("export", "--raw", stocked, "-").out == lines
    stdin(lines.encode())
    assert run("import", "--raw", "-", copy).out == "imported 5, own 5\n"
    with Store(stocked) as s, Store(copy) as t:
        assert t == s


def test_one_namespace(run, stocked):
    lines = run("export", "--raw", stocked, "--namespace", "settings").out.splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["limits"]


def test_damaged_records_go_over_and_are_told(run, stocked, out, copy):
    with Store(stocked, key=OTHER) as s:
        s["theirs"] = [1]
    change(stocked, "UPDATE records SET body = x'80' WHERE name = 'greeting'")
    assert run("export", "--raw", stocked, out).code == 0
    result = run("import", "--raw", out, copy)
    assert (result.code, result.out) == (1, "imported 6, foreign 1, own 4, tampered 1\n")
    assert "store: greeting is tampered, and stays so\n" in result.err
    with Store(copy) as s:
        assert s.verify().tampered == [("", "greeting")] and s["theirs"] == [1]


def test_empty_store_and_empty_file(run, place, out, copy):
    Store(place).close()
    assert run("export", "--raw", place, out).code == 0
    assert out.read_bytes() == b""
    assert run("import", "--raw", out, copy) == (0, "imported 0\n", "")


def test_export_never_overwrites(run, fails, filled):
    before = filled.read_bytes()
    fails(1, "File exists", "export", "--raw", filled, filled)
    assert filled.read_bytes() == before


def test_export_that_fails_leaves_no_half_file(fails, path, out):
    with Store(path) as s:
        s.update({f"n{number:04}": "x" * 500 for number in range(3000)})
    overwrite_page(path)
    fails(1, "damaged", "export", "--raw", path, out)
    assert not out.exists()


def test_import_of_a_bad_line_keeps_the_ones_before(run, fails, stocked, out, copy):
    run("export", "--raw", stocked, out)
    lines = out.read_text().splitlines()
    out.write_text("\n".join([*lines[:2], "not JSON", *lines[2:]]))
    fails(1, "line 3 is not a raw record", "import", "--raw", out, copy)
    with Store(copy) as s:
        assert len(s) == 2


def test_import_of_a_bad_file_makes_no_store(fails, tmp_path, copy):
    fails(1, "No such file", "import", "--raw", tmp_path / "nothing", copy)
    assert not copy.exists()
