"""The hostile corpus as records of a store that pages show: nothing runs, and what is shown is bounded and escaped.

Each stream of `tests/hostile` is the body of a record that somebody else sealed.
"""

from __future__ import annotations

import importlib
import pickle
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile_names import PIECES, text, tower, value
from markup import markup_of

from store import Store
from store.opened.sentinels import MISSING
from store.web.look import CELL_BYTES, PAGE_BYTES, Budget, look
from store.web.values import brief, whole

HOSTILE = Path(__file__).parent.parent / "hostile"
OURS, THEIRS = b"the key of these tests, long enough", b"the key of somebody else, long enough"

pytestmark = [
    pytest.mark.damaged,
    pytest.mark.filterwarnings("ignore:.*sealed with a key"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the corpus is for limits as Linux has them"),
]


@pytest.fixture(scope="module")
def modules() -> Iterator[Any]:
    """A function that imports a module of `tests/hostile`."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(HOSTILE))
        yield importlib.import_module


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a stream makes if it runs."""
    monkeypatch.setenv("HOSTILE_MARKER", str(tmp_path / "marker"))
    return tmp_path / "marker"


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Any]:
    """Writes bodies under the key of somebody else, and opens the store under ours."""
    opened: list[Store[Any]] = []

    def write(bodies: dict[str, bytes], **options: Any) -> Store[Any]:
        with Store(tmp_path / "app.db", key=THEIRS) as s:
            with s.transaction():
                for name, body in bodies.items():
                    row = s.opened.pack(name, None, None)
                    s.opened.put(s.opened.values.sealer.seal(row._replace(body=body)))
        s = Store[Any](tmp_path / "app.db", key=OURS, **options)
        opened.append(s)
        return s

    yield write
    for s in opened:
        s.close()


def test_no_stream_runs(modules: Any, theirs: Any, marker: Path) -> None:
    streams = {each.name: each for each in modules("execution").streams()}
    s = theirs({name: each.bytes() for name, each in streams.items()}, trust="all")
    outcomes = looked_at(s, streams, marker)
    assert outcomes["refused"] > 50 and set(outcomes) <= {"refused", "corrupt", "foreign", "skipped"}


@pytest.mark.heavy
@pytest.mark.parametrize("trust", ["all", "data"])
def test_no_stream_of_the_corpus_runs(modules: Any, theirs: Any, trust: str, marker: Path) -> None:
    """Those that take little time, and the legitimate ones that look like them."""
    streams = {name: each for name, each in modules("corpus").everything().items() if not each.heavy}
    s = theirs({name: each.bytes() for name, each in streams.items()}, trust=trust)
    outcomes = looked_at(s, streams, marker)
    assert outcomes["refused"] > 100 and outcomes["corrupt"] > 50 and outcomes["foreign"] > 20
    assert set(outcomes) <= {"refused", "corrupt", "foreign", "skipped"}


def looked_at(s: Store[Any], names: Iterable[str], marker: Path) -> Counter[str]:
    """Shows each record, and counts the badges."""
    outcomes: Counter[str] = Counter()
    for name in names:
        found = look(s, s.record(name), Budget(CELL_BYTES, seconds=60))
        outcomes[found.badge] += 1
        assert (found.value is MISSING) == (found.problem is not None), name
        if found.value is not MISSING:
            shown = whole(found.value), brief(found.value)
            assert "cannot be shown" not in "".join(shown), name
            assert len(markup_of(shown[0]).text) < 100_000 and len(markup_of(shown[1]).text) < 200, name
        assert not marker.exists(), name
        del found
    return outcomes


def test_marker_is_made_where_a_stream_runs(modules: Any, marker: Path) -> None:
    pickle.loads(next(each for each in modules("execution").streams() if each.name == "os_system").bytes())
    assert marker.exists()


def test_texts_that_mean_harm_stay_texts(s: Store[Any]) -> None:
    source = random.Random(21)
    values = [*PIECES, *(value(source) for _ in range(100)), {text(source): [text(source)]}]
    s.update({str(at): one for at, one in enumerate(values)})
    for at, one in enumerate(values):
        found = look(s, s.record(str(at)), Budget())
        assert found.badge == "own" and found.value == one
        for shown in (markup_of(whole(found.value)), markup_of(brief(found.value))):
            assert all(char.isprintable() or char in "\n\t" for char in shown.text)


@pytest.mark.slow
def test_tower_is_bounded(s: Store[Any]) -> None:
    s.update({"tower": tower(), "wide": [[]] * 20_000})
    for name in ("tower", "wide"):
        found = look(s, s.record(name), Budget(PAGE_BYTES))
        assert found.badge == "own"
        assert len(whole(found.value)) < 500_000 and len(brief(found.value)) < 1_000
