"""``Gateway``: all parts of the product in one process, joined."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

import relay
from relay.api.app import create_app
from relay.api.services import ApiSettings
from relay.app.parts import Outside, Parts, system
from relay.app.services import make_services
from relay.app.stores import make_store, prepared
from relay.app.workers import Workers
from relay.config import Settings
from relay.console import create_console
from relay.domain.errors import StoreError
from relay.services.deliver import Lanes
from relay.store.store import ScriptStore
from relay.system import SharedEntropy
from relay.workers.membership import MembershipWorker
from relay.workers.supervisor import Supervisor

log = structlog.get_logger("relay")


class Gateway:
    """All parts, joined. ``start`` begins the work that goes on by itself, ``stop`` ends it in order."""

    def __init__(
        self, settings: Settings, store: ScriptStore, lanes: Lanes, entropy: SharedEntropy, outside: Outside
    ) -> None:
        """``store`` and ``lanes`` were made with ``entropy``."""
        parts = Parts(settings, store, lanes, entropy, outside)
        workers = Workers(parts)
        self.settings = settings
        self.store = store
        self.clock = parts.clock
        self.metrics = parts.metrics
        self.spool = parts.spool
        self.accounts = parts.accounts
        self._membership = parts.membership
        self._hints = parts.replica_hints
        self._clients = parts.clients
        self.deliver = workers.deliver
        self.submit = workers.submit
        self.pull = workers.pull
        self.upkeep = workers.upkeep
        self.retention = workers.retention
        self.key_uses = workers.key_uses
        self.key_ring = workers.key_ring
        self.services = make_services(parts, workers)
        self.app = create_app(
            self.services,
            metrics=self.metrics,
            settings=ApiSettings(
                public_url=settings.public_url or None,
                body_bytes=settings.max_body_bytes,
                callback_bytes=settings.max_callback_bytes,
                development=parts.development,
                version=relay.__version__,
            ),
            mounts={"/console": create_console()},
        )
        self._beats = None if self._membership is None else MembershipWorker(self._membership, self.clock, self.metrics)
        self._supervisor = Supervisor(self.clock, self.metrics)
        self._stopped = False

    async def recover(self) -> None:
        """Before anything is started: end the leases of the process that died, or join the replicas that do so for each
        other; and know the accounts."""
        await self.spool.start()
        await self.store.check()
        # Before the others count on this process, and before it answers anybody.
        await self.key_ring.start()
        if self._beats is not None:
            await self._beats.start()
        else:
            left = await self.store.recover(self.clock.now_ms())
            if left:
                log.warning("submissions.left_by_dead_process", submissions=left)
            self.metrics.membership(1, leads=True)
        await self.accounts.refresh()

    def start(self) -> None:
        """Begin the loops."""
        if self._beats is not None:
            self._supervisor.keep("beats", self._beats.run)
        if self._hints is not None:
            self._supervisor.keep("hints", self._hints.run)
        for name, loop in (
            ("submit", self.submit.run),
            ("deliver", self.deliver.run),
            ("pull", self.pull.run),
            ("sweep", self.upkeep.sweep),
            ("balances", self.upkeep.balances),
            ("left_bodies", self.upkeep.left_bodies),
            ("spool", self.upkeep.spool),
            ("accounts", self.upkeep.accounts),
            ("gauges", self.upkeep.gauges),
            ("key_ring", self.key_ring.run),
            ("reencrypt", self.key_ring.reencrypt),
            ("retention", self.retention.run),
            ("key_uses", self.key_uses.run),
        ):
            self._supervisor.keep(name, loop)

    def withdraw(self) -> None:
        """A stop begins: new work is refused, nobody waits any longer for what may come, nothing more is claimed, and
        what was not started is given back. What is under way goes on. Once is enough, twice does no harm."""
        self.services.readiness.draining = True
        self.services.poll.drain()
        self.services.wait.drain()
        for worker in (self.submit, self.deliver, self.pull):
            worker.withdraw()

    async def idle(self) -> None:
        """Until no submission, delivery or pull is under way."""
        await asyncio.gather(self.submit.idle(), self.deliver.idle(), self.pull.idle())

    async def stop(self, left_s: float | None = None) -> None:
        """Withdraw; finish what runs, within ``left_s`` (None: ``drain_s`` of the settings); then let go of everything.
        Once is enough, twice does no harm."""
        if self._stopped:
            return
        self._stopped = True
        self.withdraw()
        drain_s = self.settings.drain_s if left_s is None else left_s
        cut = await asyncio.gather(self.submit.drain(drain_s), self.deliver.drain(drain_s), self.pull.drain(drain_s))
        await self._supervisor.stop()
        if self._beats is not None:
            # After the drain: until here the others must not take what runs, or our share of a limit.
            await self._beats.stop()
        await self.key_ring.stop()
        for client in self._clients:
            await client.aclose()
        await self.spool.close()
        with contextlib.suppress(StoreError):
            await self.services.authenticate.note_uses()
        await self.store.close()
        log.info("gateway.stopped", submissions_cut=cut[0], deliveries_cut=cut[1], pulls_cut=cut[2])


@contextlib.asynccontextmanager
async def open_gateway(settings: Settings, outside: Outside | None = None) -> AsyncIterator[Gateway]:
    """A gateway on its own database, recovered and not yet started; stopped at the end. Raises StoreInUse,
    StoreUnavailable, KeyRingError, ConfigError."""
    outside = outside or system()
    with prepared(settings):
        entropy = SharedEntropy(outside.entropy)
        lanes = Lanes(entropy, lane_max=settings.delivery_lane_max, lease_s=settings.lease_s)
        gateway = Gateway(settings, make_store(settings, entropy, lanes), lanes, entropy, outside)
        try:
            await gateway.recover()
            yield gateway
        finally:
            await gateway.stop()
