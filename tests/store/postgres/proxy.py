"""A TCP proxy before PostgreSQL that breaks connections where it hurts: most of all around a COMMIT."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Literal

from tests.postgres.server import OWNER, PASSWORD, PostgresServer

Cut = Literal["before", "after", "never"]
COMMIT: Final = b"COMMIT\0"
_LIMIT: Final = 2**20


async def _nothing() -> None:
    return


class Proxy:
    """Passes everything on. ``cut``: the next COMMIT is the last thing that is heard of its connection, *before* it
    reaches the server, or *after* the server has answered it, which is not passed on; or it is only held up."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._cut: Cut = "never"
        self._at = COMMIT
        self._meanwhile: Callable[[], Awaitable[None]] = _nothing
        self.cuts = 0
        self.port = 0

    def cut(
        self,
        when: Cut,
        *,
        at: bytes = COMMIT,
        times: int = 1,
        meanwhile: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        """The next ``times`` COMMITs, or what else holds ``at``. ``meanwhile`` is done before the connection is cut."""
        self._cut, self._at, self.cuts, self._meanwhile = when, at, times, meanwhile

    def url(self, database: str) -> str:
        """As the owner, through the proxy."""
        return f"postgresql://{OWNER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    async def serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        server, requests = await asyncio.open_connection("127.0.0.1", self._server.port)
        passing = asyncio.create_task(_pass(server, answers))
        try:
            while data := await client.read(_LIMIT):
                if self.cuts and self._at in data:
                    self.cuts -= 1
                    if self._cut == "after":
                        passing.cancel()
                        await asyncio.wait([passing])
                        requests.write(data)
                        await server.read(_LIMIT)
                    await self._meanwhile()
                    if self._cut != "never":
                        return
                requests.write(data)
                await requests.drain()
        except ConnectionError:
            return
        finally:
            passing.cancel()
            answers.transport.abort()
            requests.transport.abort()


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(_LIMIT):
            target.write(data)
            await target.drain()
    target.transport.abort()


@contextlib.asynccontextmanager
async def proxied(server: PostgresServer) -> AsyncIterator[Proxy]:
    """A proxy before ``server``, on a port of its own."""
    proxy = Proxy(server)
    connections: set[asyncio.Task[None]] = set()

    def accept(client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy.serve(client, answers))
        connections.add(task)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
