"""One HTTP exchange with the raw connection beneath it: uvicorn's protocol shows it, faults end it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, cast

from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPScope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from relay.provider.sandbox.answers import Reply

MAX_BODY_BYTES: Final = 1_000_000

_EXTENSION: Final = "relay.sandbox.connection"


class ClientGone(Exception):
    """The client went away before its request was complete: there is nothing to carry out and nobody to answer."""


class BodyTooLong(Exception):
    """The body is longer than MAX_BODY_BYTES."""


class OpenProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol; the transport of the connection is in `scope["extensions"]`. Logs no requests."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.access_log = False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {_EXTENSION: {"transport": self.transport}}


class Exchange:
    """A request and the means to answer it, or to do worse."""

    def __init__(self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        self.method = scope["method"]
        self.path = scope["path"]
        self.query = scope["query_string"].decode("latin-1")
        self.client = scope["client"][0] if scope["client"] else ""
        self._scope = scope
        self._receive = receive
        self._send = send
        self.before_end: Callable[[], None] = _nothing
        """Called before the client can know that the exchange has ended; perhaps more than once."""

    def media_type(self) -> str:
        """The request's content-type, lower-case and without parameters; "" if there is none."""
        for name, value in self._scope["headers"]:
            if name == b"content-type":
                return value.decode("latin-1").partition(";")[0].strip().lower()
        return ""

    async def read(self) -> bytes:
        """The whole body. Raises ClientGone, BodyTooLong."""
        parts: list[bytes] = []
        size = 0
        while True:
            event = await self._receive()
            if event["type"] != "http.request":
                raise ClientGone
            parts.append(event["body"])
            size += len(event["body"])
            if size > MAX_BODY_BYTES:
                raise BodyTooLong
            if not event["more_body"]:
                return b"".join(parts)

    async def write(self, reply: Reply) -> None:
        """Answers."""
        await self._write_head(reply)
        self.before_end()
        await self._send({"type": "http.response.body", "body": reply.body, "more_body": False})

    async def write_half(self, reply: Reply) -> None:
        """Promises the whole answer, sends half of its body, and closes the connection."""
        await self._write_head(reply)
        half = reply.body[: len(reply.body) // 2]
        await self._send({"type": "http.response.body", "body": half, "more_body": True})
        self.before_end()
        self._transport().close()  # not abort: what was written is still sent
        await self.wait_until_gone()

    async def abort(self) -> None:
        """Resets the connection. Under a server other than SandboxServer: raises ConnectionResetError instead."""
        self.before_end()
        self._transport().abort()
        await self.wait_until_gone()

    async def wait_until_gone(self, timeout_s: float | None = None) -> bool:
        """Waits until the client goes away, or for so long; whether it is gone."""
        try:
            async with asyncio.timeout(timeout_s):
                while (await self._receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            return False
        return True

    async def _write_head(self, reply: Reply) -> None:
        headers = [
            (b"content-type", f"{reply.media_type};charset=UTF-8".encode()),
            (b"content-length", b"%d" % len(reply.body)),
        ]
        headers.extend((name.encode(), value.encode()) for name, value in reply.headers.items())
        await self._send({"type": "http.response.start", "status": reply.status, "headers": headers})

    def _transport(self) -> asyncio.Transport:
        extension: Mapping[object, object] | None = self._scope.get("extensions", {}).get(_EXTENSION)
        if extension is None:
            raise ConnectionResetError("a fault of the sandbox ends this connection")
        return cast("asyncio.Transport", extension["transport"])


def _nothing() -> None:
    """Nobody wants to know."""
