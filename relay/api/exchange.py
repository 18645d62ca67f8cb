"""One request and its answer, as the edge, the guard and the handlers share it."""

from collections.abc import AsyncIterator
from typing import Final

from litestar.types import Receive, Scope, Send

from relay.domain.teams import Principal
from relay.services.limits import RateState

JSON: Final = b"application/json"
STATE_KEY: Final = "relay"

Headers = list[tuple[bytes, bytes]]


class Exchange:
    """What is known of a request so far; the access line is written from it.

    ``status`` 0: nothing was answered yet. ``error``: the code of the problem that was answered.
    """

    __slots__ = ("error", "principal", "rate", "request_id", "status")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.status = 0
        self.error: str | None = None
        self.principal: Principal | None = None
        self.rate: RateState | None = None


def exchange_of(scope: Scope) -> Exchange:
    """The exchange that the edge put into the scope."""
    exchange = scope["state"][STATE_KEY]
    assert isinstance(exchange, Exchange)  # noqa: S101 - the edge is the only way in
    return exchange


class Answer:
    """A complete answer; Litestar calls it as an ASGI app. The edge adds the headers that every answer has."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes, headers: Headers | None = None, media_type: bytes = JSON) -> None:
        self.status = status
        self.body = body
        self.headers: Headers = [(b"content-type", media_type)] if body else []
        if headers is not None:
            self.headers += headers
        if status not in (204, 304):
            self.headers.append((b"content-length", b"%d" % len(body)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


class Streamed:
    """An answer that is made while it is sent; the first part should be ready when it begins."""

    __slots__ = ("media_type", "parts")

    def __init__(self, parts: AsyncIterator[bytes], media_type: bytes) -> None:
        self.parts = parts
        self.media_type = media_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. What fails on the way leaves it without its end, so that nobody takes it for whole."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", self.media_type)]})
        async for part in self.parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
