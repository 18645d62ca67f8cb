"""A team's webhook receiver: a real HTTP server that verifies with the public package and remembers what came."""

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any, Self

from standardwebhooks import Webhook, WebhookVerificationError


class Receiver:
    """Listens on a free loopback port while the context is open. ``times`` an event id was accepted; ``secret`` signs.

    While ``held`` is clear, requests are read and not answered; otherwise they are after ``pause_s``.
    """

    def __init__(self) -> None:
        self.secret = ""
        self.times: Counter[str] = Counter()
        self.events: dict[str, Any] = {}
        self.wrong: list[str] = []
        self.held = asyncio.Event()
        self.held.set()
        self.pause_s = 0.0
        self.read: Counter[str] = Counter()
        self.most_at_once = 0
        self._at_once = 0
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._connections)

    @property
    def url(self) -> str:
        """Where webhooks are to be sent."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/webhooks"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()
        self.held.set()
        for writer in self._connections:
            writer.close()
        await asyncio.gather(*(task for task in self._connections.values() if task is not None))
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections[writer] = asyncio.current_task()
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                pairs = [line.partition(":") for line in head.split("\r\n")[1:] if line]
                headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
                body = await reader.readexactly(int(headers["content-length"]))
                self.read[headers.get("webhook-id", "")] += 1
                await self._think()
                accepted = self._take(headers, body)
                status = b"204 No Content" if accepted else b"401 Unauthorized"
                writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the gateway was killed, or closed an idle connection
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            # Last: who ends the receiver waits for what is in here.
            del self._connections[writer]

    async def _think(self) -> None:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await self.held.wait()
        await asyncio.sleep(self.pause_s)
        self._at_once -= 1

    def _take(self, headers: dict[str, str], body: bytes) -> bool:
        event_id = headers.get("webhook-id", "")
        try:
            payload = Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError as error:
            self.wrong.append(f"{event_id}: {error}")
            return False
        if payload["id"] != event_id or self.events.setdefault(event_id, payload) != payload:
            self.wrong.append(f"{event_id}: not the event that it names, or not the same as before")
        self.times[event_id] += 1
        return True
