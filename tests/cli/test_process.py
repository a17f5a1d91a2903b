"""The command line as a process: pipes, signals, encodings, other processes, `store demo`."""

import fcntl
import gc
import os
import re
import signal
import subprocess
import sys
import termios
from importlib.metadata import entry_points

import pytest
from away import is_absent

import store
from store import Store
from store.cli import main

STORE = [sys.executable, "-m", "store"]
SECONDS = 60  # no command takes that long; one that hangs must not hold up the tests


def run(*args, command=STORE, **options):
    options = {"stdout": subprocess.PIPE, **options}
    return subprocess.run(
        [*command, *map(str, args)], stderr=subprocess.PIPE, text=True, timeout=SECONDS, check=False, **options
    )


@pytest.fixture
def filled(place):
    with Store(place) as s:
        s.update({f"a name of some length {number:06}": number for number in range(5000)})
    return place


@pytest.mark.slow
def test_version_and_exit_codes(place):
    version = run("--version")
    assert (version.returncode, version.stdout, version.stderr) == (0, f"store {store.__version__}\n", "")
    assert run("set", place, "a", "[1]").returncode == 0
    assert run("get", place, "a").stdout == "[1]\n"
    missing = run("get", place, "b")
    assert (missing.returncode, missing.stdout, missing.stderr.count("\n")) == (1, "", 1)
    assert run("get", place).returncode == 2


def test_console_script_is_main():
    (script,) = entry_points(group="console_scripts", name="store")
    assert script.load() is main


def test_process_ends_without_looking_for_garbage(place):
    """And without a warning; what a program registered for its end still runs."""
    with Store(place) as s:
        s["a"] = [1]
    program = (
        "import atexit, gc, sys, store.cli\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 10_000))\n"
        "sys.exit(store.cli.main())"
    )
    done = run("get", place, "a", command=[sys.executable, "-X", "dev", "-c", program])
    assert (done.returncode, done.stdout, done.stderr) == (0, "[1]\nTrue\n", "")


@pytest.mark.slow
def test_command_within_a_program_keeps_its_garbage_collected(place):
    before = gc.get_freeze_count()
    assert main(["set", str(place), "a", "1"]) == 0
    assert gc.get_freeze_count() <= before, "fewer where one that was frozen before is gone"


@pytest.mark.slow
def test_set_is_seen_by_a_store_that_is_open(place):
    with Store(place) as s:
        s["visits"] = 1
        assert run("set", place, "visits", "2").returncode == 0
        assert s["visits"] == 2
        assert run("rm", place, "visits").returncode == 0
        assert "visits" not in s


LISTINGS = [
    ["ls"], ["ls", "--json"], ["records"], ["records", "--sort=size"], ["records", "--color"], ["export", "--raw"],
    ["export", "jsonl"],
]  # fmt: skip


@pytest.mark.parametrize("words", LISTINGS, ids=" ".join)
@pytest.mark.slow
def test_broken_pipe_is_quiet_and_ends_as_users_of_head_expect(filled, words):
    """As if SIGPIPE had ended it: a shell with `pipefail`, and whoever waits for that signal, knows the number."""
    with subprocess.Popen(
        [*STORE, *words, filled], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        process.stdout.close()  # with more than a pipe holds still to come
        assert process.stderr.read() == ""
        assert process.wait(SECONDS) == 141


@pytest.mark.parametrize("words", [["stats"], ["--help"]], ids=" ".join)
@pytest.mark.slow
def test_pipe_that_nobody_reads_at_all(filled, words):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as nobody:
        done = run(*words, *([filled] if words == ["stats"] else []), stdout=nobody)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
@pytest.mark.slow
def test_full_disk_behind_stdout_is_one_line(stocked):
    with open("/dev/full", "w") as full:
        done = run("ls", stocked, stdout=full)
    assert (done.returncode, done.stderr) == (1, "store: No space left on device\n")


# Tests that are run in the background may have been told to ignore SIGINT, and what they start inherits that.
INTERRUPTIBLE = [
    sys.executable,
    "-c",
    "import signal, sys\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from store.cli import main\n"
    "sys.exit(main())",
]


def test_interrupt_is_quiet(place):
    with subprocess.Popen(
        [*INTERRUPTIBLE, "set", place, "a", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(b" " * 1_000_000)  # more than a pipe holds: it is inside the command, and reads
        process.stdin.flush()
        _wait_until_it_waits(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 130
        assert process.stderr.read().strip() == b""
    assert is_absent(place)


@pytest.mark.slow
def test_interrupt_while_another_process_writes(path):
    """What waits for the lock of the store can be interrupted too."""
    with Store(path) as s:
        s["a"] = 1
        with s.transaction():
            with subprocess.Popen(
                [*INTERRUPTIBLE, "set", path, "a", "2"], stderr=subprocess.PIPE, stdout=subprocess.PIPE
            ) as process:
                _wait_until_it_has_open(process.pid, str(path))
                process.send_signal(signal.SIGINT)
                assert process.wait(SECONDS) == 130
                assert process.stderr.read().strip() == b""
        assert s["a"] == 1


def _wait_until_it_waits(process: subprocess.Popen) -> None:
    """It has read all there is, and sleeps until there is more."""
    unread = bytearray(4)
    while True:  # bounded by the test's own time limit
        fcntl.ioctl(process.stdin.fileno(), termios.FIONREAD, unread)
        with open(f"/proc/{process.pid}/stat") as stat:
            state = stat.read().rpartition(")")[2].split()[0]
        if not any(unread) and state == "S":
            return


def _wait_until_it_has_open(pid: int, path: str) -> None:
    while True:  # bounded by the test's own time limit
        for number in os.listdir(f"/proc/{pid}/fd"):
            try:
                if os.readlink(f"/proc/{pid}/fd/{number}") == path:
                    return
            except FileNotFoundError:
                pass


@pytest.mark.slow
def test_streams_that_are_closed(place):
    closed = ["sh", "-c", 'exec "$0" -m store "$@" <&- >&-', sys.executable]
    done = run("set", place, "a", "-", command=closed)
    assert done.returncode == 2
    assert done.stderr.startswith("store: what stdin gave is neither")
    assert run("set", place, "a", "1", command=closed).returncode == 0
    assert run("get", place, "a", command=closed).returncode == 0
    mute = ["sh", "-c", 'exec "$0" -m store "$@" 2>&-', sys.executable]
    assert run("get", place, "b", command=mute).returncode == 1


@pytest.mark.slow
def test_stdout_and_arguments_that_are_not_utf8(place):
    ascii_ = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    assert run("set", place, "é", '{"é": "☃\U0001f600"}', env=ascii_).returncode == 0
    with Store(place) as s:
        assert dict(s) == {"é": {"é": "☃\U0001f600"}}
    assert run("get", place, "é", env=ascii_).stdout == r'{"\u00e9": "\u2603\ud83d\ude00"}' + "\n"
    assert run("ls", place, env=ascii_).stdout == r'"\u00e9"' + "\n"


@pytest.mark.slow
def test_warning_is_one_line_and_obeys_the_filters(place):
    with Store(place, key="somebody else's key") as s:
        s["a"] = 1
    done = run("get", place, "a")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (0, "1\n", 1)
    assert done.stderr.startswith(f"store: warning: {place} has records that were sealed with a key")
    assert run("get", place, "a", command=[sys.executable, "-W", "ignore", "-m", "store"]).stderr == ""
    done = run("get", place, "a", command=[sys.executable, "-W", "error", "-m", "store"])
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)


@pytest.mark.slow
def test_reading_makes_no_key(place, own_key):
    with Store(place, key="somebody else's key") as s:
        s["a"] = 1
    for command in (["get", place, "a"], ["ls", place], ["info", place]):
        assert run(*command).returncode == 0
    assert not own_key.exists()


# -- demo


@pytest.mark.slow
def test_demo_shows_what_it_does_and_leaves_nothing(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = run("demo", env={**os.environ, "TMPDIR": str(scratch)}, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == [scratch] and not list(scratch.iterdir())
    _assert_demo(done.stdout)


def _assert_demo(text: str) -> None:
    for shown in (
        ">>> @dataclass\n... class User:\n",
        ">>> s[\"user:1\"]\nUser(name='Alice', email='alice@example.org')\n",
        ">>> with s.edit(\"settings\") as settings:\n...     settings[\"theme\"] = \"light\"\n",
        ">>> s[\"settings\"]\n{'theme': 'light', 'font_size': 14}\n",
        ">>> session.expires - session.modified\ndatetime.timedelta(seconds=1800)\n",
        ">>> s.names(\"session:\")\n['session:4f2a']\n",
        '>>> "user:1" in s\nTrue\n',
    ):  # fmt: skip
        assert shown in text
    (other,) = re.findall(r"^process (\d+) sees \d+ records$", text, re.MULTILINE)
    after = re.search(r"^\((\d+), \{'theme': 'light', 'font_size': 16\}, 2\)$", text, re.MULTILINE)
    assert after and after[1] != other


@pytest.mark.parametrize("name", ["kept.db", ""])
@pytest.mark.slow
def test_demo_in_a_place_keeps_the_store(tmp_path, name):
    done = run("demo", tmp_path / name)
    path = tmp_path / (name or "demo.db")
    assert done.returncode == 0
    assert done.stdout.endswith(f"# The store is kept. Look into it: store ls {path} --long\n")
    assert run("get", path, "user:1").stdout == "User(name='Alice', email='alice@example.org')\n"
    again = run("demo", tmp_path / name)
    assert (again.returncode, again.stdout, again.stderr.count("\n")) == (1, "", 1)


@pytest.mark.slow
def test_demo_imports_nothing_from_where_it_is_run(tmp_path):
    """The console script does not have the current directory on its path, and the other process must not."""
    (tmp_path / "store.py").write_text("raise SystemExit('this is not the package')")
    script = [sys.executable, "-P", "-c", "import sys, store.cli; sys.exit(store.cli.main())"]
    done = run("demo", command=script, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
