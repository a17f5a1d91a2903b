"""A store of py-key-value, as FastMCP keeps its clients and tokens in one: collections of JSON that expire.

Run it from anywhere, once `pip install 'sealed-store[key-value]'` is done:

    python examples/key_value_store.py

An `OAuthProxy` of FastMCP takes it as `client_storage=StoreKeyValue("kv.db")`.
"""

import asyncio
import tempfile
from pathlib import Path

from key_value.aio.errors import SerializationError

from store.integrations.key_value import StoreKeyValue


async def tokens(kv: StoreKeyValue) -> None:
    """One entry, with a lifetime in seconds."""
    await kv.put("ann", {"token": "4f2a", "scopes": ["read"]}, collection="tokens", ttl=3600)
    value, seconds = await kv.ttl("ann", collection="tokens")
    print("token:", value, "lives for about an hour:", seconds is not None and 3590 < seconds <= 3600)
    try:
        await kv.put("bob", {"token": b"bytes"}, collection="tokens")
    except SerializationError:
        print("refused: bytes are not JSON")


async def clients(kv: StoreKeyValue) -> None:
    """Several entries, written as one step; a key may be a long URL."""
    url = "https://client.example/" + "path/" * 2000
    await kv.put_many(["a", url], [{"name": "A"}, {"name": "B"}], collection="clients")
    print("clients:", await kv.get_many(["a", url, "none"], collection="clients"))
    print("keys:", [len(key) for key in await kv.keys("clients")])


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "kv.db")
        async with StoreKeyValue(place) as kv:
            await tokens(kv)
            await clients(kv)
        async with StoreKeyValue(place) as kv:
            print("after a restart:", await kv.get("ann", collection="tokens"))
            print("collections:", sorted(await kv.collections()))
            await kv.destroy_collection("tokens")
            print("left:", await kv.collections())


if __name__ == "__main__":
    asyncio.run(main())
