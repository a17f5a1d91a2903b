"""Whether a version that a user gets with the package has a known vulnerability. Exit status 1: one has.

Two sources: `advisories.txt` beside this file, which is always there, and pip-audit, where its service answers. Where
it does not, that is said loudly and fails nothing: a network that is down says nothing about the dependencies.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ADVISORIES = Path(__file__).with_name("advisories.txt")
# What a user may run, in contrast to what the tests, the examples and the benchmark use.
RUNTIME = ("sealed-store[codecs]", "attrs", "pydantic")
LEFT_OUT = ("sealed-store", "pip")  # sqlite-utils asks for pip, which is the virtual environment's own
TIMEOUT_SECONDS = 180


def installed(wanted: tuple[str, ...] = RUNTIME) -> dict[str, str]:
    """Names and versions of those requirements and of all that they require, as they are installed here."""
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    left = [Requirement(text) for text in wanted]
    while left:
        requirement = left.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            it = distribution(name)
        except PackageNotFoundError:  # an optional one; what must be there is imported by every test
            continue
        found[name] = it.version
        for inner in map(Requirement, it.requires or ()):
            marker = inner.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""}):
                left.append(inner)
    return {name: version for name, version in found.items() if name not in LEFT_OUT}


def listed(versions: dict[str, str], text: str) -> list[str]:
    """Those of the advisories that hold for these versions."""
    found = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            name, affected, advisory, what = line.split(maxsplit=3)
            version = versions.get(canonicalize_name(name))
            if version is not None and SpecifierSet(affected).contains(version, prereleases=True):
                found.append(f"{name} {version}: {advisory}, {what} (in {affected})")
    return found


def judged(report: str) -> tuple[list[str], list[str]]:
    """The vulnerabilities in pip-audit's JSON, and what it did not look at. Raises: ValueError: no report."""
    found, skipped = [], []
    for it in json.loads(report)["dependencies"]:
        if "skip_reason" in it:
            skipped.append(it["name"])
        for one in it.get("vulns", ()):
            fixed = ", ".join(one.get("fix_versions", ())) or "no version"
            found.append(f"{it['name']} {it['version']}: {one['id']}, fixed in {fixed}")
    return found, skipped


def asked(versions: dict[str, str]) -> tuple[list[str], str]:
    """What pip-audit finds, and why it found nothing out, else an empty text."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pins:
        pins.writelines(f"{name}=={version}\n" for name, version in versions.items())
        pins.flush()
        command = [sys.executable, "-m", "pip_audit", "--requirement", pins.name, "--no-deps", "--disable-pip"]
        try:
            done = subprocess.run(
                [*command, "--format", "json", "--progress-spinner", "off"],
                capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS,
            )  # fmt: skip
            found, skipped = judged(done.stdout)
        except subprocess.TimeoutExpired:
            return [], f"its service did not answer within {TIMEOUT_SECONDS} s"
        except (ValueError, KeyError, TypeError):
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            return [], f"it gave no report: {last[:300]}"
    return found, f"its service knows nothing of {', '.join(skipped)}" if skipped else ""


def main() -> int:
    versions = installed()
    print("audited:", ", ".join(f"{name} {version}" for name, version in sorted(versions.items())))
    if not versions:
        print("nothing to audit is installed: run it with the Python that has the package", file=sys.stderr)
        return 1
    found, problem = asked(versions)
    if problem:
        print(f"WARNING: NOT AUDITED BY pip-audit: {problem}.", file=sys.stderr)
        print(f"WARNING: only the list in {ADVISORIES.name} was compared.", file=sys.stderr)
    found += listed(versions, ADVISORIES.read_text("utf-8"))
    for line in found:
        print("VULNERABLE:", line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
