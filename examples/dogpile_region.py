"""A region of dogpile.cache on a store: cached functions, and one creator of a value among all processes.

Run it from anywhere, once `pip install 'sealed-store[dogpile]'` is done:

    python examples/dogpile_region.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from dogpile.cache import CacheRegion, make_region, register_backend

# The installed package has the name "store" already; this line is for a copy that is not installed.
register_backend("store", "store.integrations.dogpile", "StoreBackend")

OTHER = """
import sys
from dogpile.cache import make_region, register_backend

register_backend("store", "store.integrations.dogpile", "StoreBackend")
region = make_region().configure("store", arguments={"location": sys.argv[1]})
print("another process:", region.get("report"))
region.backend.close()
"""


def functions(region: CacheRegion) -> None:
    """Results by argument, until they are invalidated."""

    @region.cache_on_arguments()
    def price(article: str) -> str:
        print("looking up", article)
        return f"{article}: 3 euros"

    print([price("tea"), price("tea"), price("cups")])
    price.invalidate("tea")
    print("after invalidate:", price("tea"))


def shared(region: CacheRegion, place: Path) -> None:
    """With `distributed_lock`, other processes would wait for this creator, and take its value."""
    print("created:", region.get_or_create("report", lambda: {"sales": 42}))
    subprocess.run([sys.executable, "-c", OTHER, place], check=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "cache.db")
        region = make_region().configure(
            "store",
            expiration_time=3600,
            arguments={"location": place, "distributed_lock": True, "max_bytes": 2**30},
        )
        functions(region)
        sys.stdout.flush()
        shared(region, place)
        region.backend.close()


if __name__ == "__main__":
    main()
