"""Connections to checked addresses, and the note, and the last question, before a request's first byte."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import httpcore

from relay.domain.errors import NothingSentWhy

IPAddress = IPv4Address | IPv6Address
Permit = Callable[[IPAddress], bool]
Resolve = Callable[[str, int], Awaitable[list[IPAddress]]]


class Written:
    """Whether a byte of one request may have been written. Goes from False to True, never back.

    ``may_write`` is asked before the first byte: connecting may have taken long, and the process may have been stopped.
    """

    __slots__ = ("_may_write", "happened")

    def __init__(self, may_write: Callable[[], bool] | None = None) -> None:
        self._may_write = may_write
        self.happened = False

    def begin(self) -> None:
        """A write comes next. Raises WriteRefused, at every attempt, when there may not even be a first one."""
        if not self.happened and self._may_write is not None and not self._may_write():
            raise WriteRefused("lease")
        # Before the write, not after it: a write that fails may have sent a part.
        self.happened = True


CURRENT_REQUEST: ContextVar[Written | None] = ContextVar("CURRENT_REQUEST", default=None)
"""The request that the running task works on. A connection serves many requests, but httpcore writes each one within
the task that asked for it, so the task, not the connection, knows whose bytes these are."""


class ConnectFailed(httpcore.ConnectError):
    """There is no connection. Raised here alone, before httpcore has anything to write to."""

    def __init__(self, why: NothingSentWhy) -> None:
        super().__init__(why)
        self.why: NothingSentWhy = why


class ConnectTimedOut(httpcore.ConnectTimeout):
    """There is no connection within the connect time-out."""

    def __init__(self, why: NothingSentWhy) -> None:
        super().__init__(why)
        self.why: NothingSentWhy = why


class WriteRefused(httpcore.NetworkError):
    """The request may not be written any more. Raised by ``Written`` alone, before its first byte.

    Not a WriteError: httpcore swallows those, and waits for the answer to a request that was not written.
    """

    def __init__(self, why: NothingSentWhy) -> None:
        super().__init__(why)
        self.why: NothingSentWhy = why


async def resolve_by_system(host: str, port: int) -> list[IPAddress]:
    """The host's addresses in the system's order of preference (RFC 6724), each once. Raises OSError or ValueError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(text) for text in dict.fromkeys(str(entry[4][0]) for entry in found)]


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """Connects to the very address that ``permit`` was asked about: a name that changes its mind between the check and
    the connect (DNS rebinding) gains nothing."""

    def __init__(self, permit: Permit | None, resolve: Resolve) -> None:
        self._permit = permit
        self._resolve = resolve
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first permitted address that takes one, ``timeout`` seconds for everything.

        Each address has an equal share of the time that is left, so that one that swallows packets does not use up the
        chance of the next. Raises ConnectFailed (``dns``, ``refused_address``, ``connect``) or ConnectTimedOut.
        """
        now = asyncio.get_running_loop().time
        deadline = None if timeout is None else now() + timeout
        addresses = await self._checked_addresses(host, port, timeout)
        failure: ConnectFailed | ConnectTimedOut = ConnectFailed("connect")
        for tried, address in enumerate(addresses):
            share = None if deadline is None else max(0.0, deadline - now()) / (len(addresses) - tried)
            try:
                stream = await self._inner.connect_tcp(
                    str(address), port, timeout=share, local_address=local_address, socket_options=socket_options
                )
            except httpcore.ConnectTimeout as error:
                failure = ConnectTimedOut("connect")
                failure.__cause__ = error
            except httpcore.ConnectError as error:
                failure = ConnectFailed("connect")
                failure.__cause__ = error
            else:
                return WatchedStream(stream)
        raise failure

    async def _checked_addresses(
        self,
        host: str,
        port: int,
        timeout: float | None,  # noqa: ASYNC109 - passed on from httpcore's interface
    ) -> list[IPAddress]:
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolve(host, port)
        except TimeoutError as error:
            raise ConnectTimedOut("dns") from error
        # ValueError: a NUL in the host, or a label that IDNA cannot write (UnicodeError is one).
        except (OSError, ValueError) as error:
            raise ConnectFailed("dns") from error
        if not addresses:
            raise ConnectFailed("dns")
        permitted = addresses if self._permit is None else [found for found in addresses if self._permit(found)]
        if not permitted:
            raise ConnectFailed("refused_address")
        return permitted

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refused, always: a path is not an address that ``permit`` could judge."""
        raise ConnectFailed("refused_address")

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""
        await asyncio.sleep(seconds)


class WatchedStream(httpcore.AsyncNetworkStream):
    """A connection that notes, before each write, that the current request may have reached the other side."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(
        self,
        max_bytes: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
    ) -> bytes:
        """Up to ``max_bytes``; empty when the other side has closed."""
        try:
            return await self._inner.read(max_bytes, timeout)
        # A TLS alert or a broken record comes through anyio as the plain ssl.SSLError, which is an OSError.
        except OSError as error:
            raise httpcore.ReadError from error

    async def write(
        self,
        buffer: bytes,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
    ) -> None:
        """All of ``buffer`` is handed to the system."""
        request = CURRENT_REQUEST.get()
        if request is not None:
            request.begin()
        try:
            await self._inner.write(buffer, timeout)
        except OSError as error:
            raise httpcore.WriteError from error

    async def aclose(self) -> None:
        """The connection is gone."""
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
    ) -> httpcore.AsyncNetworkStream:
        """The same connection under TLS, with the name of the URL (not the address) as SNI and for verification.

        The handshake's own bytes go by the inner stream: they are none of the request's. Raises ConnectFailed("tls").
        """
        secured = False
        try:
            stream = await self._inner.start_tls(ssl_context, server_hostname, timeout)
            secured = True
        except (httpcore.TimeoutException, TimeoutError) as error:
            raise ConnectTimedOut("tls") from error
        # ValueError: a host that cannot be written as a server name.
        except (httpcore.NetworkError, OSError, ValueError) as error:
            raise ConnectFailed("tls") from error
        finally:
            if not secured:
                # httpcore closes on errors but not on cancellation.
                await self._inner.aclose()
        return WatchedStream(stream)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's interface
        """What httpcore asks a stream: ``is_readable``, ``ssl_object``, addresses."""
        return self._inner.get_extra_info(info)
