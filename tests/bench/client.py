"""An HTTP/1.1 client that costs little beside what it measures: one request at a time per connection, keep-alive."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Self
from urllib.parse import urlsplit

_READ_BYTES: Final = 65_536


class Request(NamedTuple):
    """What to send: method, path, extra header lines, body."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Sample(NamedTuple):
    """One answered request."""

    status: int
    seconds: float
    body: bytes


class Connection:
    """One connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connects to the origin of ``url``."""
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port, limit=_READ_BYTES))

    def close(self) -> None:
        """Closes the connection at once."""
        self._writer.close()

    async def send(self, request: Request) -> Sample:
        """Sends and reads the whole answer, which must state its length."""
        began = time.perf_counter()
        lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        head = f"{request.method} {request.path} HTTP/1.1\r\nhost: bench\r\n{lines}content-length: {len(request.body)}"
        self._writer.write(head.encode() + b"\r\n\r\n" + request.body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        start = answer.find(b"\r\ncontent-length:")
        length = int(answer[start + 17 : answer.index(b"\r\n", start + 17)]) if start >= 0 else 0
        body = await self._reader.readexactly(length)
        return Sample(int(answer[9:12]), time.perf_counter() - began, body)


class Load(NamedTuple):
    """What came of sending for a while."""

    samples: list[Sample]
    seconds: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.samples) / self.seconds

    def quantile_ms(self, share: float) -> float:
        """The latency that this share of requests did not exceed."""
        ordered = sorted(sample.seconds for sample in self.samples)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


async def load(urls: Sequence[str], requests: Iterable[Request], *, connections: int, seconds: float) -> Load:
    """Keeps ``connections``, spread over ``urls``, busy until the requests or the seconds are over."""
    opened = [await Connection.open(urls[number % len(urls)]) for number in range(connections)]
    source = iter(requests)
    began = time.perf_counter()
    try:
        taken = await asyncio.gather(*(_work(connection, source, began + seconds) for connection in opened))
    finally:
        for connection in opened:
            connection.close()
    return Load([sample for samples in taken for sample in samples], time.perf_counter() - began)


async def _work(connection: Connection, source: Iterator[Request], until: float) -> list[Sample]:
    samples = []
    for request in source:
        samples.append(await connection.send(request))
        if time.perf_counter() >= until:
            break
    return samples


def repeat(make: Callable[[int], Request]) -> Iterator[Request]:
    """make(0), make(1), … without end."""
    number = 0
    while True:
        yield make(number)
        number += 1
