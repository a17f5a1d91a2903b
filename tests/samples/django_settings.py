"""Django, set up once for the tests of a process: applications with a database in memory, and no cache or session."""

from __future__ import annotations

from typing import Any

SECRET_KEY = "of-the-tests"


def set_up(**more: Any) -> None:
    """Configures Django, unless a test has already; what differs between tests is set by `override_settings`."""
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            SECRET_KEY=SECRET_KEY,
            ALLOWED_HOSTS=["*"],
            INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            USE_TZ=True,
            **more,
        )
        django.setup()
