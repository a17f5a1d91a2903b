"""A client of a web API that keeps answers in a cache, by resource, and drops those that a change makes old.

Usage: api_client.py FOLDER
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import diskcache
from diskcache import ENOVAL, FanoutCache, memoize_stampede


@dataclass
class Server:
    """The other side, which counts what it is asked."""

    users: dict[int, dict[str, object]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def request(self, path: str, **query: object) -> object:
        self.asked.append(path)
        kind, _, number = path.strip("/").partition("/")
        if kind == "users" and number:
            return self.users.get(int(number))
        if kind == "users":
            return sorted(self.users)[: query.get("limit")]
        return {"path": path, "query": sorted(query.items())}


class Client:
    """Answers are kept for a minute, those about users under the tag "users"."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.cache = FanoutCache(folder, shards=2, timeout=5, statistics=True)

        @self.cache.memoize(name="user", expire=60, tag="users")
        def user(number: int) -> object:
            return self.server.request(f"/users/{number}")

        @self.cache.memoize(name="users", expire=60, tag="users", ignore={"trace"})
        def users(limit: int | None = None, trace: str = "") -> object:
            return self.server.request("/users", limit=limit)

        @self.cache.memoize(name="search", typed=True, expire=60)
        def search(text: object, *, page: int = 1) -> object:
            return self.server.request("/search", text=text, page=page)

        @memoize_stampede(self.cache, expire=600, name="status")
        def status() -> object:
            return self.server.request("/status")

        self.user, self.users, self.search, self.status = user, users, search, status

    def rename(self, number: int, name: str) -> None:
        self.server.users[number]["name"] = name
        print("  dropped", self.cache.evict("users"), "answers about users")

    def flush(self) -> tuple[int, int]:
        self.cache.clear()
        return self.cache.stats(reset=True)


def main(folder: Path) -> None:
    server = Server({number: {"id": number, "name": f"user {number}"} for number in range(1, 6)})
    client = Client(server, folder / "api")
    print("twice the same", client.user(1), client.user(1) == client.user(1))
    print("none is kept too", client.user(99), client.user(99))
    print("lists", client.users(limit=2), client.users(limit=2, trace="b"), client.users())
    print("asked", server.asked)
    client.rename(1, "Ann")
    print("renamed", client.user(1)["name"], "asked", len(server.asked))

    print("typed", client.search(1), client.search(1.0), client.search("1", page=2))
    print("again", client.search(1)["query"], "asked", len(server.asked))
    key = client.search.__cache_key__("1", page=2)
    print("key", key, "is kept:", key in client.cache, client.cache[key]["path"])
    print("status", client.status(), client.status() == client.cache[client.status.__cache_key__()][0])

    value, tag = client.cache.get(client.user.__cache_key__(1), tag=True)
    print("tag", tag, "value", value["name"])
    print("touch", client.cache.touch(client.user.__cache_key__(1), expire=600), client.cache.touch("no"))
    print("missing", client.cache.get("no", default=ENOVAL) is ENOVAL)
    client.cache.close()

    with diskcache.FanoutCache(folder / "api", shards=2) as other:
        print("another process would find", len(other), "answers, among them", other["user", 1, None]["name"])
        print("popped", other.pop(("user", 1, None))["name"], other.pop(("user", 1, None)))
    hits, misses = client.flush()
    print("hits", hits, "misses", misses, "asked", len(server.asked), "left", len(client.cache))
    client.cache.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
