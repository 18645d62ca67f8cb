"""Between two programs on a network: a load balancer, a cable that is pulled, a firewall that swallows bytes."""

import asyncio
import socket
from contextlib import suppress
from typing import Final, Self

from tests.loopback import free_port

_PIECE_BYTES: Final = 64 * 1024


class Forwarder:
    """Listens on a loopback port while the context is open, and passes each connection on to the next of ``ports`` that
    takes it. What was passed on to one is never passed on to another."""

    def __init__(self, *ports: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._ports = list(ports)
        self._passes = asyncio.Event()
        self._passes.set()
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.cut()

    def leads_to(self, *ports: int) -> None:
        """Other ports from now on."""
        self._ports = list(ports)

    async def cut(self) -> None:
        """Every connection is gone, and new ones are refused, until ``mend``."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running)
            await server.wait_closed()

    async def mend(self) -> None:
        """After ``cut``."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def swallow(self) -> None:
        """Connections stay and are taken, but nothing arrives any more, until ``pass_on``: then all of it does."""
        self._passes.clear()

    def pass_on(self) -> None:
        """After ``swallow``."""
        self._passes.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        # Cancelled by nobody but ``cut``; the task is then the server's, which would complain.
        with suppress(asyncio.CancelledError):
            try:
                await self._forward(reader, writer)
            finally:
                self._running.discard(task)
                writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._passes.wait()
        # Accepted just before ``cut``, it begins after it.
        far = await self._connect() if self._server is not None else None
        if far is None:
            return
        far_reader, far_writer = far
        ways = {
            asyncio.create_task(self._copy(reader, far_writer)),
            asyncio.create_task(self._copy(far_reader, writer)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            # Neither side speaks on when the other has ended; what it had said is passed on.
            for end in (far_writer, writer):
                end.close()
                with suppress(OSError):
                    await end.wait_closed()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            far_writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        order = list(self._ports)
        self._ports = [*order[1:], *order[:1]]
        for port in order:
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        return None

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE_BYTES):
                await self._passes.wait()
                writer.write(piece)
                await writer.drain()


class Doorstep(Forwarder):
    """At first connections are not completed, because its queue of waiting ones is full; after ``open`` they are, those
    too that still try, whether their process runs or stands still (Linux)."""

    async def __aenter__(self) -> Self:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(0)
        self._callers = [socket.socket() for _ in range(4)]
        for caller in self._callers:
            caller.setblocking(False)
            caller.connect_ex(self._listener.getsockname())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._hang_up()
        await super().__aexit__(*exc_info)
        self._listener.close()

    async def open(self) -> None:
        """It is a forwarder like any other now."""
        self._hang_up()
        self._server = await asyncio.start_server(self._serve, sock=self._listener)

    def _hang_up(self) -> None:
        while self._callers:
            self._callers.pop().close()
