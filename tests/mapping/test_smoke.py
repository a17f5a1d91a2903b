from store import Store


def test_store_round_trip(place):
    with Store(place) as s:
        s["a"] = {"x": 1}
        assert s["a"] == {"x": 1}
