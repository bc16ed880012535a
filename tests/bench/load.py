"""Send constant mixed HTTPS load and account for every single request.

A request is answered when a complete response with a status below 500 arrived. Everything else is lost: a refused or
reset connection, an end of file amid a response, a 5xx, a time-out. Nothing is ever retried, because a browser
does not retry a POST either. Connections are kept alive, so a server that closes one under a request in flight is seen.

The process prints one JSON object per second (`{"second": epoch, "answered": n, "lost": n}`) to the file given by
--timeline and, after SIGTERM, SIGINT or --seconds, one summary object on standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import ssl
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

SLOW_BODY_SECONDS = 1.5
REQUEST_TIMEOUT_SECONDS = 20.0


class RequestLost(Exception):
    """Say in one or two words why a request was not answered."""


@dataclass(frozen=True)
class Target:
    """Where the load goes: `address` is connected to, `host` is the name in SNI and the Host header."""

    address: str
    port: int
    host: str
    ca_file: str | None = None


@dataclass(frozen=True)
class Kind:
    """One kind of client: which requests it sends, and whether it dribbles its body."""

    name: str
    clients: int
    requests: tuple[tuple[str, str, bytes], ...]
    headers: tuple[tuple[str, str], ...] = ()
    slow: bool = False
    pause_seconds: float = 0.0


@dataclass
class Tally:
    """What happened, by kind and by second, with the words of each loss."""

    answered: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: dict[int, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    latencies_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    losses: list[dict[str, object]] = field(default_factory=list)

    def record_answer(self, kind: str, status: int, started: float) -> None:
        now = time.time()
        self.answered[kind] += 1
        self.statuses[status] += 1
        self.seconds[int(now)][0] += 1
        self.latencies_ms[kind].append((now - started) * 1000)

    def record_loss(self, kind: str, reason: str, path: str) -> None:
        now = time.time()
        self.lost[kind] += 1
        self.reasons[reason] += 1
        self.seconds[int(now)][1] += 1
        if len(self.losses) < 200:
            self.losses.append({"at": round(now, 3), "kind": kind, "path": path, "reason": reason})

    def summary(self) -> dict[str, object]:
        return {
            "requests_total": sum(self.answered.values()) + sum(self.lost.values()),
            "requests_answered": sum(self.answered.values()),
            "requests_lost": sum(self.lost.values()),
            "answered_by_kind": dict(self.answered),
            "lost_by_kind": dict(self.lost),
            "reasons": dict(self.reasons),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "p95_ms": {kind: round(percentile(values, 0.95), 1) for kind, values in self.latencies_ms.items()},
            "losses": self.losses,
        }


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` of the values lie; 0.0 for none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def encode(method: str, path: str, host: str, headers: tuple[tuple[str, str], ...], body: bytes) -> tuple[bytes, bytes]:
    """Return the head and the body of one HTTP/1.1 request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "User-Agent: pasargad-load", "Accept: text/html"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
        if not any(name.lower() == "content-type" for name, _ in headers):
            lines.append("Content-Type: application/x-www-form-urlencoded")
    return ("\r\n".join(lines) + "\r\n\r\n").encode(), body


async def read_response(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Read one whole response; return its status and whether the connection may be used again."""
    head = await reader.readuntil(b"\r\n\r\n")
    status_line, *header_lines = head.decode("latin-1").split("\r\n")
    status = int(status_line.split(" ", 2)[1])
    fields = (line.partition(":") for line in header_lines if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            await reader.readexactly(size + 2)
        await reader.readuntil(b"\r\n")
    elif "content-length" in headers:
        await reader.readexactly(int(headers["content-length"]))
    elif status not in (204, 304):
        await reader.read()
        return status, False
    return status, headers.get("connection", "").lower() != "close"


class Client:
    """One shopper on one kept-alive connection."""

    def __init__(self, target: Target, kind: Kind, tally: Tally, context: ssl.SSLContext) -> None:
        self.target, self.kind, self.tally, self.context = target, kind, tally, context
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(
            self.target.address, self.target.port, ssl=self.context, server_hostname=self.target.host
        )

    async def close(self) -> None:
        writer, self.reader, self.writer = self.writer, None, None
        if writer is not None:
            with contextlib.suppress(OSError, ssl.SSLError):
                writer.close()

    async def send(self, method: str, path: str, body: bytes) -> int:
        """Send one request and return its status; raise RequestLost when no complete answer below 500 came."""
        if self.writer is None:
            await self.connect()
        assert self.writer is not None and self.reader is not None
        head, payload = encode(method, path, self.target.host, self.kind.headers, body)
        self.writer.write(head)
        if self.kind.slow and payload:
            pieces = 5
            step = max(1, len(payload) // pieces)
            for offset in range(0, len(payload), step):
                await asyncio.sleep(SLOW_BODY_SECONDS / pieces)
                self.writer.write(payload[offset : offset + step])
                await self.writer.drain()
        else:
            self.writer.write(payload)
        await self.writer.drain()
        status, reusable = await read_response(self.reader)
        if not reusable:
            await self.close()
        if status >= 500:
            raise RequestLost(f"status {status}")
        return status

    async def run(self, stop: asyncio.Event) -> None:
        randomness = random.Random(id(self))
        while not stop.is_set():
            method, path, body = randomness.choice(self.kind.requests)
            started = time.time()
            try:
                status = await asyncio.wait_for(self.send(method, path, body), REQUEST_TIMEOUT_SECONDS)
            except RequestLost as loss:
                self.tally.record_loss(self.kind.name, str(loss), path)
            except (TimeoutError, OSError, ssl.SSLError, asyncio.IncompleteReadError, ValueError) as error:
                await self.close()
                self.tally.record_loss(self.kind.name, type(error).__name__, path)
                await asyncio.sleep(0.02)
            else:
                self.tally.record_answer(self.kind.name, status, started)
            if self.kind.pause_seconds:
                await asyncio.sleep(self.kind.pause_seconds * randomness.uniform(0.5, 1.5))
        await self.close()


async def drive(
    target: Target, kinds: list[Kind], *, seconds: float | None, timeline: Path | None, on_start: Callable[[], None]
) -> Tally:
    """Run all clients until a signal or the time is over; a request in flight is finished and counted."""
    tally, stop = Tally(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    context = ssl.create_default_context(cafile=target.ca_file)
    if target.ca_file is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    clients = [Client(target, kind, tally, context) for kind in kinds for _ in range(kind.clients)]
    tasks = [asyncio.create_task(client.run(stop)) for client in clients]
    on_start()
    deadline = None if seconds is None else time.monotonic() + seconds
    written = int(time.time())
    while not stop.is_set():
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.5)
        written = write_timeline(tally, timeline, written)
        if deadline is not None and time.monotonic() >= deadline:
            stop.set()
    await asyncio.gather(*tasks)
    write_timeline(tally, timeline, written, last=True)
    return tally


def write_timeline(tally: Tally, timeline: Path | None, written: int, *, last: bool = False) -> int:
    """Append the finished seconds to the timeline file and return the first second not yet written."""
    until = int(time.time()) + (1 if last else 0)
    if timeline is not None:
        with timeline.open("a") as file:
            for second in range(written, until):
                answered, lost = tally.seconds.get(second, [0, 0])
                file.write(json.dumps({"second": second, "answered": answered, "lost": lost}) + "\n")
    return until


def kinds_from(path: Path) -> list[Kind]:
    """Read the kinds of clients from a JSON file: a list of {name, clients, requests: [[method, path, body]], …}."""
    return [
        Kind(
            name=entry["name"],
            clients=entry["clients"],
            requests=tuple((method, target, body.encode()) for method, target, body in entry["requests"]),
            headers=tuple((name, value) for name, value in entry.get("headers", {}).items()),
            slow=entry.get("slow", False),
            pause_seconds=entry.get("pause_seconds", 0.0),
        )
        for entry in json.loads(path.read_text())
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", required=True, help="address to connect to")
    parser.add_argument("--port", type=int, default=443)
    parser.add_argument("--host", required=True, help="name in SNI and the Host header")
    parser.add_argument("--ca-file", help="authority of the certificate; without it TLS is not verified")
    parser.add_argument("--kinds", type=Path, required=True, help="JSON file with the kinds of clients")
    parser.add_argument("--seconds", type=float, help="stop by itself after this time")
    parser.add_argument("--timeline", type=Path, help="file that gets one JSON line a second")
    options = parser.parse_args()
    target = Target(options.address, options.port, options.host, options.ca_file)
    tally = asyncio.run(
        drive(
            target,
            kinds_from(options.kinds),
            seconds=options.seconds,
            timeline=options.timeline,
            on_start=lambda: print("load: running", file=sys.stderr, flush=True),
        )
    )
    print(json.dumps(tally.summary()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
