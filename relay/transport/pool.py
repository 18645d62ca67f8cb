"""Idle connections per origin, last in first out.

Decision: httpcore's connections without httpcore's pool, because that pool looks at every connection for every request:
O(n) a request, several times slower with 64 in flight. Here taking and giving back touch one connection.
"""

import asyncio
import ssl

import httpcore

Origin = tuple[bytes, bytes, int]


class ConnectionPool:
    """Makes, keeps and closes connections; who may have how many is the caller's to count."""

    def __init__(
        self, *, keepalive_s: float, ssl_context: ssl.SSLContext, network_backend: httpcore.AsyncNetworkBackend
    ) -> None:
        self._keepalive_s = keepalive_s
        self._ssl_context = ssl_context
        self._network_backend = network_backend
        self._idle: dict[Origin, list[httpcore.AsyncHTTPConnection]] = {}
        self._reaper: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    def take(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        """The connection that was used last, if it still lives, else a new one that connects with its first request."""
        kept = self._idle.get((origin.scheme, origin.host, origin.port), [])
        while kept:
            connection = kept.pop()
            # Readable while idle: the server has closed it.
            if not connection.has_expired():
                return connection
            self._close_soon(connection)
        return httpcore.AsyncHTTPConnection(
            origin,
            ssl_context=self._ssl_context,
            keepalive_expiry=self._keepalive_s,
            http1=True,
            http2=False,
            retries=0,
            network_backend=self._network_backend,
        )

    async def give_back(self, origin: httpcore.Origin, connection: httpcore.AsyncHTTPConnection) -> None:
        """Keep it when its last exchange ended in order; whatever else it is in the middle of dies with it."""
        if self._closed or not connection.is_available():
            await connection.aclose()
            return
        self._idle.setdefault((origin.scheme, origin.host, origin.port), []).append(connection)
        if self._reaper is None:
            self._reaper = asyncio.create_task(self._reap())

    async def aclose(self) -> None:
        """Close what is idle; what is in use closes when it is given back."""
        self._closed = True
        if self._reaper is not None:
            self._reaper.cancel()
            await asyncio.gather(self._reaper, return_exceptions=True)
            self._reaper = None
        for kept in self._idle.values():
            for connection in kept:
                self._close_soon(connection)
        self._idle.clear()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _reap(self) -> None:
        """Close what has been idle too long, also at origins that nobody asks any more; ends when nothing is idle."""
        while self._idle:
            await asyncio.sleep(self._keepalive_s)
            for origin, kept in list(self._idle.items()):
                living: list[httpcore.AsyncHTTPConnection] = []
                for connection in kept:
                    if connection.has_expired():
                        self._close_soon(connection)
                    else:
                        living.append(connection)
                if living:
                    kept[:] = living
                else:
                    del self._idle[origin]
        self._reaper = None

    def _close_soon(self, connection: httpcore.AsyncHTTPConnection) -> None:
        task = asyncio.create_task(connection.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
