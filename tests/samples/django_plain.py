"""An application of Django with sessions and a cache on a store, and no database: `gunicorn django_plain`.

Both are opened while it is imported: with `--preload` that is before the fork, and before gevent patches the locks.
"""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

settings.configure(
    SECRET_KEY="of-the-tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="store.integrations.django.sessions",
    STORE_SESSION_LOCATION=os.environ["SHOP_SESSIONS"],
    CACHES={
        "default": {
            "BACKEND": "store.integrations.django.cache.StoreCache",
            "LOCATION": Path(os.environ["SHOP_DATA"]) / "cache.db",
        }
    },
)

from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.cache import cache  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402

from store.integrations.django.sessions import sessions  # noqa: E402


def home(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"cart": request.session.get("cart", []), "sold": cache.get("sold")})


def add(request: HttpRequest) -> HttpResponse:
    with request.session.edit() as data:
        data.setdefault("cart", []).append(request.POST["item"])
    cache.incr("sold")
    return HttpResponse("added")


async def add_async(request: HttpRequest) -> HttpResponse:
    await request.session.amodify(lambda data: data.setdefault("cart", []).append(request.POST["item"]))
    await request.session.aset(request.POST["item"], await cache.aincr("sold"))
    return HttpResponse("added")


urlpatterns = [path("", home), path("cart", add), path("async-cart", add_async)]
application = get_wsgi_application()
asgi = get_asgi_application()
sessions().create({})
cache.set("sold", 0, timeout=None)
