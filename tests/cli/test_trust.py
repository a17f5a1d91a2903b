"""`inspect`, `admit` and `verify`: what is shown, what is asked, how they end."""

import json
import os
import pickle
from decimal import Decimal

import pytest
from changed import change
from spoiled import overwrite_page, reseal

from store import Store
from store.cli import trust

OTHER = b"the key of somebody else"
MKDIR = f"{os.mkdir.__module__}.mkdir"

pytestmark = [pytest.mark.damaged, pytest.mark.filterwarnings("ignore:.*sealed with a key")]


class Marker:
    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


class Many:
    """Names more functions than one question can show."""

    def __reduce__(self):
        found = [
            getattr(os, name) for name in dir(os) if type(getattr(os, name)).__name__ == "builtin_function_or_method"
        ]
        return list, (found[: trust.MAX_SHOWN + 5],)


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "code has run"


@pytest.fixture
def foreign(place, marker):
    """Three sets of globals in two namespaces, and one record that cannot be read to its end."""
    with Store(place) as s:
        s["own"] = [1]
    with Store(place, key=OTHER) as s, s.within("more") as more:
        s.update({"plain": [1], "price": Decimal("1.5"), "evil": Marker(marker), "plain too": "x"})
        more["evil"] = Marker(marker)
    yield place
    assert not marker.exists()


def quietly(result):
    """Without the warning that somebody else's records are there."""
    lines = [line for line in result.err.splitlines(keepends=True) if "store: warning:" not in line]
    return result._replace(err="".join(lines))


def verdicts(path):
    with Store(path) as s, s.within("more") as more:
        found = {name: s.inspect(name).verdict for name in s}
        return found | {f"more {name}": more.inspect(name).verdict for name in more}


def spoil(path, name):
    change(path, "UPDATE records SET body = x'80' WHERE name = ?", name)


# -- inspect


def test_inspect_tells_what_it_would_do(run, foreign, marker):
    result = run("inspect", foreign, "evil")
    assert result.code == 0
    assert "verdict  foreign\n" in result.out
    assert f"globals  {MKDIR}\n" in result.out
    assert str(marker) in result.out and "REDUCE" in result.out


def test_inspect_plain_data_of_our_own(run, foreign):
    result = run("inspect", foreign, "own")
    assert "verdict  own\n" in result.out
    assert "globals  no classes and functions, only plain data\n" in result.out


def test_inspect_in_a_namespace(run, foreign):
    assert run("inspect", foreign, "evil", "--namespace", "more").code == 0
    assert "no record 'plain' in namespace 'more'" in run("inspect", foreign, "plain", "--namespace", "more").err


def test_inspect_of_a_damaged_record_says_so(run, foreign):
    spoil(foreign, "own")
    result = run("inspect", foreign, "own")
    assert result.code == 0
    assert "verdict  tampered\n" in result.out and "problem  its seal does not match" in result.out


def test_inspect_escapes_what_a_terminal_would_obey(run, place):
    body = b"\x80\x04c\x1b[31m\nred\n\x8c\x05\x1b[31mXR."
    with Store(place, key=OTHER) as s:
        s["it"] = 1
    reseal(place, "it", OTHER, body=body, type="\x1b[31m")
    result = run("inspect", place, "it")
    assert result.code == 0
    assert "\x1b" not in result.out + result.err
    assert "STOP" in result.out or "cannot be read further" in result.out


# -- admit


def test_admit_all_takes_spilled_arrays(run, place):
    numpy = pytest.importorskip("numpy", reason="numpy is not installed: spilled arrays are not tested")
    with Store(place, key=OTHER) as s:
        s.update(one=numpy.zeros(300_000), two={"x": numpy.ones((600, 500), order="F")}, small=numpy.arange(3))
    assert "problem" not in run("inspect", place, "one").out
    result = quietly(run("admit", place, "--all", "--yes"))
    assert (result.code, result.err) == (0, "")
    assert [line.partition(":")[0] for line in result.out.splitlines()] == [
        "admitted  one", "admitted  two", "admitted  small",
    ]  # fmt: skip
    with Store(place, trust="own") as s:
        assert (s["two"]["x"].sum(), s["small"].tolist()) == (300_000, [0, 1, 2])


def test_admit_by_name(run, foreign):
    result = run("admit", foreign, "price", "plain")
    assert (result.code, result.out) == (
        0,
        "admitted  price: decimal.Decimal\nadmitted  plain: no classes and functions, only plain data\n",
    )
    assert [name for name, verdict in verdicts(foreign).items() if verdict == "own"] == ["own", "plain", "price"]


def test_admit_in_a_namespace(run, foreign):
    assert run("admit", foreign, "evil", "--namespace", "more").code == 0
    found = verdicts(foreign)
    assert (found["more evil"], found["evil"]) == ("own", "foreign")


def test_admit_of_a_name_that_is_missing_admits_none(run, foreign):
    result = quietly(run("admit", foreign, "plain", "nobody"))
    assert (result.code, result.out) == (1, "")
    assert "no record 'nobody'" in result.err
    assert verdicts(foreign)["plain"] == "foreign"


@pytest.mark.parametrize("name", ["own", "plain"])
def test_admit_never_seals_what_was_altered(run, foreign, name):
    before = verdicts(foreign)
    spoil(foreign, name)
    result = quietly(run("admit", foreign, name, "price"))
    assert result.code == 1
    assert result.err.count("\n") == 1 and f"'{name}'" in result.err
    assert result.out.startswith("admitted  price")  # the others are
    found = verdicts(foreign)
    assert found[name] == {"own": "tampered", "foreign": "corrupt"}[before[name]]


def test_admit_all_asks_for_each_set_once(run, foreign, stdin):
    stdin(b"y\nN\ny\n")
    result = quietly(run("admit", foreign, "--all"))
    assert result.code == 0
    assert result.err.count("Records that name ") == 3
    assert result.err.count(MKDIR) == 1 and result.err.count("decimal.Decimal") == 1
    assert verdicts(foreign) == {
        "own": "own", "plain": "own", "price": "foreign", "evil": "own", "plain too": "own", "more evil": "own",
    }  # fmt: skip


@pytest.mark.parametrize("answers", [b"n\nn\nn\n", b"\n\n\n", b"perhaps\nno\nY e s\n"])
def test_admit_all_takes_only_a_yes_for_yes(run, foreign, stdin, answers):
    before = verdicts(foreign)
    stdin(answers)
    assert quietly(run("admit", foreign, "--all")).out == ""
    assert verdicts(foreign) == before


def test_admit_all_with_nobody_to_answer(run, foreign, stdin):
    stdin(b"")
    result = quietly(run("admit", foreign, "--all"))
    assert result.code == 1
    assert result.err.endswith("store: nobody answered; --yes admits without asking\n")
    assert verdicts(foreign)["plain"] == "foreign"


def test_admit_all_yes_does_not_ask(run, foreign):
    result = quietly(run("admit", foreign, "--all", "--yes"))
    assert (result.code, result.err) == (0, "")
    assert set(verdicts(foreign).values()) == {"own"}
    assert "admitted  evil (more): " in result.out
    assert run("admit", foreign, "--all") == (0, "", "")  # nothing is left to ask about
    assert run("verify", foreign).code == 0


def test_admit_all_of_one_namespace(run, foreign):
    assert run("admit", foreign, "--all", "--yes", "--namespace", "more").code == 0
    found = verdicts(foreign)
    assert (found["more evil"], found["evil"], found["plain"]) == ("own", "foreign", "foreign")


def write_foreign_body(path, body):
    with Store(path, key=OTHER) as s:
        s["it"] = 1
    reseal(path, "it", OTHER, body=body)


def test_admit_all_leaves_out_what_is_not_known_in_full(run, place):
    """What follows the place where reading ended could name anything."""
    write_foreign_body(place, b"\x80\x04\x82\x01.")
    for option in ([], ["--yes"]):
        result = quietly(run("admit", place, "--all", *option))
        assert (result.code, result.out) == (1, "")
        assert "'it' is left out" in result.err
        assert verdicts(place) == {"it": "foreign"}


def test_admit_all_does_not_ask_about_more_than_can_be_read(run, place):
    with Store(place, key=OTHER) as s:
        s["many"] = Many()
    result = quietly(run("admit", place, "--all"))
    assert (result.code, result.out) == (1, "")
    assert "admit it by its name" in result.err
    assert run("admit", place, "many").code == 0
    assert verdicts(place) == {"many": "own"}


def test_admit_where_nothing_is_foreign(run, stocked):
    assert run("admit", stocked, "--all") == (0, "", "")


# -- verify


def test_verify_of_a_sound_store(run, stocked):
    assert run("verify", stocked) == (0, "sealed    5\nforeign   0\ntampered  0\ncorrupt   0\n", "")


def test_verify_names_what_is_not_ours_and_not_sound(run, foreign):
    spoil(foreign, "own")
    spoil(foreign, "price")
    result = quietly(run("verify", foreign))
    assert (result.code, result.err) == (1, "")
    assert result.out.split("\n") == [
        "sealed    0",
        "foreign   4", "  plain", "  evil", "  plain too", "  evil (more)",
        "tampered  1", "  own",
        "corrupt   1", "  price",
        "",
    ]  # fmt: skip


def test_verify_json(run, foreign):
    spoil(foreign, "own")
    result = run("verify", foreign, "--json")
    assert result.code == 1
    found = json.loads(result.out)
    assert (found["sealed"], found["tampered"], found["corrupt"], found["damage"]) == (0, [["", "own"]], [], [])
    assert len(found["foreign"]) == 5


def test_verify_foreign_alone_is_not_sound(run, place):
    with Store(place, key=OTHER) as s:
        s["it"] = 1
    assert run("verify", place).code == 1


def test_verify_damaged_file(run, path):
    with Store(path) as s:
        s.update({f"n{number:04}": "x" * 500 for number in range(1000)})
    overwrite_page(path)
    result = run("verify", path)
    assert result.code == 1
    assert "damage    " in result.out


def test_verify_escapes_names(run, place):
    with Store(place, key=OTHER) as s:
        s["\x1b[31mred"] = 1
    result = run("verify", place)
    assert r'"\u001b[31mred"' in result.out and "\x1b" not in result.out


def test_bodies_are_not_needed_to_be_pickles(run, place):
    write_foreign_body(place, pickle.dumps([1])[:-1])
    result = run("inspect", place, "it")
    assert result.code == 0 and "problem  " in result.out
