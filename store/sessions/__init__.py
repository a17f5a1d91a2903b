"""Sessions: what a web application keeps for each visitor, under an id that only the visitor has.

    from store.sessions import Sessions

    with Sessions("app.db", ttl=3600) as sessions:
        id = sessions.create({"user": "ann"})      # goes into the visitor's cookie, and nowhere else
        data = sessions.load(id)                   # {"user": "ann"}, or None
        with sessions.edit(id) as data:            # one atomic step between threads and processes
            data["cart"] = ["tea"]
        id = sessions.rotate(id, user="ann")       # at each login: a new id, the old one is dead
        sessions.delete(id)                        # logout
        sessions.by("ann").end()                   # logout everywhere

An id is 256 random bits as 43 characters, and a tag of the user where one is named. The file holds a hash of it,
so a stolen file gives nobody a session; no error, warning, log or `repr` has an id in it. An id that is forged,
malformed, expired, deleted or of another file is simply absent: all of them are hashed, looked up and answered alike.
The hash is looked up by an index, so the time that it takes reveals nothing about any id.
"""

from store.opened.sentinels import UNSET
from store.sessions.options import FOREVER, Lifetime
from store.sessions.records import NoSuchSession
from store.sessions.sessions import TWO_WEEKS, Sessions
from store.sessions.sessions import reopened as _reopened  # by which earlier releases pickled
from store.sessions.users import UserSessions

__all__ = ["FOREVER", "TWO_WEEKS", "UNSET", "Lifetime", "NoSuchSession", "Sessions", "UserSessions", "_reopened"]
