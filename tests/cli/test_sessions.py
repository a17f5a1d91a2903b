"""`store sessions`: right and wrong use, and that no id is ever shown."""

import json
import re

import pytest
from away import is_absent

from store import Store
from store.sessions import FOREVER, Sessions


@pytest.fixture
def three(place):
    """The ids of a session for ever, one of a day, and one that expired long ago."""
    with Sessions(place, ttl=FOREVER) as sessions:
        ids = [sessions.create({"user": "ann"}), sessions.create({"user": "bob"}, ttl=100_000)]
        with Sessions(place, clock=lambda: 1_000_000_000.0) as old:
            ids.append(old.create({"user": "cid"}, ttl=60))
    return ids


def hashes(path, **options):
    with Sessions(path, **options) as sessions:
        return [record.name for record in sessions.records()]


def test_count_is_of_those_alive(run, place, three):
    assert run("sessions", "count", place) == (0, "2\n", "")
    assert run("sessions", "count", place, "--namespace", "other") == (0, "0\n", "")


def test_ls_shows_hash_age_life_and_size(run, place, three):
    code, out, err = run("sessions", "ls", place)
    heading, *lines = out.splitlines()
    assert (code, err, heading.split()) == (0, "", ["hash", "age", "expires", "in", "bytes"])
    assert [line.split()[0] for line in lines] == [name[:16] for name in hashes(place)]
    assert sorted(re.sub(r"^\w{16} +\d+[sm] +", "", line) for line in lines) == sorted(["1d          14", "never          14"])
    assert not any(id[:8] in out for id in three)


def test_ls_json_is_all_metadata(run, place, three):
    code, out, _ = run("sessions", "ls", place, "--json")
    found = json.loads(out)
    assert (code, [one["name"] for one in found]) == (0, hashes(place))
    assert {one["size"] for one in found} == {14}
    assert json.loads(run("sessions", "ls", place, "--json", "--limit", "1").out) == found[:1]


@pytest.mark.parametrize("form, nothing", [([], ""), (["--json"], "[]\n")])
def test_ls_of_no_sessions(run, place, form, nothing):
    Store(place).close()
    assert run("sessions", "ls", place, *form) == (0, nothing, "")


def test_ls_limit(run, place, three):
    assert len(run("sessions", "ls", place, "--limit", "1").out.splitlines()) == 2
    assert run("sessions", "ls", place, "--limit", "0").out == ""


def test_ls_of_many_has_one_heading(run, place):
    with Store(place, namespace="sessions") as s:
        s.update({f"{number:064x}": {} for number in range(501)})
    assert len(run("sessions", "ls", place).out.splitlines()) == 502
    assert len(json.loads(run("sessions", "ls", place, "--json").out)) == 501


@pytest.fixture
def users(place):
    """The ids of two sessions of alice, and one of bob."""
    with Sessions(place) as sessions:
        return [sessions.create({"n": n}, user=user) for n, user in enumerate(["alice", "alice", "bob"])]


def test_sessions_of_a_user_are_counted_and_listed(run, place, three, users):
    assert run("sessions", "count", place).out == "5\n"
    assert run("sessions", "count", place, "--user", "alice").out == "2\n"
    assert run("sessions", "count", place, "--user", "cid").out == "0\n"
    with Sessions(place) as sessions:
        names = [record.name for record in sessions.by("alice")]
    lines = run("sessions", "ls", place, "--user", "alice").out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [name.split(".")[1][:16] for name in names]
    found = json.loads(run("sessions", "ls", place, "--user", "alice", "--json", "--limit", "1").out)
    assert [one["name"] for one in found] == names[:1]


def test_rm_of_a_user_ends_all_of_the_user(run, place, three, users):
    assert run("sessions", "rm", place, "--user", "alice") == (0, "ended 2\n", "")
    assert run("sessions", "rm", place, "--user", "alice") == (0, "ended 0\n", "")
    with Sessions(place) as sessions:
        assert [sessions.load(id) for id in users] == [None, None, {"n": 2}]
        assert len(sessions) == 3


def test_rm_of_one_session_of_a_user(run, place, users, stdin):
    lines = run("sessions", "ls", place, "--user", "bob").out.splitlines()
    assert run("sessions", "rm", place, lines[1].split()[0]) == (0, "", "")
    stdin(users[0].encode())
    assert run("sessions", "rm", place, "-") == (0, "", "")
    with Sessions(place) as sessions:
        assert [sessions.load(id) for id in users] == [None, {"n": 1}, None]


@pytest.mark.parametrize("args", [["rm", "--user", ""], ["count", "--user", ""], ["ls", "--user", ""], ["rm", "SECRET", "--user", "bob"]])
def test_user_that_cannot_be(fails, place, users, args):
    command, *rest = args
    result = fails(2, "--user", "sessions", command, place, *rest)
    assert "SECRET" not in result.err
    with Sessions(place) as sessions:
        assert len(sessions) == 3


def test_clear_deletes_what_expired(run, place, three):
    assert run("sessions", "clear", place) == (0, "cleared 1\n", "")
    assert run("sessions", "clear", place) == (0, "cleared 0\n", "")
    with Sessions(place) as sessions:
        assert [sessions.load(id) for id in three] == [{"user": "ann"}, {"user": "bob"}, None]


@pytest.mark.parametrize("digits", [8, 16, 64])
@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_rm_by_digits_of_the_hash(run, place, three, digits, case):
    gone, kept = hashes(place)
    assert run("sessions", "rm", place, case(gone[:digits])) == (0, "", "")
    assert hashes(place) == [kept]


def test_rm_by_id_on_stdin(run, place, three, stdin):
    stdin(three[0].encode() + b"\n")
    assert run("sessions", "rm", place, "-") == (0, "", "")
    with Sessions(place) as sessions:
        assert [sessions.load(id) for id in three[:2]] == [None, {"user": "bob"}]


@pytest.mark.parametrize("text", [b"x" * 43, b"", b"x" * 42, "ü".encode() * 43])
def test_rm_by_an_id_of_no_session(fails, place, three, stdin, text):
    stdin(text)
    result = fails(1, "has no session of that id", "sessions", "rm", place, "-")
    assert "xxx" not in result.err
    assert len(hashes(place)) == 2


def test_rm_of_a_hash_that_is_not_there(fails, place, three):
    fails(1, "no session whose hash begins with 00000000 in namespace 'sessions'", "sessions", "rm", place, "00000000")


def test_rm_of_digits_that_several_begin_with(fails, place):
    with Store(place, namespace="sessions") as s:
        s.update({"12345678" + "a" * 56: {}, "12345678" + "b" * 56: {}})
    fails(1, "several sessions", "sessions", "rm", place, "12345678")
    assert len(hashes(place)) == 2


@pytest.mark.parametrize("id", ["x" * 43, "-" + "x" * 42, "--" + "x" * 41, "abc", "a" * 65, "", "12345678g", "٣" * 8])
def test_rm_of_what_is_no_hash_does_not_show_it(fails, place, three, id):
    result = fails(2, "hexadecimal digits of its hash", "sessions", "rm", place, id)
    assert not id or id not in result.err
    assert len(hashes(place)) == 2


def test_rm_in_another_namespace(run, place, stdin):
    with Sessions(place, namespace="web") as sessions:
        id, _ = sessions.create({}), sessions.create({})
    stdin(id.encode())
    assert run("sessions", "rm", place, "-", "--namespace", "web").code == 0
    (last,) = hashes(place, namespace="web")
    assert run("sessions", "rm", place, last[:8], "--namespace", "web").code == 0
    assert hashes(place, namespace="web") == []


@pytest.mark.parametrize("command", [["count"], ["ls"], ["clear"], ["rm", "00000000"], ["rm", "-"]], ids=" ".join)
def test_store_that_is_not_there(fails, place, stdin, command):
    stdin(b"x")
    fails(1, "there is no store at", "sessions", command[0], place, *command[1:])
    assert is_absent(place)


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
def test_id_beside_too_many_words_is_not_shown(run, place, more):
    with Sessions(place) as sessions:
        id = sessions.create({})
    for words in ([*more, id], [id, *more]):
        result = run("sessions", "rm", place, *words)
        assert (result.code, result.out) == (2, "")
        assert id not in result.err and "hexadecimal digits" in result.err
