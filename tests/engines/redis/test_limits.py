"""What the engine refuses says what to do instead, and doing it works."""

from __future__ import annotations

import pytest

from store import Store, errors


def test_all_as_of_one_moment_may_be_read_page_by_page(redis_url: str) -> None:
    with Store[int](redis_url) as s:
        s["a"] = 1
        with pytest.raises(errors.Unsupported, match=r"take a `dict\(\)` of the store"):
            s == {"a": 1}  # noqa: B015
        with pytest.raises(errors.Unsupported, match=r"take a `dict\(\)` of the store"):
            s | {"b": 2}
        assert dict(s) == {"a": 1}


def test_transaction_over_two_namespaces_names_the_way_out(redis_url: str) -> None:
    with Store[int](redis_url, namespace="a") as s, Store[int](redis_url, namespace="b") as other:
        with pytest.raises(errors.Unsupported, match="keep records that change together in one namespace"):
            with s.transaction():
                s["x"], other["x"] = 1, 1
        assert "x" not in s and "x" not in other
