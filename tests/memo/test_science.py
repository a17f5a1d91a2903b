"""Canonical forms of what scientists pass: equal for equal content, different for any difference."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from store.memo.canonical.form import canonical


def assert_all_different(values: list[Any]) -> None:
    forms = [(value, canonical(value)) for value in values]
    assert [(a, b) for (a, form), (b, other) in combinations(forms, 2) if form == other] == []


def test_titles_offsets_and_alignment_of_dtypes() -> None:
    np = pytest.importorskip("numpy", reason="NumPy is not installed: keys of dtypes are not tested")
    plain, titled = np.dtype([("a", "i4")]), np.dtype([(("title", "a"), "i4")])
    spread = {"names": ["a", "b"], "formats": ["i1", "i1"], "itemsize": 8}
    assert_all_different([
        plain, titled, np.dtype([(("other", "a"), "i4")]), np.dtype("i4", metadata={"unit": "m"}), np.dtype("i4"),
        np.dtype({**spread, "offsets": [0, 1]}), np.dtype({**spread, "offsets": [0, 2]}), np.dtype({**spread, "offsets": [2, 0]}),
        np.zeros(1, plain), np.zeros(1, titled),
    ])  # fmt: skip
    assert canonical(titled) == canonical(np.dtype([(("title", "a"), "i4")]))


def test_random_generators_by_their_state() -> None:
    np = pytest.importorskip("numpy", reason="NumPy is not installed: keys of generators are not tested")
    used = np.random.default_rng(1)
    used.random()
    spawned = np.random.default_rng(1)
    spawned.spawn(1)
    values = [np.random.default_rng(1), np.random.default_rng(2), used, spawned, np.random.Generator(np.random.MT19937(1))]
    assert_all_different([*values, np.random.RandomState(1), np.random.RandomState(2), np.random.SeedSequence(1), np.random.PCG64(1)])
    assert canonical(np.random.default_rng(1)) == canonical(np.random.default_rng(1))
    assert canonical(np.random.RandomState(1)) == canonical(np.random.RandomState(1))


def test_frames_series_and_indexes() -> None:
    pd = pytest.importorskip("pandas", reason="pandas is not installed: keys of frames are not tested")
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    noted = frame.copy()
    noted.attrs["unit"] = "m"
    series = pd.Series([1.0, float("nan")], name="a")
    days = pd.date_range("2026-01-01", periods=3)
    frames = [
        frame, frame.rename(columns={"a": "c"}), frame.set_index("a"), frame[["b", "a"]], frame.iloc[::-1], frame.iloc[:1], noted,
        frame.astype({"a": "int32"}), frame.astype({"a": "Int64"}), frame.astype({"b": "category"}), frame.astype({"b": object}),
        frame.replace("x", "y"), frame.set_index([["i", "j"], ["k", "l"]]), pd.concat([frame, frame], axis=1), pd.DataFrame(),
        frame.assign(a=days[:2]), frame.assign(a=days[:2].tz_localize("UTC")), frame.assign(a=days[:2].tz_localize("Europe/Oslo")),
        frame.assign(a=days[:2].to_period("D")), frame.assign(a=pd.arrays.SparseArray([0, 1])), frame.assign(a=[1 + 2j, 0]),
    ]  # fmt: skip
    assert_all_different([
        *frames, series, series.rename("b"), series[:1], series.astype("float32"), series.fillna(0), series.to_frame(), series.rename(None),
        series.index, series.index + 1, days, days[:2], days.tz_localize("UTC"), days.rename("day"), days[[0, 1, 2]]._with_freq(None),
        pd.MultiIndex.from_tuples([(1, 2)]), pd.MultiIndex.from_tuples([(1, 2)], names=["a", "b"]), pd.MultiIndex.from_tuples([(2, 1)]),
        pd.CategoricalIndex(["a"]), pd.CategoricalIndex(["a"], ordered=True), pd.CategoricalIndex(["a"], categories=["a", "b"]),
        pd.interval_range(0, 2), pd.interval_range(0, 2, closed="left"), pd.timedelta_range("1D", periods=2), pd.period_range("2026", periods=2, freq="Y"),
        pd.Timestamp("2026-01-01"), pd.Timestamp("2026-01-01", tz="UTC"), pd.Timestamp("2026-01-01 00:00:00.000000001"), pd.Timedelta("1D"),
        pd.Timedelta("2D"), pd.NaT, pd.NA, pd.Period("2026", "Y"), pd.Period("2026-01", "M"), pd.Interval(0, 1), pd.Interval(0, 1, closed="both"),
        pd.CategoricalDtype(["a"]), pd.CategoricalDtype(["b"]), pd.Int64Dtype(), pd.DatetimeTZDtype(tz="UTC"), pd.offsets.Day(1), pd.offsets.Day(2),
        pd.offsets.MonthEnd(1), pd.DateOffset(months=1), pd.DateOffset(months=2), pd.arrays.SparseArray([0, 1]), frame["a"].array,
        pd.array([1, None]), pd.array([1, 2]), pd.array([True, None]), pd.array(["1", None]),
    ])  # fmt: skip
    for one in frames:
        assert canonical(one) == canonical(one.copy(deep=True))
    assert canonical(pd.concat([frame, frame])) == canonical(pd.concat([frame, frame]))
    with pytest.raises(TypeError, match="an object has no canonical form"):
        canonical(pd.DataFrame({"a": [object()]}))
    with pytest.raises(TypeError, match="no canonical form"):
        canonical(type("Frame", (pd.DataFrame,), {})())


def test_sparse_matrices() -> None:
    np = pytest.importorskip("numpy", reason="NumPy is not installed: keys of sparse matrices are not tested")
    sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed: keys of sparse matrices are not tested")
    dense = np.array([[0, 1.0], [2, 0]])
    kinds = ("csr", "csc", "coo", "bsr", "dia", "lil", "dok")
    values = [getattr(sparse, f"{kind}_{of}")(dense) for kind in kinds for of in ("array", "matrix")]
    first = values[0]
    assert_all_different([*values, first.T.tocsr(), first * 2, first.astype("float32"), sparse.csr_array((2, 3)), sparse.csr_array((2, 2))])
    for one in values:
        assert canonical(one) == canonical(one.copy())


@pytest.mark.slow
def test_estimators_by_parameters_and_what_they_learned() -> None:
    np = pytest.importorskip("numpy", reason="NumPy is not installed: keys of estimators are not tested")
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: keys of estimators are not tested")
    from sklearn.base import BaseEstimator, clone
    from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler
    from sklearn.svm import SVC

    class Own(BaseEstimator):  # type: ignore[misc]
        def __init__(self, n: int = 1) -> None:
            self.n = n

    class Other(BaseEstimator):  # type: ignore[misc]
        def __init__(self, n: int = 1) -> None:
            self.n = 2 * n

    x, y = np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 1, 1, 0])
    made: list[Any] = [
        LinearRegression(), LinearRegression(fit_intercept=False), LogisticRegression(), LogisticRegression(C=2.0),
        make_pipeline(StandardScaler(), SVC()), make_pipeline(StandardScaler(), SVC(C=2)), FunctionTransformer(np.log1p),
        FunctionTransformer(np.log), FunctionTransformer(lambda v: v + 1), FunctionTransformer(lambda v: v + 2),
        RandomForestClassifier(3, random_state=1), RandomForestClassifier(3, random_state=2), KNeighborsClassifier(2),
        GradientBoostingRegressor(n_estimators=2, random_state=1), Own(), Own(2),
    ]  # fmt: skip
    fitted = [clone(one).fit(x, y) for one in made[:-2]]
    otherwise = [clone(one).fit(x, 1 - y) for one in made[:6]]
    assert_all_different([*made, *fitted, *otherwise])
    assert canonical(Own(1)) != canonical(Other(1)) != canonical(Own(2))
    for one, again in zip(fitted[:6], [clone(one).fit(x, y) for one in made[:6]], strict=True):
        assert canonical(one) == canonical(again)
