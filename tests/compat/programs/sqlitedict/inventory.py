"""The stock of a shop: products and makers as JSON, bookings that are committed as one, or dropped.

    python inventory.py FOLDER
"""

import json
import sys
from pathlib import Path

import sqlitedict


class OutOfStock(Exception):
    """There are not as many as were ordered."""


class Inventory:
    """Products by number, makers by name."""

    def __init__(self, path):
        self.path = path
        self.products = self.table("products")
        self.makers = self.table("makers")

    def table(self, name):
        return sqlitedict.open(self.path, tablename=name, encode=json.dumps, decode=json.loads)

    def order(self, **counts):
        """Takes products out of stock: all of them, or none."""
        for word, wanted in counts.items():
            number = word.lstrip("p")
            product = self.products[number]
            if product["count"] < wanted:
                self.reopen()  # drops the bookings so far
                raise OutOfStock(f"{product['name']}: {product['count']} left, {wanted} ordered")
            product["count"] -= wanted
            self.products[number] = product
        self.products.commit()

    def reopen(self):
        self.products.close()
        self.products = self.table("products")

    def commit(self):
        # One table at a time: in sqlitedict a table with uncommitted writes holds the file.
        self.products.commit()
        self.makers.commit()

    def close(self):
        self.products.close()
        self.makers.close()


def show(inventory):
    for number, product in inventory.products.items():
        print(f"  {number}: {product['count']} x {product['name']} of {product['maker']}")


def main(folder):
    path = str(Path(folder, "inventory.sqlite"))
    first = Inventory(path)
    for number, name, maker, count in [
        (1, "kettle", "Ahlers", 5), (2, "teapot", "Ahlers", 3), (3, "cup", "Brandt", 24), (4, "spoon", "Cohen", 0),
    ]:
        first.products[number] = {"name": name, "maker": maker, "count": count}
    first.products.commit()
    for number, product in first.products.items():
        entry = first.makers.get(product["maker"], {"products": []})
        entry["products"].append(number)
        first.makers[product["maker"]] = entry
    first.makers.commit()
    print("at first:")
    show(first)
    first.order(p1=2, p3=4)
    print("after an order:")
    show(first)
    try:
        first.order(p3=10, p2=4)
    except OutOfStock as exc:
        print("refused:", exc)
    show(first)
    first.close()

    again = Inventory(path)
    print("makers:", dict(again.makers.items()))
    again.products.update({"5": {"name": "tray", "maker": "Cohen", "count": 7}})
    del again.products[4]
    print("before commit:", list(again.products), len(again.products), "4" in again.products)
    again.commit()
    again.close()
    with sqlitedict.SqliteDict(path, tablename="products", decode=json.loads, flag="r") as products:
        print("in all:", sum(product["count"] for product in products.values()), sqlitedict.SqliteDict.get_tablenames(path))


main(sys.argv[1])
