"""uvicorn, as this product runs it."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import uvicorn
from litestar.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from relay.api.problems import PROBLEM_JSON, problem_of
from relay.domain.errors import RequestMalformed
from relay.system import SystemEntropy

BACKLOG: Final = 2048
KEEP_ALIVE_S: Final = 75


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, whose own answer to what it cannot parse is a problem like every other error."""

    def send_400_response(self, msg: str) -> None:
        request_id = SystemEntropy().new_id("req_")
        malformed = RequestMalformed("The request line or its headers are malformed.")
        scope: Any = {"path": ""}  # all that a problem needs of it, and all that is known
        body = msgspec.json.encode(problem_of(malformed, scope, request_id))
        head = (
            "HTTP/1.1 400 Bad Request\r\n"
            f"content-type: {PROBLEM_JSON}\r\ncontent-length: {len(body)}\r\n"
            f"x-request-id: {request_id}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class Server(uvicorn.Server):
    """uvicorn, with the signals and the end left to us: a drain comes before its end."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(_config(app))
        self._listening = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    async def open(self, listener: socket.socket) -> None:
        """Requests are taken from ``listener``, which is bound, when this returns. Raises what stood against it."""
        self._serving = asyncio.create_task(self.serve(sockets=[listener]))
        listening = asyncio.create_task(self._listening.wait())
        await asyncio.wait({self._serving, listening}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        if self._serving.done():
            await self._serving

    @property
    def requests(self) -> set[asyncio.Task[None]]:
        """Those that are under way now."""
        return set(self.server_state.tasks)

    def close(self) -> None:
        """Take no connection any more. The idle ones are closed, the others behind their answers."""
        self.should_exit = True

    def cut(self) -> int:
        """End what is still under way; how many requests."""
        requests = self.requests
        for connection in list(self.server_state.connections):
            # Before the requests are cancelled, so that none of them writes an answer of its own about that.
            connection.transport.abort()
        for request in requests:
            request.cancel()
        return len(requests)

    async def ended(self) -> None:
        """Until all connections and requests have ended, after ``close``; or until serving broke."""
        if self._serving is not None:
            await asyncio.wait({self._serving})

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's, then tells that it listens."""
        await super().startup(sockets)
        self._listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        server_header=False,
        # The peer's own address is what callback allow-lists begin with; see relay/domain/peers.py.
        proxy_headers=False,
        log_config=None,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        # None: `cut` ends what does not end by itself.
        timeout_graceful_shutdown=None,
    )
