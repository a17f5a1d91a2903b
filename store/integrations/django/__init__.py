"""Django's cache and sessions on a store, by three lines of settings.

    CACHES = {"default": {"BACKEND": "store.integrations.django.cache.StoreCache", "LOCATION": "cache.db"}}
    SESSION_ENGINE = "store.integrations.django.sessions"
    STORE_SESSION_LOCATION = "sessions.db"

`store/integrations/django/README.md` says what they promise.
"""
