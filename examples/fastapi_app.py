"""A shop with FastAPI: a cart for each visitor, login, logout, and logout everywhere.

    pip install 'sealed-store[starlette]' fastapi uvicorn
    STORE_LOCATION=shop.db uvicorn fastapi_app:app --workers 2     # or a URL, postgresql://…

To see it answer a few requests of httpx2: python examples/fastapi_app.py
"""

import os
import tempfile
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException

from store.integrations.starlette import StoreSession, StoreSessionMiddleware, session_of

PASSWORDS = {"ann": "correct horse"}  # a real application keeps slow hashes of them
shop = APIRouter()


Visitor = Annotated[StoreSession, Depends(session_of)]


def user(session: Visitor) -> str:
    if "user" not in session:
        raise HTTPException(401, "log in first")
    return session["user"]


@shop.get("/cart")
async def cart(session: Visitor) -> dict[str, int]:
    return session.get("cart", {})


@shop.post("/cart/{item}")
async def add(item: str, session: Visitor) -> int:
    def count(data: dict) -> int:  # one atomic step: simultaneous requests lose nothing
        items = data.setdefault("cart", {})
        items[item] = items.get(item, 0) + 1
        return items[item]

    return await session.aedit(count)


@shop.post("/login")
async def login(name: str, password: str, session: Visitor) -> str:
    if PASSWORDS.get(name) != password:
        raise HTTPException(403, "wrong name or password")
    session.rotate(user=name)  # a new id: nobody can have slipped it to the visitor
    session["user"] = name
    return f"welcome, {name}"


@shop.post("/logout")
async def logout(session: Visitor, name: Annotated[str, Depends(user)], everywhere: bool = False) -> int:
    session.clear()
    return 1 + (await session.end_others(name) if everywhere else 0)


def make_app(location: str) -> FastAPI:
    app = FastAPI()
    app.include_router(shop)
    app.add_middleware(StoreSessionMiddleware, location=location)
    return app


app = make_app(os.environ.get("STORE_LOCATION", "shop.db"))

if __name__ == "__main__":
    from fastapi.testclient import TestClient

    with tempfile.TemporaryDirectory() as folder, TestClient(make_app(f"{folder}/shop.db")) as client:
        print("added:", client.post("/cart/tea").json(), client.post("/cart/tea").json())
        print(client.post("/login", params={"name": "ann", "password": "correct horse"}).json())
        print("still in the cart:", client.get("/cart").json())
        print("ended:", client.post("/logout?everywhere=true").json(), "and left:", client.get("/cart").json())
