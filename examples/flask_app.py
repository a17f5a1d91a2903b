"""A small shop in Flask: sessions on a store, which all processes of the server share.

SHOP says where: a file, or for several machines 'postgresql://user@host/database' or 'redis://host' (a cluster too).

Run it from anywhere, with one process or with several:

    python examples/flask_app.py
    gunicorn --workers 3 --preload --chdir examples flask_app:app

and be its client:

    curl -c jar -b jar -X POST localhost:8000/cart/tea
    curl -c jar -b jar -d user=ann -d "password=correct horse" localhost:8000/login
"""

import os
from typing import Any

from flask import Flask, abort, flash, get_flashed_messages, request, session

from store.integrations.flask import StoreSessionInterface

PASSWORDS = {"ann": "correct horse"}  # a real application keeps slow hashes of them

app = Flask(__name__)
app.session_interface = sessions = StoreSessionInterface(os.environ.get("SHOP", "shop.db"))


@app.get("/")
def show() -> dict[str, Any]:
    """What the visitor's session has."""
    return {"user": session.get("user"), "cart": session.get("cart", {}), "messages": get_flashed_messages()}


@app.post("/cart/<thing>")
def add(thing: str) -> dict[str, Any]:
    """One more of it. Changes of requests at once are merged without this; counting takes one atomic step."""
    with sessions.edit(session) as data:
        cart = data.setdefault("cart", {})
        cart[thing] = cart.get(thing, 0) + 1
    return {"cart": session["cart"]}


@app.post("/login")
def log_in() -> dict[str, Any]:
    """The session gets a new id, and is this user's: an id that somebody slipped them before is worth nothing."""
    user = request.form.get("user", "")
    if PASSWORDS.get(user) != request.form.get("password"):
        abort(403)
    sessions.regenerate(session, user)
    session["user"] = user
    flash(f"Welcome, {user}")
    return {"user": user}


@app.post("/logout")
def log_out() -> dict[str, Any]:
    """Ends this session."""
    session.clear()
    return {"ended": 1}


@app.post("/logout/everywhere")
def log_out_everywhere() -> dict[str, Any]:
    """Ends all sessions of the user, in other browsers too."""
    if "user" not in session:
        abort(403)
    return {"ended": sessions.sessions.by(session["user"]).end()}


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8000")))
