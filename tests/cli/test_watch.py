"""`store watch`: what it shows and how it ends."""

import json
import os
import re
import select
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from away import away

from store import Store

SECONDS = 60

# Tests that are run in the background may have been told to ignore SIGINT, and what they start inherits that.
COMMAND = """
import signal, sys
from store import Store
from store.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
watch = Store.watch
def watch_and_tell(*args, **options):
    changes = watch(*args, **options)
    print("watching", file=sys.stderr, flush=True)
    return changes
Store.watch = watch_and_tell
sys.exit(main())
"""


@contextmanager
def watching(*args):
    """`store watch` as a process, once it watches: what is written after that is shown."""
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, "watch", *map(str, args)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert line(process.stderr) == "watching\n"
            yield process
        finally:
            process.kill()


def line(stream):
    assert select.select([stream], [], [], SECONDS)[0], "it said nothing"
    return stream.readline()


def test_shows_each_change_at_once(stocked):
    with Store(stocked) as s, watching(stocked) as process:
        s["greeting"] = "hi"
        shown = line(process.stdout)
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ  set      greeting\n", shown)
        del s["greeting"]
        assert line(process.stdout).endswith("  deleted  greeting\n")
        s["odd\nname"] = 1
        assert line(process.stdout).endswith('  set      "odd\\nname"\n')


def test_interrupt_is_quiet(stocked):
    with Store(stocked) as s, watching(stocked, "--namespace", "settings") as process:
        s["greeting"] = "of another namespace"
        with s.within("settings") as settings:
            settings["limits"] = 1
            assert line(process.stdout).endswith("  set      limits\n")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)
        assert (process.returncode, out, err.strip()) == (130, "", "")


@pytest.mark.slow
def test_only_names_or_a_prefix_as_json(stocked):
    with Store(stocked) as s:
        for only in (["user:1", "new"], ["--prefix", "user:"]):
            with watching(stocked, *only, "--json") as process:
                s["greeting"] = 1
                s["user:1"] = 2
                shown = json.loads(line(process.stdout))
                assert (shown["kind"], shown["name"], shown["namespace"]) == ("set", "user:1", "")
                assert shown["record"]["revision"] == s.record("user:1").revision
                s.touch("user:1", 0.1)
                shown = json.loads(line(process.stdout))
                if shown["kind"] == "set":  # else the process did not look before the end
                    shown = json.loads(line(process.stdout))
                assert (shown["kind"], shown["name"], shown["record"]) == ("expired", "user:1", None)


def test_ends_well_after_the_timeout(run, stocked):
    assert run("watch", stocked, "--timeout", "0") == (0, "", "")


def test_store_that_is_taken_away_is_one_line(stocked):
    with watching(stocked) as process, away(stocked):
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out, err.count("\n")) == (1, "", 1)
    assert "open the store again" in err


@pytest.mark.slow
def test_file_that_is_deleted_is_one_line(filled):
    with watching(filled) as process:
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(f"{filled}{suffix}"):
                os.unlink(f"{filled}{suffix}")
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out, err.count("\n")) == (1, "", 1)
    assert "was deleted" in err


def test_wrong_calls(fails, stocked, place):
    fails(2, "not both", "watch", stocked, "a", "--prefix", "b")
    fails(2, "--timeout", "watch", stocked, "--timeout", "-1")
    fails(2, "a store in memory", "watch", ":memory:")


@pytest.mark.parametrize("timeout", ["nan", "NaN", "inf", "-inf", "1e400", "-1", "-1h", "x"])
def test_timeout_that_is_no_time_is_a_wrong_call(fails, stocked, timeout):
    for command in ("watch", stocked, "--timeout", timeout), ("set", stocked, "a", "1", "--ttl", timeout):
        fails(2, f"'{timeout}' is no ", *command)


def test_timeout_has_the_units_of_lifetimes(run, stocked):
    assert run("watch", stocked, "nothing", "--timeout", "0m") == (0, "", "")


def test_store_that_is_not_there(fails, place):
    fails(1, "there is no store at", "watch", place)


@pytest.mark.parametrize("name", ["a", "--prefix=a"])
def test_name_that_is_not_there_is_waited_for(run, stocked, name):
    assert run("watch", stocked, name, "--timeout", "0") == (0, "", "")
