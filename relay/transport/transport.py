"""The transport: httpx models in, httpcore's pool in the middle, httpx models out."""

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Callable

import httpcore
import httpx

from relay.transport.failures import UnsentPoolTimeout, translated
from relay.transport.network import CURRENT_REQUEST, Permit, PinnedBackend, Resolve, Written, resolve_by_system


class Transport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over TCP or TLS: no proxy, no redirect, nothing from the environment, no retry of any kind.

    ``permit`` judges every address before it is connected to (None: all are allowed). At most ``max_connections``
    requests are under way; more wait for the pool time-out. Connections are kept ``keepalive_s`` seconds: less than
    servers keep theirs (nginx 75, uvicorn and Node 5), so that we, not they, close an idle one. ``verify`` None:
    certifi's authorities.
    ``resolve`` is the system's resolver unless a test brings its own.

    Raises httpx exceptions; those that are ``NothingSent`` too prove that no byte of the request was written. httpcore
    1.0.9 tries a request again in one case only (ConnectionNotAvailable, raised before its first write), so a request
    that met a connection which the server had just closed fails and is never repeated.
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
        # Decision: places are counted here because httpcore loses one of its own for good when a waiting request is
        # cancelled at the moment that it is given a connection; with places of ours nobody ever waits in its queue.
        self._places = asyncio.Semaphore(max_connections)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False) if verify is None else verify,
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=keepalive_s,
            http1=True,
            http2=False,
            retries=0,
            network_backend=PinnedBackend(permit, resolve),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer's head, with its body still to be read."""
        written = Written()
        await self._take_place(request)
        token = CURRENT_REQUEST.set(written)
        answered = False
        try:
            with translated(written):
                answer = await self._pool.handle_async_request(_to_httpcore(request))
            answered = True
        finally:
            CURRENT_REQUEST.reset(token)
            if not answered:
                self._places.release()
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer, self._places.release),
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


class _Body(httpx.AsyncByteStream):
    """An answer's body; when it is closed its request gives its place back, once."""

    def __init__(self, answer: httpcore.Response, release: Callable[[], None]) -> None:
        self._answer = answer
        self._release = release
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
            self._release()
