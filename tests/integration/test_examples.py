"""Every program in `examples/`, as its reader would run it, with warnings as errors."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from store import Store

EXAMPLES = Path(__file__, "../../../examples").resolve()

# Options that keep the run short, and what it prints, in this order.
EXPECTED = {
    "memo.py": (
        [],
        r"^computing Oslo$", r"^computing Bergen$", r"^5 calls: \['Bergen: 6 letters', 'Oslo: 4 letters'\]$",
        r"^hits=3 misses=2 stored=2$",
        r"^4 threads: 1 of them computed$",
        r"^4 tasks: 1 of them computed$",
        r"^another process: 'Oslo: 4 letters'$",
        r"^forgotten: True, and all others: 3$",
    ),
    "cache.py": (
        [],
        r"^found: <h1>Ann</h1> and not found: None$",
        r"^ann changed her name: 2 pages dropped, left: \['page:3'\]$",
        r"^visits: 1 11$",
        r"^4 threads: 1 of them computed$", r"^another process: 42 sales$",
        r"^looking up tea$", r"^looking up cups$", r"^\['tea: 3 euros', 'tea: 3 euros', 'cups: 4 euros'\]$",
        r"^new prices: 2 forgotten$",
        r"^100 records, 900 evicted, square:0 is there: True$", r"^hits 1000, misses 0, bytes below 1 MB: True$",
    ),
    "backup.py": (
        [],
        r"^3 records, 1 large one, in steps up to 100%$",
        r"^alice and bob have 100 at that moment$",
        r"^after a mistake: 0 records$",
        r"^restored: \['alice', 'bob', 'photo'\] with 100$",
    ),
    "flask_moving.py": (
        [],
        r"^with Flask-Session: ann$", r"^with a store: ann and a stranger: nobody$", r"^sessions: 1$",
        r"^with Flask-Session on a store: ann$",
    ),
    "fastapi_app.py": (
        [],
        r"^added: 1 2$", r"^welcome, ann$", r"^still in the cart: {'tea': 2}$", r"^ended: 1 and left: {}$",
    ),
    "importing.py": (
        [],
        r"^  theme    imported$", r"^  alice    refused    loading it takes '__main__\.User'",
        r"^  guest    refused    loading it takes 'posix\.system'",
        r"^  theme    unchanged$", r"^  alice    imported$", r"^  guest    refused ",
        r"^now here: {'theme': {'dark': True}, 'alice': User\(name='Alice'\)}$",
        r"^in a shelf: {'theme': {'dark': True}, 'alice': User\(name='Alice'\)}$",
    ),
    "command_line.py": (
        [],
        r"^\$ store set app\.db greeting hello --text$",
        r"^size +rev +modified +expires +type +name$",
        r"^ *\d.* in 30 min +dict +session:4f2a$",
        r"^\{\"greeting\": \"hello\", \"settings\": \{\"theme\": \"dark\"\}\}$",
        r"^store: .*app\.db has no record 'nobody'; `store ls` shows the names it has$",
        r"^exit code 1$",
        r"^deleted 1$",
        r"^copied 3, unchanged 0, expired 0$",
        r"^removed .*app\.db: records 3, namespaces 2, files 0, \d+$",
    ),
    "aio.py": (
        [],
        r"^100 visits, counted by 10 tasks$",
        r"^beside a slow transaction the loop went on: True$",
        r"^cancelled half-way, nothing is left of it: \['alice', 'bob', 'visits'\]$",
        r"^alice has 70 and bob 80$",
        r"^seen while it happened: set alice, set bob$",
        r"^in the cart of the session: {'cart': \['tea', 'cups'\]}$",
    ),
    "dogpile_region.py": (
        [],
        r"^looking up tea$", r"^looking up cups$", r"^\['tea: 3 euros', 'tea: 3 euros', 'cups: 3 euros'\]$",
        r"^looking up tea$", r"^after invalidate: tea: 3 euros$",
        r"^created: {'sales': 42}$", r"^another process: {'sales': 42}$",
    ),
    "key_value_store.py": (
        [],
        r"^token: {'scopes': \['read'\], 'token': '4f2a'} lives for about an hour: True$",
        r"^refused: bytes are not JSON$",
        r"^clients: \[{'name': 'A'}, {'name': 'B'}, None\]$", r"^keys: \[1, 10023\]$",
        r"^after a restart: {'scopes': \['read'\], 'token': '4f2a'}$",
        r"^collections: \['clients', 'tokens'\]$", r"^left: \['clients'\]$",
    ),
    "messages.py": (
        [],
        r"^the worker says: {'count': 3, 'sum': 6}$",
        r"^the worker says: {'count': 100000, 'sum': 4999950000}$",
        r"^the worker ended with 0$",
        r"^without a key: __main__\.Job was not made$",
        r"^allowed: Job\(name='clean up'\)$",
        r"^with a key: Job\(name='clean up'\)$",
        r"^altered on its way: Tampered$",
    ),
    "models.py": (
        [],
        r"^array +numpy +8\.00 ", r"^table +pickle +\d", r"^model +joblib +\d",
        r"^auto: {'array': 'numpy', 'model': 'pickle', 'table': 'pickle'}",
        r"array: ndarray", r"table: refused, it takes ", r"model: refused, it takes ",
    ),
    "quickstart.py": (
        [],
        r"Alice's friend Bob is a friend of Alice",
        r"__main__\.User \d+ bytes",
        r"settings: {'theme': 'light', 'font_size': 14}",
        r"sessions that live: \['session:4f2a'\]",
        r"before the other process ran: \(0, 14\) and after: \(1, 16\)",
        r"4 records> with user:1, settings, session:4f2a, visits",
    ),
    "sessions.py": (
        [],
        r"^a new visitor: {'cart': \[\]}$",
        r"^wrong password: None$",
        r"^logged in: {'cart': \['tea'\], 'user': 'ann'}$",
        r"^the old cookie gives: None$",
        r"^after 150 minutes of use: {'cart': \['tea'\], 'user': 'ann'}$",
        r"^a forged cookie gives: None$",
        r"^what stands in the stolen file gives: None$",
        r"^a session planted in the file gives: None and is counted: 1$",
        r"^a request that is late by a logout may save: False$",
        r"^or edit: there is no such session",
        r"^ann logs out everywhere: 2 sessions ended$",
        r"^an hour later: 0 alive, 3 cleared$",
    ),
    "settings.py": (
        [],
        r"^to begin with: Theme\.DARK 14 \[\]$",
        r"^changed: {'theme': <Theme\.LIGHT: 'light'>, 'font_size': 16, 'recent': \['notes\.txt'\]}$",
        r"^refused: Prefs\.font_size takes int, not 'large' \(str\)$",
        r"^from the environment: 20 in the file: 16$",
        r"^font size was 16 and is 18$",
        r'^  "theme": "dark",$', r'^  "font_size": 18,$',
    ),
    "stdlib_index.py": (
        ["--limit", "60"],
        r"^60 modules of Python 3",
        r"^first run: (\d+) parsed, 0 unchanged, 0 removed, .*; \d+\.\d\d s$",
        r"^second run: 0 parsed, 60 unchanged, 0 removed, .*; \d+\.\d\d s$",
        r"^\w+ +\d+ +\d+ +\d+ +\d+ +[\d.]+ ms$",
    ),
    "stock.py": (
        [],
        r"^sold: {'tea': 25, 'cups': 10} and left: {'tea': 0, 'cups': 0}$",
        r"^counted by the shops: 35 in 3 of them$",
        r"^a copy in a file has the same records in the same order: True$",
    ),
    "watch.py": (
        [],
        r"^watching$",
        r"^set +job:1 +revision 1$", r"^set +job:1 +revision 2$", r"^set +job:2 +revision 1$",
        r"^deleted +job:1$", r"^expired +job:2$",
        r"^nothing more$",
        r"^in an event loop: set job:3, beside which \d+ other things were done$",
    ),
}

SERVERS = {"flask_app.py"}  # they run until they are ended, as `tests/integrations/test_flask_server.py` does

# Programs that need more than the package; without it they are skipped, and say so.
NEEDS = {
    "flask_moving.py": ["flask_session", "cachelib"],
    "models.py": ["numpy", "pandas", "sklearn", "joblib"],
    "dogpile_region.py": ["dogpile.cache"],
    "key_value_store.py": ["key_value.aio"],
    "fastapi_app.py": ["fastapi", "httpx2"],
}


def run(name, *args, cwd, scratch, **environment):
    scratch.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *map(str, args)],
        capture_output=True, text=True, timeout=280, check=False, cwd=cwd,
        env={**os.environ, "TMPDIR": str(scratch), **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not list(scratch.iterdir())
    return done


def test_every_example_is_tested():
    assert {file.name for file in EXAMPLES.glob("*.py")} == EXPECTED.keys() | SERVERS


@pytest.mark.heavy
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_example_runs_anywhere_and_leaves_nothing(tmp_path, name):
    for library in NEEDS.get(name, ()):
        pytest.importorskip(library, reason=f"{library} is not installed: {name} is not tested")
    options, *patterns = EXPECTED[name]
    done = run(name, *options, cwd=tmp_path, scratch=tmp_path / "scratch")
    assert done.stderr.strip() in ("", "parsing\nparsing")  # what is left of the progress bar without a terminal
    assert re.search(".*".join(f"(?m:{pattern})" for pattern in patterns), done.stdout, re.DOTALL), done.stdout
    assert list(tmp_path.iterdir()) == [tmp_path / "scratch"]


@pytest.mark.parametrize("server", ["postgres_url", "redis_url", "redis_cluster_url"])
@pytest.mark.parametrize("way", ["argument", "environment"])
def test_stock_runs_unchanged_on_a_server(tmp_path, request, server, way):
    patterns = EXPECTED["stock.py"][1:]
    url = request.getfixturevalue(server)
    given = ([url], {}) if way == "argument" else ([], {"STORE_LOCATION": url})
    done = run("stock.py", *given[0], cwd=tmp_path, scratch=tmp_path / "scratch", **given[1])
    assert done.stderr == ""
    assert re.search(".*".join(f"(?m:{pattern})" for pattern in patterns), done.stdout, re.DOTALL), done.stdout
    with Store(url) as s:
        assert (s["sales"], s["stock"]) == (35, {"tea": 0, "cups": 0})


@pytest.mark.slow
def test_quickstart_on_a_file_that_is_kept(tmp_path, path):
    for visits in (1, 2):
        done = run("quickstart.py", path, cwd=tmp_path, scratch=tmp_path / "scratch")
        assert f"and after: ({visits}, {14 + 2 * visits})" in done.stdout
    with Store(path) as s:
        assert (s["visits"], s["settings"]) == (2, {"theme": "light", "font_size": 18})
        assert s.record("session:4f2a").expires is not None


@pytest.mark.slow
def test_stdlib_index_loads_only_what_changed(tmp_path, path):
    source = tmp_path / "source"
    (source / "package").mkdir(parents=True)
    (source / "site-packages").mkdir()
    (source / "package" / "__init__.py").write_text("class A:\n    def f(self): pass\n")
    (source / "package" / "module.py").write_bytes(b"# coding: latin-1\nx = '\xe9'\n")
    (source / "changes.py").write_text("x = 1\n")
    (source / "goes.py").write_text("x = 1\n")
    (source / "breaks.py").write_text("x = 1\n")
    (source / "broken.py").write_text("def f(:\n")
    (source / "site-packages" / "other.py").write_text("x = 1\n")

    def index():
        return run("stdlib_index.py", path, "--source", source, cwd=tmp_path, scratch=tmp_path / "scratch").stdout

    text = index()
    assert "first run: 5 parsed, 0 unchanged, 0 removed, skipped: 1 that are not valid Python" in text
    assert "second run: 0 parsed, 6 unchanged, 0 removed" in text
    with Store(path, namespace="trees") as trees:
        assert set(trees) == {"package", "package.module", "changes", "goes", "breaks"}
        assert ast.unparse(trees["package.module"]) == "x = 'é'"
        first = trees.record("package")

    (source / "changes.py").write_text("x = 12\n")
    (source / "breaks.py").write_text("x = = 1\n")
    (source / "goes.py").unlink()
    (source / "comes.py").write_text("x = 1\n")
    assert "first run: 2 parsed, 3 unchanged, 1 removed, skipped: 1 that are not valid Python" in index()
    with Store(path, namespace="trees") as trees:
        assert set(trees) == {"package", "package.module", "changes", "comes"}
        assert ast.unparse(trees["changes"]) == "x = 12"
        assert trees.record("package") == first


def test_stdlib_index_counts_trees_that_are_too_deep(path):
    spec = importlib.util.spec_from_file_location("stdlib_index", EXAMPLES / "stdlib_index.py")
    example = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = example  # dataclasses look there for their module
    try:
        spec.loader.exec_module(example)
    finally:
        del sys.modules[spec.name]
    deep = ast.Name("x", ast.Load())
    for _ in range(20_000):
        deep = ast.UnaryOp(ast.Not(), deep)
    done = example.Run()
    with Store(path) as trees:
        example.keep(trees, "it", ast.parse("x"), done)
        example.keep(trees, "it", ast.Module([ast.Expr(deep)], []), done)
        assert (done.parsed, done.too_deep, list(trees)) == (1, 1, [])
