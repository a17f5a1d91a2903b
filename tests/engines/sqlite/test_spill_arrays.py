"""Arrays, tables and models: their data beside the pickle, in files that are mapped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from spilling import files, folder_of

from store import Store

numpy = pytest.importorskip("numpy")

LARGE = 200_000  # elements, of eight bytes


@pytest.fixture
def array() -> Any:
    return numpy.random.default_rng(5).random(LARGE)


@pytest.mark.parametrize("codec", ["pickle", "numpy", "auto", "cloudpickle"])
def test_array_is_mapped(path: Path, array: Any, codec: str) -> None:
    if codec == "cloudpickle":
        pytest.importorskip("cloudpickle")
    with Store[Any](path, codec=codec) as s:
        s["it"] = array
        found = s["it"]
        assert (found == array).all() and found.dtype == array.dtype
        assert not found.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            found[0] = 1
        (file,) = files(path)
        assert (folder_of(path) / file).stat().st_size == array.nbytes


@pytest.mark.parametrize("codec", ["pickle", "numpy"])
def test_array_that_is_not_mapped_can_be_written(path: Path, array: Any, codec: str) -> None:
    with Store[Any](path, codec=codec, mmap=False) as s:
        s["it"] = array
        found = s["it"]
        found[0] = 17
        assert s["it"][0] == array[0]


@pytest.mark.parametrize("codec", ["pickle", "numpy"])
def test_edit_and_writeback_change_an_array_in_place(path: Path, array: Any, codec: str) -> None:
    with Store[Any](path, codec=codec) as s:
        s["it"] = array
        with s.edit("it") as found:
            found[0] = 17
        assert s["it"][0] == 17 and s.record("it").revision == 2
        with s.edit("it"):
            pass
        assert s.record("it").revision == 2
    with Store[Any](path, writeback=True) as s:
        s["it"][1] = 18
    with Store[Any](path) as s:
        assert (s["it"][:2] == [17, 18]).all() and (s["it"][2:] == array[2:]).all()


@pytest.mark.parametrize("make", [
    lambda a: a.reshape(800, 500).T, lambda a: numpy.asfortranarray(a.reshape(800, 500)), lambda a: a[::2],
    lambda a: a.astype(">f4"), lambda a: a.reshape(2, 4, -1), lambda a: a.view("V16"),
])  # fmt: skip
@pytest.mark.parametrize("codec", ["pickle", "numpy"])
def test_shapes_and_orders(path: Path, array: Any, make: Any, codec: str) -> None:
    value = make(numpy.tile(array, 2))
    with Store[Any](path, codec=codec, spill_bytes=1000) as s:
        s["it"] = value
        found = s["it"]
        assert found.dtype == value.dtype and found.shape == value.shape
        assert found.tobytes() == value.tobytes()
        assert len(files(path)) == 1


def test_array_of_objects(path: Path) -> None:
    value = numpy.array([{"x": 1}, "text" * 100, None] * 1000, dtype=object)
    with Store[Any](path, spill_bytes=1000) as s:
        s["it"] = value
        assert s["it"].tolist() == value.tolist()


def test_small_array_stays_in_its_row_and_can_be_written(path: Path) -> None:
    with Store[Any](path) as s:
        s["it"] = numpy.arange(100)
        s["it"][0] = 5
        assert files(path) == []


def test_many_arrays_in_one_value(path: Path) -> None:
    value = {f"a{i}": numpy.full(300, i) for i in range(200)}
    with Store[Any](path, spill_bytes=1000) as s:
        s["it"] = value
        found = s["it"]
        assert len(files(path)) == 201  # and the body, which 200 names make large as well
        assert all((found[name] == value[name]).all() for name in value)


@pytest.mark.slow
def test_table(path: Path, array: Any) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({
        "x": array, "n": numpy.arange(LARGE), "s": [f"row {i}" for i in range(LARGE)],
        "when": pandas.date_range("2026-01-01", periods=LARGE, freq="min"),
        "kind": pandas.Categorical(["a", "b"] * (LARGE // 2)),
    })  # fmt: skip
    with Store[Any](path) as s:
        s["it"] = table
        assert len(files(path)) >= 3
        pandas.testing.assert_frame_equal(s["it"], table)
        assert float(s["it"]["x"].sum()) == float(table["x"].sum())
        with s.edit("it") as found:
            found.loc[0, "x"] = 5.0
        assert s["it"]["x"][0] == 5.0


@pytest.mark.slow
def test_model(path: Path, array: Any) -> None:
    pytest.importorskip("sklearn")
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.neighbors import KNeighborsRegressor

    points, targets = array[:100_000].reshape(-1, 10), array[100_000:110_000]
    for model in (KNeighborsRegressor(), RandomForestRegressor(n_estimators=3, random_state=1)):
        model.fit(points[:10_000], targets)
        with Store[Any](path, spill_bytes=100_000) as s:
            s["it"] = model
            assert s.record("it").size > 100_000 and len(files(path)) >= 1
            assert (s["it"].predict(points[:50]) == model.predict(points[:50])).all()
