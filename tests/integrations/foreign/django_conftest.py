"""The `conftest.py` of a folder with Django's own tests: its settings and tables, and how each test ended."""

import json
import os
from collections import Counter

import django
from django.conf import settings

PLACE = os.environ["STORE_PLACE"]

settings.configure(
    SECRET_KEY="of-the-tests",
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.sessions", "cache", "sessions_tests"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    USE_TZ=False,
    STORE_SESSION_LOCATION=PLACE if "://" in PLACE else f"{PLACE}.sessions.db",
)
django.setup()

from django.core.management import call_command  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402

setup_test_environment()
call_command("migrate", run_syncdb=True, verbosity=0)

ended = {}


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        failed = report.failed or ended.get(report.nodeid) == "failed"  # a subtest is reported beside its test
        ended[report.nodeid] = "failed" if failed else report.outcome


def pytest_sessionfinish():
    counted = Counter(f"{node.split('::')[1]} {how}" for node, how in ended.items())
    wrong = sorted(node.partition("::")[2] for node, how in ended.items() if how != "passed")
    with open("ended.json", "w") as file:
        json.dump({"counted": counted, "wrong": wrong}, file)
