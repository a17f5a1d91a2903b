"""The pages of the shop, as JSON."""

from django.contrib.auth import authenticate, login, logout
from django.contrib.auth.decorators import login_required
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.views.decorators.http import require_POST

PRICES = {"tea": 3, "cups": 4, "pot": 20}


def home(request: HttpRequest) -> JsonResponse:
    """Who is logged in, and what is in the cart."""
    get_token(request)  # sets the cookie that a browser sends back in the header X-CSRFToken
    return JsonResponse({"user": request.user.get_username(), "cart": request.session.get("cart", [])})


@require_POST
def log_in(request: HttpRequest) -> HttpResponse:
    user = authenticate(request, username=request.POST.get("user"), password=request.POST.get("password"))
    if user is None:
        return HttpResponse("wrong name or password", status=403)
    login(request, user)  # gives the session a new key; the cart stays
    return HttpResponse("welcome")


@require_POST
def add_to_cart(request: HttpRequest) -> HttpResponse:
    with request.session.edit() as data:  # one step: two clicks at once lose nothing
        data.setdefault("cart", []).append(request.POST["item"])
    cache.add("sold", 0, timeout=None)
    cache.incr("sold")
    return HttpResponse("added")


def bestsellers(request: HttpRequest) -> JsonResponse:
    """Is computed once a minute, by one process while the others wait."""
    return JsonResponse(cache.get_or_set("bestsellers", lambda: {"items": sorted(PRICES)}, 60))


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse("bye")


@require_POST
@login_required
def log_out_everywhere(request: HttpRequest) -> HttpResponse:
    ended = request.session.end_all(request.user)
    logout(request)
    return HttpResponse(f"logged out {ended} times")
