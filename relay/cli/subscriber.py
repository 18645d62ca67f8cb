"""A team's side of webhooks, as small as it can be: a server that checks each signature and tells what came."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, Self

import msgspec

from relay.webhooks.signing import verify

_HEAD_BYTES: Final = 16_384
_BODY_BYTES: Final = 1_048_576


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """One POST that came. ``payload`` is the decoded event; ``verified``: its signature was right."""

    webhook_id: str
    verified: bool
    payload: dict[str, Any]


class Subscriber:
    """Listens on a free loopback port while the context is open; answers 200, or 401 to a wrong signature."""

    def __init__(self, on_webhook: Callable[[Webhook], None]) -> None:
        self._on_webhook = on_webhook
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self.secret: str | None = None

    @property
    def url(self) -> str:
        """Where webhooks are to be sent."""
        if self._server is None:
            raise RuntimeError("the subscriber is not open")
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/webhooks"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=_HEAD_BYTES)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._server is not None:
            self._server.close()
        serving = dict(self._open)
        for writer in serving:
            writer.close()  # ends its task
        await asyncio.gather(*serving.values())

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[writer] = asyncio.create_task(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                headers = _headers(head)
                length = int(headers.get("content-length", "0"))
                if length > _BODY_BYTES:
                    break
                body = await reader.readexactly(length)
                accepted = self._take(headers, body)
                writer.write(b"HTTP/1.1 %s\r\ncontent-length: 0\r\n\r\n" % (b"200 OK" if accepted else b"401 No"))
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            pass  # the gateway went away, or it was not the gateway
        finally:
            writer.close()
            del self._open[writer]

    def _take(self, headers: dict[str, str], body: bytes) -> bool:
        secrets = [] if self.secret is None else [self.secret]
        verified = verify(secrets, headers, body, int(time.time()))
        payload = msgspec.json.decode(body, type=dict[str, Any])
        self._on_webhook(Webhook(webhook_id=headers.get("webhook-id", ""), verified=verified, payload=payload))
        return verified


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
