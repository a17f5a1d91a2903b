"""Django's own tests of a cache and of sessions, on a store: a test file for the folder that they are unpacked in."""

from __future__ import annotations

import os

from cache.tests import BaseCacheTests, caches_setting_for_tests
from django.contrib.sessions.backends.cache import SessionStore as CacheSession
from django.test import TestCase, override_settings
from sessions_tests import tests as of_sessions

from store.integrations.django.sessions import SessionStore

CACHES = caches_setting_for_tests(
    BACKEND="store.integrations.django.cache.StoreCache", LOCATION=os.environ["STORE_PLACE"]
)


@override_settings(CACHES=CACHES)
class StoreCacheTests(BaseCacheTests, TestCase):
    pass


@override_settings(CACHES=CACHES)
class SessionsInTheCacheTests(of_sessions.SessionTestsMixin, TestCase):
    backend = CacheSession


@override_settings(SESSION_ENGINE="store.integrations.django.sessions")
class StoreSessionTests(of_sessions.SessionTestsMixin, TestCase):
    backend = SessionStore


@override_settings(SESSION_ENGINE="store.integrations.django.sessions")
class MiddlewareTests(of_sessions.SessionMiddlewareTests):
    test_empty_session_saved = None  # it looks for the session in Django's own table
