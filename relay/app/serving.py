"""A gateway on a socket, from start to exit."""

import asyncio
import gc
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

import relay
from relay.api.services import ApiServices
from relay.app.drain import StopSignals, drain
from relay.app.embedded import EmbeddedSandbox
from relay.app.gateway import open_gateway
from relay.app.listening import Server
from relay.config import Settings
from relay.domain.errors import ConfigError

GC_THRESHOLD: Final = (50_000, 20, 50)
"""After start-up little of what is made forms cycles; the default of 700 scans young objects for nothing."""

log = structlog.get_logger("relay")


@dataclass(frozen=True, kw_only=True)
class Running:
    """A gateway that takes requests. ``url`` and ``sandbox_url`` are reachable from this machine."""

    url: str
    services: ApiServices
    sandbox_url: str | None


async def serve(settings: Settings, *, announce: Callable[[Running], Awaitable[None]] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, then drain; the exit code. ``announce`` is called once requests are taken."""
    signals = StopSignals()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.take)
    with _listen(settings) as listener:
        url = _url(settings, listener)
        async with open_gateway(settings) as gateway, EmbeddedSandbox(gateway) as sandbox:
            server = Server(gateway.app)
            try:
                await server.open(listener)
                await sandbox.connect(url)
                gateway.start()
                gc.collect()
                gc.freeze()
                gc.set_threshold(*GC_THRESHOLD)
                log.info("gateway.started", url=url, sandbox_url=sandbox.url, version=relay.__version__)
                if announce is not None:
                    await announce(Running(url=url, services=gateway.services, sandbox_url=sandbox.url))
                await _asked_or_ended(signals, server)
            finally:
                await drain(gateway, server, signals)
    return 0


async def _asked_or_ended(signals: StopSignals, server: Server) -> None:
    waits = [asyncio.create_task(signals.asked.wait()), asyncio.create_task(server.ended())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _listen(settings: Settings) -> socket.socket:
    """The socket, before anything else is opened: a taken port is told at once. Raises ConfigError."""
    try:
        found = socket.getaddrinfo(
            settings.host or None, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ConfigError(
            f"RELAY_HOST, RELAY_PORT: {settings.host}:{settings.port} cannot be listened on: {error.strerror}"
        ) from error
    return listener


def _url(settings: Settings, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
