"""`store sessions`: right and wrong use, and that no id is ever shown."""

import json
import re

import pytest

from store import Store
from store.sessions import FOREVER, Sessions


@pytest.fixture
def three(path):
    """The ids of a session for ever, one of a day, and one that expired long ago."""
    with Sessions(path, ttl=FOREVER) as sessions:
        ids = [sessions.create({"user": "ann"}), sessions.create({"user": "bob"}, ttl=100_000)]
        with Sessions(path, clock=lambda: 1_000_000_000.0) as old:
            ids.append(old.create({"user": "cid"}, ttl=60))
    return ids


def hashes(path, **options):
    with Sessions(path, **options) as sessions:
        return [record.name for record in sessions.records()]


def test_count_is_of_those_alive(run, path, three):
    assert run("sessions", "count", path) == (0, "2\n", "")
    assert run("sessions", "count", path, "--namespace", "other") == (0, "0\n", "")


def test_ls_shows_hash_age_life_and_size(run, path, three):
    code, out, err = run("sessions", "ls", path)
    heading, *lines = out.splitlines()
    assert (code, err, heading.split()) == (0, "", ["hash", "age", "expires", "in", "bytes"])
    assert [line.split()[0] for line in lines] == [name[:16] for name in hashes(path)]
    assert sorted(re.sub(r"^\w{16} +\d+[sm] +", "", line) for line in lines) == sorted(["1d          14", "never          14"])
    assert not any(id[:8] in out for id in three)


def test_ls_json_is_all_metadata(run, path, three):
    code, out, _ = run("sessions", "ls", path, "--json")
    found = json.loads(out)
    assert (code, [one["name"] for one in found]) == (0, hashes(path))
    assert {one["size"] for one in found} == {14}
    assert json.loads(run("sessions", "ls", path, "--json", "--limit", "1").out) == found[:1]


@pytest.mark.parametrize("form, nothing", [([], ""), (["--json"], "[]\n")])
def test_ls_of_no_sessions(run, path, form, nothing):
    Store(path).close()
    assert run("sessions", "ls", path, *form) == (0, nothing, "")


def test_ls_limit(run, path, three):
    assert len(run("sessions", "ls", path, "--limit", "1").out.splitlines()) == 2
    assert run("sessions", "ls", path, "--limit", "0").out == ""


def test_ls_of_many_has_one_heading(run, path):
    with Store(path, namespace="sessions") as s:
        s.update({f"{number:064x}": {} for number in range(501)})
    assert len(run("sessions", "ls", path).out.splitlines()) == 502
    assert len(json.loads(run("sessions", "ls", path, "--json").out)) == 501


def test_clear_deletes_what_expired(run, path, three):
    assert run("sessions", "clear", path) == (0, "cleared 1\n", "")
    assert run("sessions", "clear", path) == (0, "cleared 0\n", "")
    with Sessions(path) as sessions:
        assert [sessions.load(id) for id in three] == [{"user": "ann"}, {"user": "bob"}, None]


@pytest.mark.parametrize("digits", [8, 16, 64])
@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_rm_by_digits_of_the_hash(run, path, three, digits, case):
    gone, kept = hashes(path)
    assert run("sessions", "rm", path, case(gone[:digits])) == (0, "", "")
    assert hashes(path) == [kept]


def test_rm_by_id_on_stdin(run, path, three, stdin):
    stdin(three[0].encode() + b"\n")
    assert run("sessions", "rm", path, "-") == (0, "", "")
    with Sessions(path) as sessions:
        assert [sessions.load(id) for id in three[:2]] == [None, {"user": "bob"}]


@pytest.mark.parametrize("text", [b"x" * 43, b"", b"x" * 42, "ü".encode() * 43])
def test_rm_by_an_id_of_no_session(fails, path, three, stdin, text):
    stdin(text)
    result = fails(1, "has no session of that id", "sessions", "rm", path, "-")
    assert "xxx" not in result.err
    assert len(hashes(path)) == 2


def test_rm_of_a_hash_that_is_not_there(fails, path, three):
    fails(1, "no session whose hash begins with 00000000 in namespace 'sessions'", "sessions", "rm", path, "00000000")


def test_rm_of_digits_that_several_begin_with(fails, path):
    with Store(path, namespace="sessions") as s:
        s.update({"12345678" + "a" * 56: {}, "12345678" + "b" * 56: {}})
    fails(1, "several sessions", "sessions", "rm", path, "12345678")
    assert len(hashes(path)) == 2


@pytest.mark.parametrize("id", ["x" * 43, "-" + "x" * 42, "--" + "x" * 41, "abc", "a" * 65, "", "12345678g", "٣" * 8])
def test_rm_of_what_is_no_hash_does_not_show_it(fails, path, three, id):
    result = fails(2, "hexadecimal digits of its hash", "sessions", "rm", path, id)
    assert not id or id not in result.err
    assert len(hashes(path)) == 2


def test_rm_in_another_namespace(run, path, stdin):
    with Sessions(path, namespace="web") as sessions:
        id, _ = sessions.create({}), sessions.create({})
    stdin(id.encode())
    assert run("sessions", "rm", path, "-", "--namespace", "web").code == 0
    (last,) = hashes(path, namespace="web")
    assert run("sessions", "rm", path, last[:8], "--namespace", "web").code == 0
    assert hashes(path, namespace="web") == []


@pytest.mark.parametrize("command", [["count"], ["ls"], ["clear"], ["rm", "00000000"], ["rm", "-"]], ids=" ".join)
def test_store_that_is_not_there(fails, path, stdin, command):
    stdin(b"x")
    fails(1, "there is no store at", "sessions", command[0], path, *command[1:])
    assert not path.exists()


@pytest.mark.parametrize(
    "words, args",
    [
        ("Missing argument 'PATH'", ["count"]),
        ("a session is named by 8 to 64 hexadecimal digits", ["rm", "app.db"]),
        ("No such command 'list'", ["list", "app.db"]),
        ("--limit", ["ls", "app.db", "--limit", "-1"]),
        ("--all", ["clear", "app.db", "--all"]),
        ("in memory", ["count", ":memory:"]),
    ],
)
def test_wrong_call(fails, words, args):
    fails(2, words, "sessions", *args)


@pytest.mark.parametrize("more", [["x"], ["--id"]])
def test_id_beside_too_many_words_is_not_shown(run, path, more):
    with Sessions(path) as sessions:
        id = sessions.create({})
    for words in ([*more, id], [id, *more]):
        result = run("sessions", "rm", path, *words)
        assert (result.code, result.out) == (2, "")
        assert id not in result.err and "hexadecimal digits" in result.err
