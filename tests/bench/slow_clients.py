"""Slow clients at an application server's unix socket, and how long fast ones wait beside them.

A slow client dribbles the body of a form, as a phone with bad reception does. Slow readers are no trial here: a whole
page fits into the kernel's buffer of a unix socket.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

from tests.bench.load import Client, Kind, RequestLost, Tally, Target, encode, read_response
from tests.shop import DOMAIN, Shop
from tests.shop_load import VARIANT, query

FAST_CLIENTS = 2
DRIBBLE_SECONDS, DRIBBLE_PIECES = 3.0, 10


class SocketClient(Client):
    """A shopper who speaks plain HTTP to a unix socket; the target's address is its path."""

    async def connect(self) -> None:
        self.reader, self.writer = await asyncio.open_unix_connection(self.target.address)


class SlowClient(SocketClient):
    """A shopper whose body takes DRIBBLE_SECONDS, however soon the server is ready to take it."""

    async def send(self, method: str, path: str, body: bytes) -> int:
        await self.connect()
        assert self.writer is not None and self.reader is not None
        head, body = encode(method, path, self.target.host, self.kind.headers, body)
        self.writer.write(head)
        step = -(-len(body) // DRIBBLE_PIECES)
        for offset in range(0, len(body), step):
            await asyncio.sleep(DRIBBLE_SECONDS / DRIBBLE_PIECES)
            self.writer.write(body[offset : offset + step])
            await self.writer.drain()
        status, _ = await read_response(self.reader)
        await self.close()
        if status >= 400:
            raise RequestLost(f"status {status}")
        return status


async def answers(socket: Path) -> bool:
    """Whether a server answers at its socket."""
    target = Target(str(socket), 0, DOMAIN)
    client = SocketClient(target, Kind("ready", 1, ()), Tally(), ssl.create_default_context())
    try:
        return await asyncio.wait_for(client.send("GET", "/health/live", b""), 5) < 500
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    finally:
        await client.close()


def shoppers(shop: Shop, product: str, *, slow: int) -> tuple[Kind, list[Kind]]:
    """Return fast clients who look at a product, and slow ones who fill carts; each request has a connection of its
    own, so that which worker gets it is decided anew, and each slow client an address of its own for the rate limits.
    """
    variant = query(shop, VARIANT)[0][0]
    add = ("POST", "/cart/add/", f"variant={variant}&quantity=1&note={'x' * 2000}".encode())
    common = (("X-Forwarded-Proto", "https"), ("Origin", f"https://{DOMAIN}"), ("Connection", "close"))
    fast = Kind("fast", FAST_CLIENTS, (("GET", product, b""),), common, pause_seconds=0.02)
    addresses = [("X-Forwarded-For", f"198.51.100.{number + 1}") for number in range(slow)]
    return fast, [Kind("slow", 1, (add,), (*common, address)) for address in addresses]


async def load(socket: Path, fast: Kind, slow: Sequence[Kind], *, seconds: float) -> Tally:
    """Let slow clients loose on a server's socket, one by one, and then time fast ones for some seconds."""
    tally, stop, context = Tally(), asyncio.Event(), ssl.create_default_context()
    target = Target(str(socket), 0, DOMAIN)
    dribbling = []
    for kind in slow:
        dribbling.append(asyncio.create_task(SlowClient(target, kind, tally, context).run(stop)))
        await asyncio.sleep(DRIBBLE_SECONDS / len(slow))
    timed = [asyncio.create_task(SocketClient(target, fast, tally, context).run(stop)) for _ in range(fast.clients)]
    await asyncio.sleep(seconds)
    stop.set()
    await asyncio.gather(*timed)
    # What is half sent now was never to be counted.
    for task in dribbling:
        task.cancel()
    await asyncio.gather(*dribbling, return_exceptions=True)
    return tally
