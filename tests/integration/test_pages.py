"""Every page (`*.md`): its links lead somewhere, the files it names exist, its Python runs.

A Python block runs by itself, in a folder of its own that has a store called `app.db`. `SHOWN` has what it prints.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import store
from store.codecs import pickle

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    str(page.relative_to(ROOT))
    for pattern in ("*.md", ".github/*.md", "store/**/*.md", "tests/**/*.md")
    for page in ROOT.glob(pattern)
)

SHOWN = {
    "store/settings/README.md": "",
    "store/sessions/README.md": "{'cart': ['tea']} None\n",
    "store/memo/README.md": "hits=0, misses=1",
    "store/cache/README.md": "{'name': 'ann'} None slow to make 1\n1 hit, 2 misses\n",
    "store/watching/README.md": "set job:1\n",
    "store/aio/README.md": "counted 1\n",
    "store/messages/README.md": "{'job': 7}\n",
    "store/care/README.md": "1 records\n",
}

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def prose(page: str) -> str:
    """A page without its fenced blocks."""
    return FENCED.sub("", text(page))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


PYTHON = [
    pytest.param(page, block, id=f"{page}-{number}")
    for page in PAGES
    for number, (language, block) in enumerate(FENCED.findall(text(page)))
    if language == "python"
]


WITHOUT: set[str] = {"engines", "rows", "system"}  # folders that have no page yet; the set may only shrink


def test_every_folder_of_the_package_has_a_page() -> None:
    folders = {path.parent.name for path in ROOT.glob("store/*/__init__.py")}
    assert {name for name in folders if not (ROOT / "store" / name / "README.md").exists()} <= WITHOUT


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    here = ROOT / page
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (here.parent / path).resolve() if path else here
        assert file.exists(), f"{page}: {target}"
        assert not anchor or anchor in anchors(file), f"{page}: {target}: no such heading"


@pytest.mark.parametrize("page", [page for page in PAGES if page.endswith("README.md")])
def test_files_that_a_page_names_exist(page: str) -> None:
    folder = (ROOT / page).parent
    for name in re.findall(r"`([\w./-]+\.(?:py|md|c))`", prose(page)):
        if "NAME" in name:  # stands for any
            continue
        if "/" in name:
            found = any((base / name).exists() for base in (folder, ROOT, ROOT / "store"))
        else:
            found = any(any(top.rglob(name)) for top in (folder, ROOT / "store", ROOT / "tests"))
        assert found, f"{page}: {name}"


@pytest.mark.parametrize(("page", "block"), PYTHON)
def test_python_of_a_page_runs(
    page: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with store.Store("app.db") as s:  # several blocks begin with a program's own store
        s["greeting"] = "hello"
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    try:
        exec(compile(block, page, "exec"), module.__dict__)
    except ModuleNotFoundError as exc:  # pages of adapters import their framework
        if not page.startswith("store/integrations/") or str(exc.name).startswith("store"):
            raise
        pytest.skip(f"{exc.name} is not installed: the Python of {page} was not run")
    assert SHOWN.get(page, "") in capsys.readouterr().out
    assert len(block.strip().splitlines()) <= 14


def block_with(words: str) -> str:
    (block,) = [param.values[1] for param in PYTHON if words in str(param.values[1])]
    return str(block)


@pytest.fixture
def page_module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    return module


def test_allow_block_makes_the_class_loadable(page_module: ModuleType) -> None:
    source = block_with("@store.allow\n")
    exec(compile(source.replace("@store.allow\n", ""), "page", "exec"), page_module.__dict__)
    body = pickle.dumps(page_module.User("alice"))
    with pytest.raises(store.Untrusted):
        pickle.loads(body)
    exec(compile(source, "page", "exec"), page_module.__dict__)
    assert pickle.loads(body).name == "alice"


def test_versioned_block_brings_older_state_forward(page_module: ModuleType) -> None:
    source = block_with("@store.versioned(2)")
    exec("class Member:\n    def __init__(self, name): self.name = name", page_module.__dict__)
    body = pickle.dumps([page_module.Member("alice")])
    exec(compile(source, "page", "exec"), page_module.__dict__)
    (member,) = pickle.loads(body)
    assert (member.name, member.email) == ("alice", "")
