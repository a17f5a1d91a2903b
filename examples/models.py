"""A model, a table and an array: which codec to use when, with the sizes and times of this run.

    pip install 'sealed-store[examples]'
    python examples/models.py

- `numpy` for an array: its bytes as they are, and it loads for anybody, since nothing in it can be code.
- `pickle`, the default, for a DataFrame, and for all that has a name which can be imported.
- `joblib` holds what pickle holds, and writes arrays inside a model as they are: the table says whether it pays.
- `auto` where both come: numpy for arrays, pickle for the rest.

Times are of one run on whatever else this machine does; only their order says something.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier

from store import Store
from store.errors import Untrusted

ROUNDS = 5


def milliseconds(action: Callable[[], object]) -> float:
    """The median of a few runs."""
    took = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        action()
        took.append(time.perf_counter() - start)
    return sorted(took)[ROUNDS // 2] * 1000


def values() -> dict[str, Any]:
    """What to keep: 8 MB of numbers, a table of 50,000 rows, and a model that was trained on 2,000."""
    random = np.random.default_rng(0)
    features, classes = make_classification(2000, 20, random_state=0)
    table = pd.DataFrame(
        {
            "day": pd.date_range("2024-01-01", periods=50_000, freq="min"),
            "city": random.choice(["Oslo", "Rome", "Lima"], 50_000),
            "degrees": random.normal(15, 8, 50_000),
        }
    )
    model = RandomForestClassifier(50, random_state=0).fit(features, classes)
    return {"array": random.normal(size=(1000, 1000)), "table": table, "model": model}


def same(one: Any, other: Any) -> bool:
    """Whether a value came back as it was."""
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, other))
    if isinstance(one, pd.DataFrame):
        return bool(one.equals(other))
    sample = np.random.default_rng(1).normal(size=(100, 20))
    return bool(np.array_equal(one.predict_proba(sample), other.predict_proba(sample)))


def measure(s: Store[Any], kept: dict[str, Any]) -> None:
    """A line for each value and each codec that can hold it."""
    print(f"{'value':<7} {'codec':<8} {'megabytes':>9} {'write ms':>9} {'read ms':>9}")
    for name, value in kept.items():
        for codec in ("numpy", "pickle", "joblib"):
            if codec == "numpy" and not isinstance(value, np.ndarray):
                continue
            record = s.put(name, value, codec=codec)
            write = milliseconds(lambda: s.put(name, value, codec=codec))  # noqa: B023 - it runs at once
            read = milliseconds(lambda: s[name])  # noqa: B023
            assert same(value, s[name])
            print(f"{name:<7} {codec:<8} {record.size / 1e6:>9.2f} {write:>9.1f} {read:>9.1f}")


def show_to_somebody_else(path: Path) -> None:
    """The store is opened with another key: what could run code is refused."""
    print("\nto somebody who does not have your key:")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that there are records of an unknown key; here that is meant
        theirs = Store[Any](path, key="the key of somebody else", mode="r")
    with theirs:
        for name in theirs:
            try:
                print(f"  {name}: {type(theirs[name]).__name__}")
            except Untrusted as exc:
                print(f"  {name}: refused, it takes {exc.missing}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "models.db"
        kept = values()
        with Store[Any](path) as s:
            measure(s, kept)

        with Store[Any](path, codec="auto") as s:
            s.update(kept)
            print("\nauto:", {record.name: record.codec for record in s.records()})

        show_to_somebody_else(path)


if __name__ == "__main__":
    main()
