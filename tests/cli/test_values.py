"""Values in and out: several names, text and bytes as they are, conditions, and deleting by prefix."""

import json

import pytest

from store import Store


@pytest.fixture
def mixed(place):
    with Store(place) as s:
        s.update({"text": "é\nline", "bytes": b"\x00\xff", "buffer": bytearray(b"ab"), "list": [1], "tuple": (1,)})
        s["half"] = "\ud800"
    return place


# -- get


def test_get_of_several_names_in_the_order_given(run, mixed):
    assert run("get", mixed, "tuple", "list", "bytes", "list") == (0, "(1,)\n[1]\nb'\\x00\\xff'\n", "")


def test_get_of_several_names_is_of_one_moment(run, mixed, monkeypatch):
    monkeypatch.setattr(Store, "__getitem__", None)  # one look-up for each would not be
    assert run("get", mixed, "tuple", "list").code == 0


def test_get_json_is_an_object_of_names(run, mixed):
    assert json.loads(run("get", mixed, "list", "--json").out) == {"list": [1]}
    assert json.loads(run("get", mixed, "list", "text", "half", "--json").out) == {
        "list": [1], "text": "é\nline", "half": "\ud800",
    }  # fmt: skip


def test_get_raw_writes_text_and_bytes_as_they_are(mixed, capfdbinary):
    assert run_raw(capfdbinary, mixed, "text") == (0, "é\nline".encode())
    assert run_raw(capfdbinary, mixed, "bytes", "buffer", "text") == (0, b"\x00\xffabe".replace(b"e", "é\nline".encode()))


def run_raw(capture, path, *names):
    from store.cli import main

    code = main(["get", str(path), *names, "--raw"])
    return code, capture.readouterr().out


def test_get_raw_of_what_has_no_bytes(fails, mixed):
    fails(1, "record 'list' is neither text nor bytes, but list: leave --raw out", "get", mixed, "list", "--raw")
    fails(1, "record 'half' is text that UTF-8 cannot hold", "get", mixed, "half", "--raw")
    fails(1, "record 'list' is neither", "get", mixed, "text", "list", "--raw")


# -- set


def test_set_text_as_it_stands(run, place, tmp_path, stdin):
    assert run("set", place, "a", "{not JSON", "--text").code == 0
    (tmp_path / "file").write_bytes("é\n".encode())
    assert run("set", place, "b", f"@{tmp_path / 'file'}", "--text").code == 0
    stdin(b"5")
    assert run("set", place, "c", "-", "--text").code == 0
    assert run("set", place, "d", "-5", "--text").code == 0
    with Store(place) as s:
        assert dict(s) == {"a": "{not JSON", "b": "é\n", "c": "5", "d": "-5"}


def test_set_bytes_as_they_stand(run, place, tmp_path, stdin):
    (tmp_path / "file").write_bytes(b"\x00\xff")
    assert run("set", place, "a", f"@{tmp_path / 'file'}", "--bytes").code == 0
    stdin(b"\xfe")
    assert run("set", place, "b", "-", "--bytes").code == 0
    assert run("set", place, "c", "é", "--bytes").code == 0
    with Store(place) as s:
        assert dict(s) == {"a": b"\x00\xff", "b": b"\xfe", "c": "é".encode()}


def test_set_if_missing(run, fails, place):
    assert run("set", place, "a", "1", "--if-missing").code == 0
    fails(1, "has record 'a' already; leave --if-missing out", "set", place, "a", "2", "--if-missing")
    with Store(place) as s:
        assert s["a"] == 1


def test_set_if_revision(run, fails, place):
    assert run("set", place, "a", "1", "--if-revision", "0").code == 0
    assert run("set", place, "a", "2", "--if-revision", "1").code == 0
    fails(1, "record 'a' is not at revision 1, it is at 2: read it again", "set", place, "a", "3", "--if-revision", "1")
    assert run("set", place, "a", "3", "--if-revision", "2", "--ttl", "60", "--codec", "json").code == 0
    with Store(place) as s:
        record = s.record("a")
        assert (s["a"], record.revision, record.codec, record.expires is None) == (3, 3, "json", False)


def test_set_if_version(run, fails, place):
    run("set", place, "a", "1")
    version = json.loads(run("info", place, "a", "--json").out)["version"]
    assert run("set", place, "a", "2", "--if-version", version).code == 0
    fails(1, "is not the one that was read (it is at revision 2)", "set", place, "a", "3", "--if-version", version)


def test_set_if_revision_is_one_step_with_the_look(fails, place, monkeypatch):
    """Somebody writes between the look at the revision and the write."""
    with Store(place) as s:
        s["a"] = 1
    record = Store.record

    def overtaken(self, name):
        found = record(self, name)
        self[name] = "theirs"
        return found

    monkeypatch.setattr(Store, "record", overtaken)
    fails(1, "is not the one that was read", "set", place, "a", "2", "--if-revision", "1")
    with Store(place) as s:
        assert s["a"] == "theirs"


# -- rm --prefix


def test_rm_prefix_asks_with_the_count(run, stocked, stdin):
    stdin(b"y\n")
    result = run("rm", stocked, "--prefix", "user:")
    assert result == (0, "deleted 2\n", "Delete 2 records whose name begins with user:? [y/N] ")
    assert run("ls", stocked).out == "greeting\nsession:4f2a\n"


@pytest.mark.parametrize("answer", [b"n\n", b"\n", b"yesno\n"])
def test_rm_prefix_that_is_declined(run, stocked, stdin, answer):
    stdin(answer)
    code, out, err = run("rm", stocked, "--prefix", "greet")
    assert (code, out) == (1, "")
    assert err == "Delete 1 record whose name begins with greet? [y/N] store: nothing was deleted\n"
    assert run("ls", stocked).out.count("\n") == 4


def test_rm_prefix_where_nobody_answers(run, stocked, stdin):
    stdin(b"")
    code, out, err = run("rm", stocked, "--prefix", "")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == "store: nobody answered; --yes deletes without asking"
    assert run("ls", stocked).out.count("\n") == 4


def test_rm_prefix_without_asking(run, place):
    with Store(place) as s:
        s.update({f"n{number:04}": None for number in range(1200)})
        s["other"] = 1
        s.within("web")["n1"] = 1
    assert run("rm", place, "--prefix", "n", "--yes") == (0, "deleted 1200\n", "")
    assert run("rm", place, "--prefix", "n") == (0, "deleted 0\n", "")
    assert run("rm", place, "--prefix", "", "--yes", "--namespace", "web").out == "deleted 1\n"
    with Store(place) as s:
        assert list(s) == ["other"]
