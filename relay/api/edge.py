"""The one middleware: request id, the headers that every answer has, metrics, and one line per request.

Decision: it wraps the whole router, because Litestar's own middleware never sees a 404 or a 405; what depends on the
operation (key, scope, rate) is done in ``guard.py``, where the operation is known without asking.
"""

import os
import re
from collections.abc import Callable
from typing import Final

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from relay.api.exchange import STATE_KEY, Exchange, Headers
from relay.api.preferences import rate_headers
from relay.ports import Clock
from relay.services.readiness import Readiness
from relay.telemetry.metrics import Metrics

_SAFE_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}\Z")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
_NO_STORE: Final = (b"cache-control", b"no-store")
_CLOSE: Final = (b"connection", b"close")
"""On every answer while draining: the next request of this client finds another replica, not a closed socket."""
UNMATCHED: Final = "unmatched"


def new_request_id() -> str:
    """``req_`` and 32 random hex digits."""
    return "req_" + os.urandom(16).hex()


class Edge:
    """The ASGI app that a server calls."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        clock: Clock,
        readiness: Readiness,
        new_id: Callable[[], str] = new_request_id,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock
        self._readiness = readiness
        self._new_id = new_id
        self._log = structlog.get_logger("relay")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; lifespan and websocket go through as they are."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started_s = self._clock.monotonic_s()
        exchange = Exchange(_request_id(scope) or self._new_id())
        scope.setdefault("state", {})[STATE_KEY] = exchange
        method = scope["method"]
        bodiless = method == "HEAD" and not scope["path"].startswith("/callbacks/")
        if bodiless:
            # HEAD is GET without the body; but a callback is no reading. In a copy: uvicorn looks into its own scope to
            # see whether a body is due.
            scope = {**scope, "method": "GET"}
        api = scope["path"].startswith("/v1/")

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = [*message["headers"], *self._common_headers(exchange, api)]
            elif bodiless and message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            self._account(scope, exchange, method, self._clock.monotonic_s() - started_s)

    def _account(self, scope: HTTPScope, exchange: Exchange, method: str, seconds: float) -> None:
        # 0: the client went away before there was an answer.
        status = exchange.status
        route = str(scope.get("path_template", UNMATCHED))
        method = method if method in _METHODS else "OTHER"
        principal = exchange.principal
        self._metrics.request_served(method, route, status, seconds)
        self._log.info(
            "request.served",
            request_id=exchange.request_id,
            method=method,
            route=route,
            status=status,
            duration_ms=round(seconds * 1000, 3),
            team_id=None if principal is None or principal.team is None else principal.team.id,
            key_id=None if principal is None else principal.key_id,
            error=exchange.error,
        )

    def _common_headers(self, exchange: Exchange, api: bool) -> Headers:
        headers = [(b"x-request-id", exchange.request_id.encode()), _NOSNIFF]
        if api:
            headers.append(_NO_STORE)
        if exchange.rate is not None:
            headers += rate_headers(exchange)
        if self._readiness.draining:
            headers.append(_CLOSE)
        return headers


def _request_id(scope: HTTPScope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode("ascii") if _SAFE_ID.match(value) else None
    return None
