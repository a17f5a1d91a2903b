"""The settings of the shop. The three lines under "Sessions and cache" are all that the store needs."""

import os
from pathlib import Path

DATA = Path(os.environ.get("SHOP_DATA", Path(__file__).parents[1]))

# Sessions and cache. A URL in place of a path keeps them on a server: "postgresql://…".
SESSION_ENGINE = "store.integrations.django.sessions"
STORE_SESSION_LOCATION = os.environ.get("SHOP_SESSIONS", DATA / "sessions.db")
CACHES = {"default": {"BACKEND": "store.integrations.django.cache.StoreCache", "LOCATION": DATA / "cache.db"}}

SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "set SHOP_SECRET_KEY to a secret of your own")
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA / "users.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
