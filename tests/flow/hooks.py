"""A team's webhook server, real and as ill-behaved as a test wants: answers by path, late, never, or with an error."""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from typing import Any, Final, Self

import msgspec

_REASONS: Final = {200: "OK", 410: "Gone", 429: "Too Many Requests", 500: "Internal Server Error", 503: "Unavailable"}


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook is answered, ``delay_s`` after it came; None: never."""

    status: int = 200
    headers: dict[str, str] = {}
    body: bytes = b""
    delay_s: float | None = 0.0


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """One POST that came. Header names in lower case; ``at_s`` of the monotonic clock."""

    path: str
    headers: dict[str, str]
    body: bytes
    at_s: float

    @property
    def event(self) -> Any:
        """The decoded payload."""
        return msgspec.json.decode(self.body)

    @property
    def type(self) -> str:
        """The type of the event."""
        return str(self.event["type"])


class Hooks:
    """Listens on a free loopback port while the context is open. Every path answers 200 unless ``script`` says more."""

    def __init__(self) -> None:
        self.received: list[Hook] = []
        self.peak: Counter[str] = Counter()
        """Most POSTs under way at once, by path."""
        self._open: Counter[str] = Counter()
        self._scripts: dict[str, list[Reply]] = {}
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    def url(self, path: str) -> str:
        """Where webhooks for this path go."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{path}"

    def script(self, path: str, *replies: Reply) -> None:
        """Answer the next POSTs to ``path`` with these, and all later ones with the last of them."""
        self._scripts[path] = list(replies)

    def on(self, path: str) -> list[Hook]:
        """What came to this path, in order."""
        return [hook for hook in self.received if hook.path == path]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=512)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()
        while self._serving:
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None or not self._server.is_serving():
            # It was accepted before the end, and comes after it.
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    await self._answer_one(reader, writer)
        finally:
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request_line, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        path = request_line.split(" ")[1]
        self._open[path] += 1
        self.peak[path] = max(self.peak[path], self._open[path])
        try:
            self.received.append(Hook(path=path, headers=headers, body=body, at_s=time.monotonic()))
            reply = self._next_reply(path)
            if reply.delay_s is None:
                await reader.read()  # until the other side gives up
                raise ConnectionError
            await asyncio.sleep(reply.delay_s)
            extra = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
            status = f"{reply.status} {_REASONS.get(reply.status, 'Other')}"
            writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(reply.body)}\r\n{extra}\r\n".encode() + reply.body)
            await writer.drain()
        finally:
            self._open[path] -= 1

    def _next_reply(self, path: str) -> Reply:
        replies = self._scripts.get(path)
        if not replies:
            return Reply()
        return replies.pop(0) if len(replies) > 1 else replies[0]
