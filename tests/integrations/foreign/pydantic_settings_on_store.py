"""A pytest plugin for the own tests of pydantic-settings: what its sources of files would read comes from a store."""

import json
import os
import tempfile
from collections import Counter

import pydantic_settings

from store import Store
from store.integrations.pydantic_settings import StoreSettingsSource


def on_store(original):
    """A source that is made as `original`, whose files are put into a store, where there are any."""

    class OnStore(StoreSettingsSource):
        def __init__(self, settings_cls, *args, **kwargs):
            place = os.path.join(tempfile.mkdtemp(), "app.db")
            super().__init__(settings_cls, place)
            if found := original(settings_cls, *args, **kwargs)():
                with Store(place, namespace="settings", codec="json") as s:
                    s.update(found)

    return OnStore


for name in ("JsonConfigSettingsSource", "TomlConfigSettingsSource"):
    setattr(pydantic_settings, name, on_store(getattr(pydantic_settings, name)))
ended = {}


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        ended[report.nodeid.partition("::")[2]] = report.outcome


def pytest_sessionfinish():
    with open("ended.json", "w") as file:
        json.dump({"counted": Counter(ended.values()), "wrong": sorted(t for t, how in ended.items() if how != "passed")}, file)
