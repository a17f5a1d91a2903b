"""The URL of a store on Redis."""

from __future__ import annotations

import pytest

pytest.importorskip("redis", reason="redis-py is not installed: the engine on Redis was not tested")


from store.engines.redis.location import parse, shown
from store.engines.redis.nodes import Single


def test_parts_of_a_url():
    location = parse("redis://app:s%40fe@db.example:6380/3?prefix=app:&replicas=2&socket_keepalive=true")
    assert location.urls == ("redis://app:s%40fe@db.example:6380/3?socket_keepalive=true",)
    assert (location.prefix, location.replicas) == ("app:", 2)


def test_defaults():
    location = parse("redis://")
    assert location.urls == ("redis://localhost/",) and location.prefix == "store:" and location.replicas is None


@pytest.mark.parametrize(
    ("url", "driver"),
    [("valkey://h/0", "redis://h/0"), ("valkeys://h/0", "rediss://h/0"), ("rediss://h/0", "rediss://h/0")],
)
def test_schemes(url, driver):
    assert parse(url).urls == (driver,)


def test_several_nodes_have_the_same_user():
    assert parse("redis://u:p@a:1,b:2/").urls == ("redis://u:p@a:1/", "redis://u:p@b:2/")


def test_the_last_of_two_prefixes_counts():
    assert parse("redis://h/0?prefix=a:&prefix=b:").prefix == "b:"


@pytest.mark.parametrize("url", ["redis://u:secret@h/0?prefix=x:", "redis://:secret@h/0?password=secret&prefix=x:"])
def test_password_is_not_shown(url):
    assert "secret" not in shown(url) and "secret" not in repr(parse(url)) and shown(url).endswith("h/0?prefix=x:")


@pytest.mark.parametrize(
    "url",
    [
        "redis://h/zero", "redis://h/0?prefix=a{b", "redis://h/0?prefix=", "redis://h/0?replicas=two", "redis://h/0#x",
        "redis://u:p@ss@h/0", "redis://h:port/0", "http://h/0",
    ],
)  # fmt: skip
def test_wrong_url_is_refused_without_its_password(url):
    with pytest.raises(ValueError) as raised:
        parse(url.replace("//h", "//u:secret@h"))
    assert "secret" not in str(raised.value)


def test_the_host_that_is_meant_is_shown():
    assert shown("redis://") == "redis://localhost" and shown("redis://:secret@/0") == "redis://localhost/0"


@pytest.mark.parametrize("ours", ["decode_responses=True", "protocol=3", "retry_on_timeout=yes"])
def test_parameters_that_the_engine_sets_itself_are_refused(ours):
    with pytest.raises(ValueError, match=rf"{ours.partition('=')[0]}= in the URL: the engine.*leave it out"):
        parse(f"redis://h/0?{ours}")


@pytest.mark.parametrize(
    "wrong",
    ["redis://h/0?colour=red", "redis://h/0?ssl_ca_certs=x", "redis://h/0?socket_timeout=soon", "redis://h:99999"],
)
def test_parameters_that_the_driver_does_not_know_are_refused_with_those_there_are(wrong):
    with pytest.raises(ValueError, match="prefix=, replicas= and those of redis-py's"):
        Single(parse(wrong))
