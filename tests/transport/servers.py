"""Real servers on loopback, told per request what to do."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address

from relay.transport import IPAddress, Resolve

Handle = Callable[["Exchange"], Awaitable[None]]


class Exchange:
    """What a handler needs: one connection, the ``connection``-th of its server (from 1)."""

    def __init__(
        self, server: "Server", reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> None:
        self.server, self.reader, self.writer, self.connection = server, reader, writer, connection

    async def read(self) -> bytes:
        """The whole request; b"" when the client closed. Counted as soon as its first byte is there."""
        first = await self.reader.read(1)
        if not first:
            return b""
        self.server.count(self.connection)
        head = first + await self.reader.readuntil(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0)
        return head + await self.reader.readexactly(length)

    async def answer(self, body: bytes = b"ok") -> None:
        self.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await self.writer.drain()

    def drop(self) -> None:
        """Reset the connection."""
        self.writer.transport.abort()


class Server:
    """``requests`` holds, for every request of which a byte arrived, the number of its connection."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._tasks: set[asyncio.Task[None]] = set()
        self.requests: list[int] = []
        self.connections = 0
        self.names: list[str | None] = []
        self._counted = asyncio.Event()
        self.port = 0

    def count(self, connection: int) -> None:
        self.requests.append(connection)
        self._counted.set()

    async def arrived(self, requests: int) -> None:
        """Return when so many requests have begun to arrive."""
        while len(self.requests) < requests:
            self._counted.clear()
            await self._counted.wait()

    def on_connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(Exchange(self, reader, writer, self.connections)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, exchange: Exchange) -> None:
        try:
            while not exchange.writer.is_closing():
                await self._handle(exchange)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            exchange.writer.transport.abort()

    async def stop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def serving(handle: Handle, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[Server]:
    server = Server(handle)
    if tls is not None:

        def note_name(_connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
            server.names.append(name)

        tls.sni_callback = note_name
    listener = await asyncio.start_server(server.on_connect, host, 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await server.stop()
        await listener.wait_closed()


async def answer(exchange: Exchange) -> None:
    """Answer every request with the address that it came to."""
    if await exchange.read():
        await exchange.answer(exchange.writer.get_extra_info("sockname")[0].encode())
    else:
        exchange.drop()


def resolve_to(*addresses: str) -> Resolve:
    """A resolver that answers every name with these addresses."""

    async def resolve(host: str, port: int) -> list[IPAddress]:
        return [ip_address(address) for address in addresses]

    return resolve
