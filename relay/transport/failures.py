"""The one seam where httpcore's exceptions become httpx's, and where "nothing was sent" is decided.

NothingSent (relay.domain.errors)
├── UnsentConnectError      and httpx.ConnectError: name, address, connect or TLS failed
├── UnsentConnectTimeout    and httpx.ConnectTimeout
├── UnsentPoolTimeout       and httpx.PoolTimeout: no place within the pool time-out
└── UnsentRefused           and httpx.WriteError: `may_write` said no before the first byte
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpcore
import httpx

from relay.domain.errors import NothingSent, NothingSentWhy
from relay.transport.network import ConnectFailed, ConnectTimedOut, WriteRefused, Written


class UnsentConnectError(NothingSent, httpx.ConnectError):
    """No connection, hence no byte of the request."""

    def __init__(self, why: NothingSentWhy) -> None:
        httpx.ConnectError.__init__(self, why)
        self.why = why


class UnsentConnectTimeout(NothingSent, httpx.ConnectTimeout):
    """No connection in time, hence no byte of the request."""

    def __init__(self, why: NothingSentWhy) -> None:
        httpx.ConnectTimeout.__init__(self, why)
        self.why = why


class UnsentPoolTimeout(NothingSent, httpx.PoolTimeout):
    """No place in the pool in time, hence no byte of the request."""

    def __init__(self) -> None:
        httpx.PoolTimeout.__init__(self, "pool_timeout")
        self.why = "pool_timeout"


class UnsentRefused(NothingSent, httpx.WriteError):
    """Whoever asked for the request did not own it any more when its first byte was due."""

    def __init__(self, why: NothingSentWhy) -> None:
        httpx.WriteError.__init__(self, why)
        self.why = why


HTTPX_OF: Final[dict[type[Exception], type[httpx.TransportError]]] = {
    httpcore.TimeoutException: httpx.TimeoutException,
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.NetworkError: httpx.NetworkError,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.ProxyError: httpx.ProxyError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
    httpcore.ProtocolError: httpx.ProtocolError,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
    # httpcore's own control flow, caught by its pool; if it ever came out, it would prove nothing.
    httpcore.ConnectionNotAvailable: httpx.NetworkError,
}


def translate(error: Exception, written: Written) -> httpx.TransportError:
    """The httpx exception for one of httpcore's.

    Decision: NothingSent takes two witnesses that do not know of each other: an exception that only our own network
    code or the queue raises, and a note that no write was begun. The class of an exception alone is no proof: a pool
    that silently tried a dropped connection again would end with a refused connect after it had sent the request.
    """
    if not written.happened:
        if isinstance(error, ConnectTimedOut):
            return UnsentConnectTimeout(error.why)
        if isinstance(error, ConnectFailed):
            return UnsentConnectError(error.why)
        if isinstance(error, httpcore.PoolTimeout):
            return UnsentPoolTimeout()
        if isinstance(error, WriteRefused):
            return UnsentRefused(error.why)
    found = next(HTTPX_OF[base] for base in type(error).__mro__ if base in HTTPX_OF)
    return found(str(error) or type(error).__name__)


@contextmanager
def translated(written: Written) -> Iterator[None]:
    """Whatever httpcore raises inside leaves as an httpx exception; cancellation passes as it is."""
    try:
        yield
    except tuple(HTTPX_OF) as error:
        raise translate(error, written) from error
