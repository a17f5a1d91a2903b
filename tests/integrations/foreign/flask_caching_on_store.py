"""Flask-Caching's own tests of backends, on `StoreCache`: a module of its test folder."""

import os
from itertools import count

import cachelib.simple
import flask
import flask_caching
import pytest
import test_backend_cache
from test_basic_app import *  # noqa: F403
from test_cache import *  # noqa: F403
from test_memoize import *  # noqa: F403
from test_templates import *  # noqa: F403
from test_view import *  # noqa: F403

from store.integrations.cachelib import StoreCache

numbers = count()


def options():
    """Each cache is one of its own; it goes by the clock that these tests move."""
    return {
        "location": os.environ["STORE_PLACE"], "namespace": f"cache {next(numbers)}",
        "clock": lambda: cachelib.simple.time(),  # noqa: PLW0108
    }  # fmt: skip


@pytest.fixture
def app(request):
    app = flask.Flask(__name__, template_folder=os.path.dirname(__file__))
    app.testing = True
    app.config["CACHE_TYPE"] = "store.integrations.cachelib.StoreCache"
    app.config["CACHE_OPTIONS"] = options()
    yield app
    for cache in app.extensions.get("cache", {}).values():
        if isinstance(cache, StoreCache):
            cache.close()


@pytest.fixture
def cache(app):
    return flask_caching.Cache(app)


class TestBackend(test_backend_cache.GenericCacheTests):
    @pytest.fixture
    def make_cache(self):
        opened = StoreCache(**options())
        yield lambda: opened
        opened.close()
