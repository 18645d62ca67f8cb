"""How a world begins, how another gateway joins it, and how it is opened again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from relay.app import Gateway, Outside, open_gateway, sandbox_account
from relay.app.stores import make_store
from relay.config import load
from relay.domain.ids import AccountId
from relay.ports import Poster, Provider
from relay.provider.sandbox import AccountSettings, Sandbox, SandboxServer, SandboxSettings
from relay.services.deliver import Lanes
from relay.system import SharedEntropy, SystemEntropy
from tests.flow.clocks import MovableClock
from tests.flow.hooks import Hooks
from tests.flow.world import Limits, World
from tests.store.builders import entry

_SERVE_OUT_S: Final = 1.0
_USUAL: Final = {"RELAY_ENV": "development", "RELAY_SWEEP_INTERVAL_S": "0.05", "RELAY_DRAIN_S": "0.2"}


@contextlib.asynccontextmanager
async def serving(gateway: Gateway) -> AsyncIterator[str]:
    """The gateway's app on a free loopback port; its URL.

    Decision: uvicorn's protocol without uvicorn.Server, which looks for its end every 100 ms and takes the signals.
    """
    config = uvicorn.Config(
        gateway.app,
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        proxy_headers=False,
        log_config=None,
    )
    config.load()
    loop, state = asyncio.get_running_loop(), ServerState()

    class Connection(HttpToolsProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
            super().connection_made(transport)
            if not server.is_serving():
                # It was accepted before the end, and comes after it.
                transport.abort()

    def protocol() -> HttpToolsProtocol:
        return Connection(config=config, server_state=state, app_state={}, _loop=loop)

    server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=2048)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for connection in list(state.connections):
            connection.shutdown()
        if state.tasks:
            await asyncio.wait(state.tasks, timeout=_SERVE_OUT_S)
        for connection in list(state.connections):
            connection.transport.abort()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def open_world(
    directory: Path,
    *,
    limits: Limits | None = None,
    clock: MovableClock | None = None,
    provider: Provider | None = None,
    poster: Poster | None = None,
    sandbox: Sandbox | None = None,
    replicas: bool | None = None,
    **settings: object,
) -> AsyncIterator[World]:
    """A world that runs. ``settings`` as in the environment, without RELAY_ and in lower case. ``replicas``: others may
    join, see ``joined``."""
    environ = {
        **_USUAL,
        "RELAY_DATA_DIR": str(directory),
        **{f"RELAY_{name.upper()}": str(value) for name, value in settings.items()},
    }
    outside = Outside(
        clock=clock or MovableClock(), entropy=SystemEntropy(), provider=provider, poster=poster, replicas=replicas
    )
    sandbox = sandbox or Sandbox(SandboxSettings(report_delay_ms=20))
    async with (
        Hooks() as hooks,
        SandboxServer(sandbox) as server,
        open_gateway(load(environ), outside) as gateway,
        serving(gateway) as url,
    ):
        world = World(directory, gateway, url, server, hooks)
        gateway.start()
        try:
            await world.settle_in(limits or Limits())
            yield world
        finally:
            await world.aclose()


@contextlib.asynccontextmanager
async def joined(world: World, **settings: object) -> AsyncIterator[World]:
    """Another gateway beside this world's, on the same database: what several replicas are on PostgreSQL."""
    environ = {
        **_USUAL,
        "RELAY_DATA_DIR": str(world.directory / "other"),
        "RELAY_DATABASE_URL": f"sqlite:///{world.directory / 'relay.db'}",
        "RELAY_KEYRING_FILE": str(world.directory / "keyring"),
        **{f"RELAY_{name.upper()}": str(value) for name, value in settings.items()},
    }
    entropy = SharedEntropy(SystemEntropy())
    configured = load(environ)
    lanes = Lanes(entropy, lane_max=configured.delivery_lane_max, lease_s=configured.lease_s)
    outside = Outside(clock=MovableClock(), entropy=entropy, replicas=True)
    gateway = Gateway(configured, make_store(configured, entropy, lanes), lanes, entropy, outside)
    try:
        await gateway.recover()
        async with serving(gateway) as url:
            beside = World(world.directory, gateway, url, world.provider, world.hooks)
            beside.account, beside.team, beside.secrets = world.account, world.team, world.secrets
            beside.api = beside.client(world.secrets["live key of orders"])
            beside.admin = beside.client(world.secrets["admin key"])
            gateway.start()
            try:
                yield beside
            finally:
                await beside.aclose()
    finally:
        await gateway.stop()


@contextlib.asynccontextmanager
async def reopened(world: World) -> AsyncIterator[World]:
    """A new gateway on the database of a world that has ended, with its keys; the provider is at the same address."""
    environ = _USUAL | {"RELAY_DATA_DIR": str(world.directory)}
    port = urlsplit(world.account["base_url"]).port or 0
    async with (
        Hooks() as hooks,
        SandboxServer(world.provider.sandbox, port=port) as server,
        open_gateway(load(environ)) as gateway,
        serving(gateway) as url,
    ):
        again = World(world.directory, gateway, url, server, hooks)
        again.account, again.team, again.secrets = world.account, world.team, world.secrets
        again.api = again.client(world.secrets["live key of orders"])
        gateway.start()
        try:
            yield again
        finally:
            await again.aclose()


async def add_embedded_sandbox(world: World, server: SandboxServer) -> AccountId:
    """The account that test keys lead to, as ``relay serve`` makes it; its callbacks come to this gateway."""
    gateway = world.gateway
    account = sandbox_account(AccountId(SystemEntropy().new_id("acct_")), gateway.clock.now_ms())
    token = SystemEntropy().token(24).hex()
    await gateway.store.create_account(account, callback_token=token, entry=entry(), idempotency=None)
    await gateway.accounts.refresh()
    gateway.accounts.sandbox_url = server.url
    url = f"{world.url}/callbacks/{token}"
    server.sandbox.put_account("sandbox", AccountSettings(report_url=f"{url}/report", mo_url=f"{url}/mo"))
    return account.id
