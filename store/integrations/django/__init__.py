"""Django's cache and sessions on a store; see `README.md` in this folder.

    CACHES = {"default": {"BACKEND": "store.integrations.django.cache.StoreCache", "LOCATION": "cache.db"}}
    SESSION_ENGINE = "store.integrations.django.sessions"
    STORE_SESSION_LOCATION = "sessions.db"
"""
