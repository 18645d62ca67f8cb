"""The transport: httpx models in, httpcore's connections in a pool of ours, httpx models out."""

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator

import httpcore
import httpx

from relay.transport.failures import UnsentPoolTimeout, translated
from relay.transport.network import CURRENT_REQUEST, Permit, PinnedBackend, Resolve, Written, resolve_by_system
from relay.transport.pool import ConnectionPool


class Transport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over TCP or TLS: no proxy, no redirect, nothing from the environment, no retry of any kind.

    ``permit`` judges every address before it is connected to (None: all are allowed). At most ``max_connections``
    requests are under way; more wait for the pool time-out. Connections are kept ``keepalive_s`` seconds: less than
    servers keep theirs (nginx 75, uvicorn and Node 5), so that we, not they, close an idle one. ``verify`` None:
    certifi's authorities.
    ``resolve`` is the system's resolver unless a test brings its own.

    A request's extension ``may_write`` (a callable without arguments) is asked right before its first byte; False ends
    the request unsent.

    Raises httpx exceptions; those that are ``NothingSent`` too prove that no byte of the request was written. Nothing
    is ever tried again: a request that met a connection which the server had just closed fails.
    """

    def __init__(
        self,
        *,
        permit: Permit | None = None,
        max_connections: int = 100,
        keepalive_s: float = 4.0,
        verify: ssl.SSLContext | None = None,
        resolve: Resolve = resolve_by_system,
    ) -> None:
        self._places = asyncio.Semaphore(max_connections)
        self._pool = ConnectionPool(
            keepalive_s=keepalive_s,
            ssl_context=httpx.create_ssl_context(trust_env=False) if verify is None else verify,
            network_backend=PinnedBackend(permit, resolve),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer's head, with its body still to be read."""
        written = Written(request.extensions.get("may_write"))
        await self._take_place(request)
        token = CURRENT_REQUEST.set(written)
        lease: _Lease | None = None
        answered = False
        try:
            with translated(written):
                asked = _to_httpcore(request)
                lease = _Lease(self._pool, self._places, asked.url.origin)
                answer = await lease.connection.handle_async_request(asked)
            answered = True
        finally:
            CURRENT_REQUEST.reset(token)
            if lease is None:
                self._places.release()
            elif not answered:
                await lease.end()
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer, lease),
            extensions=answer.extensions,
        )

    async def _take_place(self, request: httpx.Request) -> None:
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("pool")):
                await self._places.acquire()
        except TimeoutError as error:
            raise UnsentPoolTimeout from error

    async def aclose(self) -> None:
        """All connections are closed."""
        await self._pool.aclose()


def _to_httpcore(request: httpx.Request) -> httpcore.Request:
    return httpcore.Request(
        method=request.method,
        url=httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        ),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


class _Lease:
    """One request's connection and place, given back together, once."""

    def __init__(self, pool: ConnectionPool, places: asyncio.Semaphore, origin: httpcore.Origin) -> None:
        self._pool = pool
        self._places = places
        self._origin = origin
        self.connection = pool.take(origin)

    async def end(self) -> None:
        """The exchange is over, well or badly."""
        try:
            await self._pool.give_back(self._origin, self.connection)
        finally:
            self._places.release()


class _Body(httpx.AsyncByteStream):
    """An answer's body; when it is closed its request is over."""

    def __init__(self, answer: httpcore.Response, lease: _Lease) -> None:
        self._answer = answer
        self._lease = lease
        self._closed = False
        self._written = Written()
        self._written.happened = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._answer.stream
        if not isinstance(stream, AsyncIterable):
            raise TypeError("the pool is asynchronous")
        with translated(self._written):
            async for part in stream:
                yield part

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            await self._answer.aclose()
        finally:
            await self._lease.end()
