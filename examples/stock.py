"""The stock of a small shop that several processes sell from: the same program on a file and on a server.

Run it from anywhere; the location is an argument, or STORE_LOCATION, or a file that is gone afterwards:

    python examples/stock.py
    python examples/stock.py app.db
    python examples/stock.py 'postgresql://app@db.example/app?schema=shop'
    python examples/stock.py 'redis://cache.example/0?prefix=shop:'

On a server, the processes may be on any number of machines. They need `pip install '.[postgres]'` or `'.[redis]'`.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import store
from store import Store

STOCK = {"tea": 25, "cups": 10}
SHOPS, CUSTOMERS = 3, 20  # processes, and customers of each: more than there is to sell


def sell(s: Store, customer: str) -> str | None:
    """Sells one thing in one atomic step, which `transact` repeats if the engine asks for it; returns its name."""

    def step(s: Store) -> str | None:
        stock = s["stock"]
        thing = next((name for name, left in stock.items() if left), None)
        if thing is not None:
            stock[thing] -= 1
            s["stock"] = stock
            s[f"sold:{customer}"] = thing
        return thing

    return s.transact(step)


def shop(location: str, number: int) -> None:
    """One process: sells until the customers or the stock end, and counts what it did."""
    with Store(location) as s:
        served = [thing for customer in range(CUSTOMERS) if (thing := sell(s, f"{number}-{customer}"))]
        s.incr("sales", len(served))
        s.put(f"seen:{number}", len(served), ttl=3600)  # gone in an hour, by the server's clock where there is one


def main(location: str) -> None:
    with Store(location) as s:
        s.delete_prefix("sold:")
        s.update({"stock": STOCK, "sales": 0})
        children = [
            subprocess.Popen([sys.executable, "-W", "error", __file__, location, str(number)])
            for number in range(SHOPS)
        ]
        assert [child.wait() for child in children] == [0] * SHOPS
        sold = [s[name] for name in s.names("sold:")]
        print("sold:", {thing: sold.count(thing) for thing in STOCK}, "and left:", s["stock"])
        print("counted by the shops:", s["sales"], "in", len(s.names("seen:")), "of them")
        assert s["sales"] == len(sold) == sum(STOCK.values())

        with tempfile.TemporaryDirectory() as folder:  # what runs on a server can be taken along in a file
            file = Path(folder, "copy.db")
            store.copy(s, file)
            with Store(file) as copy:
                is_same = list(copy.items()) == list(s.items())
                print("a copy in a file has the same records in the same order:", is_same)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        shop(sys.argv[1], int(sys.argv[2]))
    elif given := (sys.argv[1:] or [os.environ.get("STORE_LOCATION", "")])[0]:
        main(given)
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(str(Path(folder, "shop.db")))
