"""`compact`, and what `verify` says of files beside the database."""

import json

import pytest
from spilling import BIG, OTHER, files, folder_of, only_file, small_spill


@pytest.fixture
def large(path):
    with small_spill(path) as s:
        s["it"] = BIG
    return path


def test_compact_says_what_it_gave_back(run, large):
    size = only_file(large).stat().st_size
    with small_spill(large) as s:
        s["it"] = OTHER
    (folder_of(large) / ("0" * 32 + "-" + "0" * 32)).write_bytes(b"x" * 7)
    result = run("compact", large, "--bytes")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"files 1, orphans 1: {size + 7}; database ")
    assert len(files(large)) == 1


def test_compact_json(run, large):
    found = json.loads(run("compact", large, "--json").out)
    assert found == {"files": 0, "orphans": 0, "file_bytes": 0, "database_bytes": found["database_bytes"], "files_left": 0}


def test_compact_of_nothing(fails, path):
    fails(1, "there is no store", "compact", path)
    assert not path.exists()


@pytest.mark.damaged
def test_verify_names_a_missing_file_with_its_record(run, large):
    file = only_file(large)
    file.unlink()
    result = run("verify", large)
    assert result.code == 1
    assert f"file      it: its file {file} is missing" in result.out


@pytest.mark.orphans
def test_verify_names_an_orphan_which_is_no_failure(run, large):
    name = "0" * 32 + "-" + "0" * 32
    (folder_of(large) / name).write_bytes(b"x")
    result = run("verify", large)
    assert (result.code, result.err) == (0, "")
    assert f"orphan    {name}\n" in result.out
