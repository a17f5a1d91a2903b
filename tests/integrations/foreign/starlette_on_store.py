"""A pytest plugin for Starlette's own tests of its session middleware: they get ours instead."""

import json
import os
from collections import Counter

from starlette.middleware import sessions

from store.integrations.starlette import StoreSession, StoreSessionMiddleware


class OnStore(StoreSessionMiddleware):
    """As Starlette's, which signs its cookie with a key; ours has nothing to sign."""

    def __init__(self, app, secret_key, **settings):
        super().__init__(app, os.environ["STORE_PLACE"], **settings)


sessions.SessionMiddleware = OnStore
sessions.Session = lambda data=(): StoreSession(None, None, dict(data))
ended = {}


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        ended[report.nodeid.partition("::")[2]] = report.outcome


def pytest_sessionfinish():
    with open("ended.json", "w") as file:
        json.dump({"counted": Counter(ended.values()), "wrong": sorted(t for t, how in ended.items() if how != "passed")}, file)
