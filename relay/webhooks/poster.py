"""One signed POST, and what it came to.

    timeout         the deadline passed, or no connection became free
    dns, refused_address, connect, tls    nothing was sent
    protocol        the connection broke, or what came was not HTTP
    status          a whole answer came, and it was not 2xx

Decision: an answer that does not end before the deadline, or breaks off, is no answer, whatever its status line said.
A receiver may have failed after that line, and a repeated webhook-id is harmless where a lost event is not. More than
16 KiB of body is an answer: the rest is not waited for.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, assert_never, cast

import httpx
import msgspec

from relay.domain.delivery import header_fault, read_retry_after
from relay.domain.endpoints import ANSWER_KEPT_BYTES, AttemptErrorClass, Endpoint
from relay.domain.errors import EndpointRefused, NothingSent, NothingSentWhy
from relay.ports import Clock, EgressPolicy, MaySend, PostResult, always
from relay.webhooks.signing import Signer

ANSWER_READ_BYTES: Final = 16 * 1024
KEPT_TARGETS: Final = 4096


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    retry_after: str | None
    body: bytes


class WebhookPoster:
    """Posts over ``client``, which becomes the poster's own: it no longer keeps cookies or looks at redirects.

    ``version`` is what ``user-agent: relay/<version>`` says. ``egress`` is asked before each URL's first use, so that
    endpoints made under a wider policy are held to this one.
    """

    def __init__(self, client: httpx.AsyncClient, *, clock: Clock, egress: EgressPolicy, version: str) -> None:
        self._client = _harden(client)
        self._clock = clock
        self._egress = egress
        self._signer = Signer()
        self._target = lru_cache(maxsize=KEPT_TARGETS)(self._read_target)
        self._headers = [
            (b"content-type", b"application/json"),
            (b"user-agent", f"relay/{version}".encode()),
            # A compressed answer would be kept as it came; asking for none keeps it readable.
            (b"accept-encoding", b"identity"),
        ]

    async def post(
        self,
        endpoint: Endpoint,
        webhook_id: str,
        body: bytes,
        timestamp_s: int,
        timeout_s: float,
        may_send: MaySend = always,
    ) -> PostResult:
        """One signed POST, no redirect followed. Never raises for what the receiver does.

        ``timeout_s`` is for everything: name, connection, request and the whole answer, of which up to 16 KiB are read
        and 4 KiB kept, as they came. Headers of the endpoint in which ``header_fault`` finds one are left out. Raises
        ValueError when a secret of the endpoint cannot be read, NothingSent when ``may_send`` said no.
        """
        started_s = self._clock.monotonic_s()
        answer: _Answer | None = None
        error: AttemptErrorClass | None
        try:
            request = self._build(endpoint, webhook_id, body, timestamp_s, timeout_s)
            request.extensions["may_write"] = may_send
            async with asyncio.timeout(timeout_s):
                answer = await self._exchange(request)
            error = None if 200 <= answer.status <= 299 else "status"
        except EndpointRefused:
            error = "refused_address"
        except NothingSent as exc:
            error = _class_of(exc.why)
            if error is None:
                raise
        except (httpx.HTTPError, httpx.StreamError, OSError) as exc:
            error = _classify(exc)
        return PostResult(
            status=None if answer is None else answer.status,
            error=error,
            answer=b"" if answer is None else answer.body,
            duration_ms=round((self._clock.monotonic_s() - started_s) * 1000),
            retry_after_s=None if answer is None else read_retry_after(answer.retry_after, self._clock.now_ms()),
        )

    def _build(
        self, endpoint: Endpoint, webhook_id: str, body: bytes, timestamp_s: int, timeout_s: float
    ) -> httpx.Request:
        headers = [
            *self._headers,
            (b"webhook-id", webhook_id.encode()),
            (b"webhook-timestamp", b"%d" % timestamp_s),
            (b"webhook-signature", self._signer.sign(endpoint.secrets, webhook_id, timestamp_s, body).encode()),
        ]
        for name, value in endpoint.headers.items():
            if header_fault(name, value) is None:
                headers.append((name.encode(), value.encode()))
        extensions = {"timeout": httpx.Timeout(timeout_s).as_dict()}
        return httpx.Request("POST", self._target(endpoint.url), headers=headers, content=body, extensions=extensions)

    def _read_target(self, url: str) -> httpx.URL:
        self._egress.check_url(url)
        return httpx.URL(url)

    async def _exchange(self, request: httpx.Request) -> _Answer:
        response = await self._client.send(request, stream=True, auth=None, follow_redirects=False)
        try:
            body = await _read_start(response)
        finally:
            await response.aclose()
        return _Answer(status=response.status_code, retry_after=response.headers.get("retry-after"), body=body)


async def _read_start(response: httpx.Response) -> bytes:
    kept = bytearray()
    read_bytes = 0
    # Raw: no decoder ever sees the body. Closed here and now, not when the garbage collector finds it.
    async with aclosing(cast(AsyncGenerator[bytes, None], response.aiter_raw())) as chunks:
        async for chunk in chunks:
            kept += chunk[: ANSWER_KEPT_BYTES - len(kept)]
            read_bytes += len(chunk)
            if read_bytes > ANSWER_READ_BYTES:
                break
    return bytes(kept)


def _harden(client: httpx.AsyncClient) -> httpx.AsyncClient:
    # One team's receiver could set cookies that another's gets, and each would stay in memory.
    client.cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    client.event_hooks = {"response": [_forget_location]}
    return client


async def _forget_location(response: httpx.Response) -> None:
    # httpx reads the address of a redirect that it does not follow, and an unreadable one would hide the status.
    response.headers.pop("location", None)


def _class_of(why: NothingSentWhy) -> AttemptErrorClass | None:
    """None when there was no attempt: it was not ours to make."""
    match why:
        case "dns" | "refused_address" | "connect" | "tls":
            return why
        case "pool_timeout":
            return "timeout"
        case "lease":
            return None
        case _:
            assert_never(why)


def _classify(exc: Exception) -> AttemptErrorClass:
    match exc:
        case httpx.TimeoutException() | TimeoutError():
            return "timeout"
        case httpx.ConnectError():
            return "connect"
        case ssl.SSLError():
            return "tls"
        case _:
            return "protocol"
