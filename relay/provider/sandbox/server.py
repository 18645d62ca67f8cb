"""The sandbox on a socket of its own, inside whatever loop runs."""

import asyncio
import signal
from collections.abc import Callable
from typing import Final, Self

from uvicorn import Config
from uvicorn.server import ServerState

from relay.provider.sandbox.app import SandboxApp
from relay.provider.sandbox.connection import OpenProtocol
from relay.provider.sandbox.courier import Courier
from relay.provider.sandbox.sandbox import Sandbox

_CLOSE_S: Final = 2.0


class SandboxServer:
    """Serves a sandbox while the context is open; ``url`` has no trailing slash.

    Decision: uvicorn's protocol under a plain asyncio server, without uvicorn.Server: that one takes the process's
    signals, looks for its end every 100 ms, and waits for held connections; this one closes at once.
    """

    def __init__(
        self, sandbox: Sandbox | None = None, *, host: str = "127.0.0.1", port: int = 0, keep_alive_s: int = 75
    ) -> None:
        """``port`` 0 takes a free one; idle connections are closed after ``keep_alive_s``."""
        self.sandbox = sandbox or Sandbox()
        self.courier = Courier(self.sandbox)
        self._host = host
        self._port = port
        self._keep_alive_s = keep_alive_s
        self._state = ServerState()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that is listened on. Raises RuntimeError while the server is not open."""
        if self._server is None:
            raise RuntimeError("the sandbox is not open")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Where the server is reached."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._state.connections)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        config = Config(
            SandboxApp(self.sandbox, self.courier),
            http=OpenProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            # The address of the connection counts, not what X-Forwarded-For claims: it guards the control plane.
            proxy_headers=False,
            # None: uvicorn would configure the process's logging.
            log_config=None,
            timeout_keep_alive=self._keep_alive_s,
        )
        config.load()

        def open_protocol() -> OpenProtocol:
            return OpenProtocol(config=config, server_state=self._state, app_state={}, _loop=loop)

        self._server = await loop.create_server(open_protocol, self._host, self._port, backlog=2048)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        await self.courier.aclose()
        for connection in list(self._state.connections):
            connection.transport.abort()
        # Requests under way see their client gone and end by themselves.
        tasks = list(self._state.tasks)
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=_CLOSE_S)
            for task in stuck:
                task.cancel()
        await server.wait_closed()


async def serve(
    host: str = "127.0.0.1",
    port: int = 8081,
    *,
    sandbox: Sandbox | None = None,
    started: Callable[[str], None] | None = None,
) -> None:
    """Serves until SIGINT or SIGTERM, or until cancelled; ``started`` is told the URL once connections are taken.

    Must run in the main thread. Raises OSError if the address is taken.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    async with SandboxServer(sandbox, host=host, port=port) as server:
        for number in signals:
            loop.add_signal_handler(number, stop.set)
        try:
            if started is not None:
                started(server.url)
            await stop.wait()
        finally:
            for number in signals:
                loop.remove_signal_handler(number)
