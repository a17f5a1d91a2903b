"""Sessions of a small web application, without a server: a visit, a login, a logout, and three attacks.

Run it from anywhere:

    python examples/sessions.py
"""

import tempfile
import warnings
from pathlib import Path

from store.sessions import NoSuchSession, Sessions

PASSWORDS = {"ann": "correct horse"}  # a real application keeps slow hashes of them


class Clock:
    """Stands in for `time.time`, so that this program need not wait for an hour."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def visit(sessions: Sessions, cookie: str | None) -> tuple[str, dict]:
    """What each request begins with: the session of the cookie, or a new one where that is worth nothing."""
    data = sessions.load(cookie)
    if cookie is None or data is None:
        return sessions.create({"cart": []}), {"cart": []}
    sessions.touch(cookie)
    return cookie, data


def add_to_cart(sessions: Sessions, cookie: str, thing: str) -> None:
    """Of two requests that come at once, neither loses what the other added."""
    with sessions.edit(cookie) as data:
        data["cart"].append(thing)


def log_in(sessions: Sessions, cookie: str, user: str, password: str) -> str | None:
    """The cookie from now on, or None. Who knows the old one has nothing in hand: that is against fixation."""
    if PASSWORDS.get(user) != password:
        return None
    cookie = sessions.rotate(cookie, user=user)
    if cookie is not None:
        with sessions.edit(cookie) as data:
            data["user"] = user
    return cookie


def shop(sessions: Sessions, clock: Clock) -> str:
    """From the first visit to the login; returns Ann's cookie."""
    guest, data = visit(sessions, None)
    print("a new visitor:", data)
    add_to_cart(sessions, guest, "tea")
    print("wrong password:", log_in(sessions, guest, "ann", "guess"))
    ann = log_in(sessions, guest, "ann", "correct horse")
    assert ann is not None
    print("logged in:", sessions.load(ann))
    print("the old cookie gives:", sessions.load(guest))
    for _ in range(3):
        clock.now += 3000  # each request makes the session last another hour
        visit(sessions, ann)
    print("after 150 minutes of use:", sessions.load(ann))
    return ann


def attack(path: Path, sessions: Sessions, clock: Clock) -> None:
    """What an attacker may try; all of it gives the same answer as no cookie at all."""
    print("a forged cookie gives:", sessions.load("A" * 43))
    (record,) = sessions.records()
    print("what stands in the stolen file gives:", sessions.load(record.name))
    with warnings.catch_warnings():  # somebody's key is not ours; the store warns of such records
        warnings.simplefilter("ignore")
        with Sessions(path, key="the attacker's key", clock=clock) as planted:
            theirs = planted.create({"user": "ann"})
        print("a session planted in the file gives:", sessions.load(theirs), "and is counted:", sessions.rejected)
        sessions.delete(theirs)


def end(sessions: Sessions, clock: Clock, ann: str) -> None:
    """A logout holds, whatever other requests are still at; and time ends the rest."""
    request = sessions.load(ann)
    sessions.delete(ann)
    print("a request that is late by a logout may save:", sessions.save(ann, request))
    try:
        add_to_cart(sessions, ann, "coffee")
    except NoSuchSession as exc:
        print("or edit:", exc)
    for _ in range(2):  # two other browsers
        log_in(sessions, visit(sessions, None)[0], "ann", "correct horse")
    print("ann logs out everywhere:", sessions.by("ann").end(), "sessions ended")
    for _ in range(3):
        visit(sessions, None)
    clock.now += 3600
    print("an hour later:", len(sessions), "alive,", sessions.clear_expired(), "cleared")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path, clock = Path(folder) / "app.db", Clock()
        with Sessions(path, ttl=3600, key="a secret of this application", clock=clock) as sessions:
            ann = shop(sessions, clock)
            attack(path, sessions, clock)
            end(sessions, clock, ann)
