"""`.ci/audit.py`: a known vulnerability of a dependency fails it, and a service that is out of reach does not."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILE = Path(__file__).parents[2] / ".ci" / "audit.py"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason="the source distribution has no .ci")


@pytest.fixture
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answers(monkeypatch: pytest.MonkeyPatch, audit: ModuleType, stdout: str, stderr: str = "") -> list[list[str]]:
    """pip-audit says that; the commands that it was called with."""
    called: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        called.append([*command, Path(command[command.index("--requirement") + 1]).read_text()])
        return subprocess.CompletedProcess(command, 1, stdout, stderr)

    monkeypatch.setattr(audit.subprocess, "run", run)
    return called


def report(*dependencies: dict[str, Any]) -> str:
    return json.dumps({"dependencies": list(dependencies), "fixes": []})


def test_what_a_user_installs_is_audited_and_nothing_else(audit: ModuleType) -> None:
    found = audit.installed()
    assert {"click", "filelock", "platformdirs", "sqlite-utils", "sqlite-fts4"} <= found.keys()
    assert not {"pip", "pytest", "hypothesis", "diskcache", "scikit-learn", "sealed-store"} & found.keys()


def test_nothing_that_is_installed_is_on_the_list(audit: ModuleType) -> None:
    assert audit.listed(audit.installed(), audit.ADVISORIES.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "name, version, vulnerable",
    [
        ("filelock", "3.20.0", True), ("filelock", "3.20.3", False), ("protobuf", "5.29.5", True),
        ("protobuf", "6.33.4", True), ("protobuf", "6.33.5", False), ("pyyaml", "5.3.1", True),
        ("pyyaml", "5.4rc1", False), ("unheard-of", "1", False),
    ],
)  # fmt: skip
def test_list_of_known_vulnerabilities(audit: ModuleType, name: str, version: str, vulnerable: bool) -> None:
    found = audit.listed({name: version}, audit.ADVISORIES.read_text("utf-8"))
    assert bool(found) is vulnerable
    assert all(line.startswith(f"{name} {version}: CVE-") for line in found)


def test_vulnerability_that_the_service_knows_fails(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    vulns = [{"id": "PYSEC-1", "fix_versions": ["9"], "aliases": [], "description": ""}]
    called = answers(monkeypatch, audit, report({"name": "click", "version": "8.1", "vulns": vulns}))
    assert audit.main() == 1
    assert "VULNERABLE: click 8.1: PYSEC-1, fixed in 9" in capsys.readouterr().err
    assert f"filelock=={audit.installed()['filelock']}\n" in called[0][-1]


def test_listed_vulnerability_fails_without_the_service(audit: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, audit, "")
    monkeypatch.setattr(audit, "installed", lambda: {"filelock": "3.19"})
    assert audit.main() == 1


@pytest.mark.parametrize(
    "stdout, stderr, said",
    [
        ("", "ConnectionError: no route\n", "it gave no report: ConnectionError: no route"),
        ("", "", "it gave no report: it said nothing"),
        ("not JSON", "", "it gave no report"),
        ("[]", "", "it gave no report"),
        (report({"name": "click", "skip_reason": "not found"}), "", "its service knows nothing of click"),
    ],
)
def test_service_out_of_reach_is_said_loudly_and_fails_nothing(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stdout: str, stderr: str, said: str
) -> None:
    answers(monkeypatch, audit, stdout, stderr)
    assert audit.main() == 0
    err = capsys.readouterr().err
    assert f"NOT AUDITED BY pip-audit: {said}" in err
    assert "only the list in advisories.txt was compared" in err


def test_service_that_never_answers(audit: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(audit.subprocess, "run", run)
    assert audit.asked({"click": "8.1"}) == ([], "its service did not answer within 180 s")


def test_good_report_is_no_warning(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(monkeypatch, audit, report({"name": "click", "version": "8.1", "vulns": []}))
    assert audit.main() == 0
    assert capsys.readouterr().err == ""
