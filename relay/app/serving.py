"""A gateway on a socket, from start to drain."""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

import relay
from relay.api.problems import PROBLEM_JSON, problem_of
from relay.api.services import ApiServices
from relay.app.embedded import EmbeddedSandbox
from relay.app.gateway import Gateway, open_gateway
from relay.config import Settings
from relay.domain.errors import ConfigError, RequestMalformed
from relay.system import SystemEntropy

GC_THRESHOLD: Final = (50_000, 20, 50)
"""After start-up little of what is made forms cycles; the default of 700 scans young objects for nothing."""
BACKLOG: Final = 2048

log = structlog.get_logger("relay")


@dataclass(frozen=True, kw_only=True)
class Running:
    """A gateway that takes requests. ``url`` and ``sandbox_url`` are reachable from this machine."""

    url: str
    services: ApiServices
    sandbox_url: str | None


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


class _Server(uvicorn.Server):
    """uvicorn, with the signals left to us: a drain comes before its end. ``listening``: it takes requests."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings, *, announce: Callable[[Running], Awaitable[None]] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. ``announce`` is called once requests are taken."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    with _listen(settings) as listener:
        url = _url(settings, listener)
        async with open_gateway(settings) as gateway, EmbeddedSandbox(gateway) as sandbox:
            server = _Server(_config(settings, gateway))
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                await server.listening.wait()
                await sandbox.connect(url)
                gateway.start()
                gc.collect()
                gc.freeze()
                gc.set_threshold(*GC_THRESHOLD)
                log.info("gateway.started", url=url, sandbox_url=sandbox.url, version=relay.__version__)
                if announce is not None:
                    await announce(Running(url=url, services=gateway.services, sandbox_url=sandbox.url))
                stop = asyncio.create_task(stopping.wait())
                await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
                stop.cancel()
            finally:
                # One deadline over requests, submissions and deliveries: the process manager waits only once.
                deadline_s = loop.time() + settings.drain_s
                gateway.services.readiness.draining = True
                server.should_exit = True
                await asyncio.gather(serving, return_exceptions=True)
                await gateway.stop(max(0.0, deadline_s - loop.time()))
    return 0


def _config(settings: Settings, gateway: Gateway) -> uvicorn.Config:
    return uvicorn.Config(
        gateway.app,
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
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, int(settings.drain_s)),
    )


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
