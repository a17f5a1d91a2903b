"""The primary is killed under load: nothing that was acknowledged is lost, nothing is done twice."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from patroni_cluster import PatroniCluster, patroni
from postgres_cluster import Cluster, replicating

from .failover import Failovers, fail_over


@pytest.fixture
def found() -> Path:
    place = replicating()
    if place is None:
        pytest.skip("FAILOVER CANNOT BE TRIED HERE: no PostgreSQL server is installed, or no psycopg")
    return place


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(3, marks=[pytest.mark.heavy, pytest.mark.timeout(300)]),
        pytest.param(20, marks=[pytest.mark.huge, pytest.mark.timeout(1200)]),
    ],
)
def test_primary_is_killed_under_load(tmp_path: Path, found: Path, kills: int) -> None:
    check(fail_over(Random(kills), kills, tmp_path, lambda place: Cluster(place, found)), kills)


@pytest.mark.huge
@pytest.mark.timeout(1200)
def test_patroni_promotes_by_itself(tmp_path: Path) -> None:
    programs = patroni()
    if programs is None:
        pytest.skip("PATRONI CANNOT BE TRIED HERE: apt-get install postgresql patroni etcd-server")
    check(fail_over(Random(3), 3, tmp_path, lambda place: PatroniCluster(place, programs)), 3)


def check(done: Failovers, kills: int) -> None:
    print(f"{done.kills} kills, {done.rewound} rejoined by pg_rewind, {dict(done.told)}, longest write {done.longest:.1f} s")
    assert done.failures == []
    assert done.kills == kills
    assert done.told["acknowledged"] > kills * 100
