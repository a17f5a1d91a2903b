"""What every engine does."""

from __future__ import annotations

import math
import threading

import pytest
from sealed_rows import KEY, NOW, all_of, body, names, row, stamp

from store.engines.contract import ABSENT, ANY, Applied, Delete, Engine, Fields, Order, Put
from store.errors import Conflict, StoreClosed
from store.rows.row import Total

pytestmark = pytest.mark.damaged  # the rows bear seals that no key made


class TestReading:
    def test_identity_is_the_same_for_all_handles(self, engine, second):
        assert len(engine.id) == 16 and engine.id == second.id
        assert (engine.location, engine.kind) == (second.location, second.kind)

    def test_get_gives_what_is_there(self, engine):
        engine.apply("", [row("a"), row("b", b"2")])
        assert {name: found.body for name, found in engine.get("", ["b", "no", "a"]).items()} == {
            "a": b"1",
            "b": b"2",
        }
        assert engine.get("", []) == {} == engine.get("other", ["a"])

    def test_get_of_many(self, engine):
        engine.apply("", [row(str(number)) for number in range(1200)])
        assert len(engine.get("", [str(number) for number in range(0, 2400, 2)])) == 600

    def test_every_column_comes_back(self, engine):
        given = row("a", b"\0\xff" * 5, namespace="näme", expires=NOW + 0.1)
        engine.put(given)
        found = engine.get("näme", ["a"])["a"]
        assert found._replace(id=None) == given and found.has_types()

    @pytest.mark.parametrize("expires", [NOW + 0.1, math.nextafter(NOW, 0), 1e-300, 1.7976931348623157e308])
    def test_expiry_is_kept_bit_for_bit(self, engine, expires):
        engine.put(row("a", expires=expires, at=0.0))
        assert engine.get("", ["a"])["a"].expires == expires

    def test_fields(self, engine):
        engine.put(row("a", b"12345", expires=NOW + 9))
        found = engine.get("", ["a"])["a"]
        assert engine.get("", ["a"], Fields.HEADER)["a"] == found.header()
        assert engine.get("", ["a"], Fields.MARK)["a"] == found.mark()
        assert engine.get("", ["a"], Fields.LISTED)["a"][:2] == ("a", NOW + 9)
        assert engine.get("", ["a"], Fields.SEALED)["a"]._replace(id=found.id) == found.sealed()
        assert engine.get("", ["a", "b"], Fields.SEALED) == {"a": found.sealed()}
        (scanned,) = engine.scan("", Order.INSERTED, fields=Fields.SEALED).items
        assert scanned == found.sealed()
        assert found.header().size == 5
        for fields in Fields:
            assert names(engine, fields=fields) == names(engine, Order.NAME, fields=fields) == ["a"]

    def test_expired_rows_come_back(self, engine):
        engine.apply("", [row("gone", expires=NOW - 5, at=NOW - 9), row("kept")])
        assert body(engine, "gone") == b"1"
        assert names(engine) == ["gone", "kept"] == sorted(names(engine, Order.NAME))

    def test_namespaces(self, engine):
        for namespace in ("b", "a", "gone", "é", ""):
            engine.put(row("x", namespace=namespace, expires=NOW - 1 if namespace == "gone" else None, at=NOW - 2))
        assert engine.namespaces(NOW) == ["", "a", "b", "é"]
        assert engine.namespaces(NOW, after="a") == ["b", "é"]
        assert engine.namespaces(NOW, after="", limit=1) == ["a"]
        assert engine.namespaces(NOW, limit=3) == ["", "a", "b"]
        assert engine.namespaces(NOW, after="aa", limit=1) == ["b"] and engine.namespaces(NOW, after="é", limit=9) == []
        engine.clear("a")
        assert "a" not in engine.namespaces(NOW) and body(engine, "x", "b")

    def test_count_and_until_when_it_holds(self, engine):
        assert engine.count("", NOW) == (0, math.inf)
        engine.apply(
            "", [row("a"), row("b", expires=NOW + 5), row("c", expires=NOW + 9), row("d", namespace="other")]
        )
        assert engine.count("", NOW) == (3, NOW + 5)
        assert engine.count("", NOW + 5) == (2, NOW + 9)
        assert engine.count("", NOW + 10) == (1, math.inf)

    def test_totals(self, engine):
        engine.apply("", [row("a", b"123"), row("b", b"45"), row("c", expires=NOW - 1, at=NOW - 2)])
        assert list(engine.totals("", NOW)) == [Total("json", 1, 2, 5, 0, 0)]
        assert engine.usage().data_bytes >= 0

    def test_sealers(self, engine):
        engine.add_sealer(KEY)
        engine.add_sealer(KEY)
        assert engine.sealers() == {KEY}


class TestOrder:
    def test_of_insertion_is_kept_on_overwrite(self, engine):
        engine.apply("", [row("c"), row("a"), row("b")])
        engine.put(row("c", b"new"))
        assert names(engine) == ["c", "a", "b"]
        assert names(engine, reverse=True) == ["b", "a", "c"]
        engine.apply("", [Delete("c"), row("c")])
        assert names(engine) == ["a", "b", "c"]

    def test_what_had_expired_comes_back_at_the_end(self, engine):
        engine.apply("", [row("a", expires=NOW + 1), row("b")])
        engine.put(row("a", b"new", at=NOW + 2))
        found = engine.get("", ["a"])["a"]
        assert names(engine) == ["b", "a"] and (found.revision, found.created) == (1, NOW + 2)

    def test_by_name_is_that_of_code_points(self, engine):
        given = ["b", "a", "é", "z", "\U0001f600", "", "A", "￿"]
        engine.apply("", [row(name) for name in given])
        assert names(engine, Order.NAME) == sorted(given)
        assert names(engine, Order.NAME, reverse=True) == sorted(given, reverse=True)

    def test_prefix_and_after(self, engine):
        given = ["x", "ab", "aa", "abc", "b", "a", "ab\U0010ffff"]
        engine.apply("", [row(name) for name in given])
        expected = sorted(name for name in given if name.startswith("ab"))
        for limit in (1, 2, 100):
            assert names(engine, Order.NAME, prefix="ab", limit=limit) == expected
            assert names(engine, Order.NAME, prefix="ab", limit=limit, reverse=True) == expected[::-1]
        assert names(engine, Order.NAME, after="aba") == ["abc", "ab\U0010ffff", "b", "x"]
        assert names(engine, Order.NAME, after="aba", reverse=True) == ["ab", "aa", "a"]

    @pytest.mark.parametrize("order", [Order.INSERTED, Order.NAME])
    @pytest.mark.parametrize("reverse", [False, True])
    @pytest.mark.parametrize("limit", [1, 7, 256])
    def test_pages(self, engine, order, reverse, limit):
        engine.apply("", [row(f"{number:03}") for number in range(0, 300, 2)])
        engine.apply("other", [row("other", namespace="other")])
        whole = [f"{number:03}" for number in range(0, 300, 2)]
        assert names(engine, order, reverse=reverse, limit=limit) == (whole[::-1] if reverse else whole)
        assert len(engine.scan("", order, limit=limit).items) <= limit

    @pytest.mark.parametrize("fields", [Fields.ROW, Fields.SEALED, Fields.HEADER])
    def test_pages_of_large_bodies(self, engine, fields):
        """They may end early, and a page of 256 rows of 1 MiB would be too large."""
        whole = [f"{number:02}" for number in range(12)]
        for name in whole:
            engine.put(row(name, bytes(1_000_000), expires=NOW))
        for order in (Order.INSERTED, Order.NAME):
            assert names(engine, order, fields=fields) == whole
            assert names(engine, order, fields=fields, reverse=True, limit=5) == whole[::-1]
        for namespace in ("", None):
            assert names(engine, Order.EXPIRY, namespace=namespace, fields=fields) == whole
        assert names(engine, namespace=None, fields=fields) == whole

    @pytest.mark.parametrize("order", [Order.INSERTED, Order.NAME])
    @pytest.mark.parametrize("reverse", [False, True])
    def test_cursor_outlives_the_row_it_came_from(self, engine, order, reverse):
        engine.apply("", [row(name) for name in "abcdef"])
        page = engine.scan("", order, limit=3, reverse=reverse)
        engine.apply("", [Delete(item.name) for item in page.items])
        rest = [item.name for item in engine.scan("", order, after=page.next, reverse=reverse).items]
        assert rest == (list("cba") if reverse else list("def"))

    def test_end_bounds_an_iteration(self, engine):
        engine.apply("", [row("a"), row("b")])
        end = engine.end("")
        engine.apply("", [row("c"), Delete("b")])
        assert names(engine, until=end) == ["a"] == names(engine, until=end, reverse=True)
        engine.clear("")
        assert names(engine, until=engine.end("")) == []

    def test_by_expiry(self, engine):
        rows = {"late": NOW + 9, "soon": NOW + 1, "never": None, "gone": NOW - 3, "too": NOW - 1}
        engine.apply("", [row(name, expires=expires, at=NOW - 9) for name, expires in rows.items()])
        assert names(engine, Order.EXPIRY, until=NOW) == ["gone", "too"]
        assert names(engine, Order.EXPIRY, limit=1) == ["gone", "too", "soon", "late"]
        engine.apply("", [Delete("gone")])
        assert names(engine, Order.EXPIRY, until=NOW + 5, limit=1) == ["too", "soon"]

    def test_by_expiry_of_all_namespaces(self, engine):
        expected = set()
        for number in range(30):
            namespace = f"n{number % 7}"
            engine.put(
                row(str(number), namespace=namespace, expires=NOW - number % 3 if number % 3 else NOW + 9, at=NOW - 9)
            )
            if number % 3:
                expected.add((namespace, str(number)))
        for limit in (1, 4, 100):
            found = all_of(engine, None, Order.EXPIRY, until=NOW, limit=limit)
            assert {(one.namespace, one.name) for one in found} == expected and len(found) == len(expected)

    def test_of_all_namespaces(self, engine):
        engine.apply("", [row("a"), row("b", namespace="x"), row("c")])
        assert names(engine, namespace=None) == ["a", "b", "c"] == names(engine, namespace=None, limit=1)


class TestWriting:
    def test_overwriting_keeps_created_and_counts_revisions(self, engine):
        engine.put(row("a"))
        engine.put(row("a", b"2", at=NOW + 5))
        found = engine.get("", ["a"])["a"]
        assert (found.revision, found.created, found.modified, found.body) == (2, NOW, NOW + 5, b"2")

    def test_modified_is_never_before_created(self, engine):
        engine.put(row("a"))
        engine.put(row("a", b"2", at=NOW - 5))
        assert engine.get("", ["a"])["a"].modified == NOW

    def test_apply_is_one_step(self, engine):
        engine.apply("", [row("a"), row("b")])
        for failing in (
            Put(row("a"), ABSENT),
            Put(row("new"), stamp(engine, "a")),
            Delete("b", "9-00"),
            Delete("no", "1-0"),
        ):
            with pytest.raises(Conflict) as caught:
                engine.apply("", [row("x"), Delete("a"), row("b", b"2"), row("a"), failing])
            assert caught.value.name in ("a", "new", "b", "no")
        assert names(engine) == ["a", "b"] and body(engine, "b") == b"1" and engine.get("", ["a"])["a"].revision == 1

    def test_changes_come_one_after_the_other(self, engine):
        done = engine.apply("", [row("a"), Delete("a"), Delete("a"), Put(row("a", b"2"), ABSENT), row("a", b"3")])
        found = engine.get("", ["a"])["a"]
        assert (done.deleted, found.body, found.revision) == (1, b"3", 2)

    def test_stamps(self, engine):
        done = engine.apply("", [row("a"), row("b"), row("a", b"2")], stamps=True)
        assert done == Applied(0, [row("a").stamp, stamp(engine, "b"), stamp(engine, "a")])
        assert engine.apply("", [row("a")]).stamps == []

    def test_expectations(self, engine):
        engine.apply("", [Put(row("a"), ABSENT)])
        first = stamp(engine, "a")
        engine.apply("", [Put(row("a", b"2"), first)])
        with pytest.raises(Conflict):
            engine.apply("", [Put(row("a", b"3"), first)])
        engine.apply("", [Put(row("a", b"4"), ANY), Delete("no", ANY)])
        with pytest.raises(Conflict):
            engine.apply("", [Delete("a", first)])
        assert engine.apply("", [Delete("a", stamp(engine, "a"))]).deleted == 1

    def test_stamps_differ_under_a_clock_that_stands_still(self, engine):
        """Row ids, times and revisions come again: what was deleted and written anew is another record."""
        seen = set()
        for content in (b"1", b"2", b"3"):
            engine.apply("", [row("a", content)])
            seen.add(stamp(engine, "a"))
            engine.apply("", [Delete("a")])
        assert len(seen) == 3
        engine.apply("", [row("a", b"1"), row("a", b"1")])
        seen.add(stamp(engine, "a"))
        engine.put(row("a", b"1", expires=NOW + 9))
        seen.add(stamp(engine, "a"))
        assert len(seen) == 5

    def test_one_that_has_expired_counts_as_absent_when_it_is_replaced(self, engine):
        engine.put(row("a", expires=NOW + 1))
        before = stamp(engine, "a")
        with pytest.raises(Conflict):
            engine.apply("", [Put(row("a", b"2"), ABSENT)])
        with pytest.raises(Conflict):
            engine.apply("", [Put(row("a", b"2", at=NOW + 2), before)])
        engine.apply("", [Put(row("a", b"2", at=NOW + 2), ABSENT)])
        assert body(engine, "a") == b"2"

    def test_deleting_one_that_has_expired(self, engine):
        engine.put(row("a", expires=NOW - 1, at=NOW - 2))
        assert engine.apply("", [Delete("a", stamp(engine, "a"))]).deleted == 1
        assert engine.apply("", [Delete("a")]).deleted == 0

    def test_deleting_only_one_that_has_not_expired(self, engine):
        engine.apply("", [row("a", expires=NOW + 1), row("b")])
        assert engine.apply("", [Delete("a", now=NOW + 1)]).deleted == 0
        assert engine.apply("", [Delete("a", stamp(engine, "a"), now=NOW), Delete("b", now=NOW)]).deleted == 2

    def test_many_deletes(self, engine):
        engine.apply("", [row(str(number)) for number in range(300)])
        stamps = {item.name: item.stamp for item in all_of(engine, fields=Fields.HEADER)}
        assert engine.apply("", [Delete(name, stamp) for name, stamp in stamps.items() if name != "7"]).deleted == 299
        engine.apply("", [row("8")])
        with pytest.raises(Conflict):
            engine.apply("", [Delete("8", stamp(engine, "8")), Delete("7", "1-")])
        assert names(engine) == ["7", "8"]

    def test_load_keeps_all_as_it_is(self, engine):
        engine.put(row("first"))
        rows = [row(name, at=NOW - 5)._replace(revision=7, modified=NOW - 2, crc=5) for name in "cab"]
        engine.load([*rows, row("gone", expires=NOW - 3)])
        assert [found._replace(id=None) for found in all_of(engine)][1:4] == rows
        assert names(engine) == ["first", "c", "a", "b", "gone"]

    def test_load_over_a_record_keeps_its_place(self, engine):
        engine.apply("", [row("a"), row("b"), row("a", namespace="other")])
        new = row("a", b"new", at=NOW - 9)._replace(revision=7, codec="json", modified=NOW - 3, expires=NOW + 5)
        engine.load([row("c"), new])
        assert names(engine) == ["a", "b", "c"] and body(engine, "a", "other") == b"1"
        assert engine.get("", ["a"])["a"]._replace(id=None) == new

    def test_clear(self, engine):
        engine.apply("", [row("a"), row("b", expires=NOW - 1), row("kept", namespace="other")])
        engine.clear("")
        assert names(engine) == [] and names(engine, namespace="other") == ["kept"]
        engine.put(row("a"))
        assert engine.get("", ["a"])["a"].revision == 1


class TestHandles:
    def test_see_one_another(self, engine, second):
        engine.put(row("a"))
        assert body(second, "a") == b"1"
        second.apply("", [Put(row("a", b"2"), stamp(engine, "a"))])
        assert body(engine, "a") == b"2"

    def test_one_that_is_closed(self, engine: Engine):
        other = engine.share()
        other.close()
        other.close()
        for call in (
            lambda: other.get("", ["a"]),
            lambda: other.put(row("a")),
            lambda: other.count("", NOW),
            other.share,
        ):
            with pytest.raises(StoreClosed):
                call()
        engine.put(row("a"))

    def test_threads_lose_no_write_with_expectations(self, engine):
        engine.put(row("n", b"0"))

        def count() -> None:
            done = 0
            while done < 25:
                before = engine.get("", ["n"])["n"]
                try:
                    engine.apply("", [Put(row("n", b"%d" % (int(before.body) + 1)), before.stamp)])
                    done += 1
                except Conflict:
                    pass

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert body(engine, "n") == b"100"
