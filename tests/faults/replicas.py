"""Several gateways on one PostgreSQL."""

import platform
from typing import Final

from relay.domain.ids import raw_bytes
from tests.faults import audit
from tests.faults.gateway_process import GatewayProcess
from tests.faults.polling import until
from tests.faults.world import Json, World
from tests.postgres.server import PostgresServer

TTL_S: Final = 2.0
SOON_S: Final = TTL_S + 6.0
"""A time to live, the beat that finds the death, the sweep or the pull after it, on a slow machine. The lease of what a
dead replica was sending would last 90 s."""
WITHIN_S: Final = 20.0
"""For what depends on no death."""
SETTINGS: Final = {
    **audit.SETTINGS,
    "database_timeout_s": "1",
    "log_level": "warning",
    "replica_ttl_s": str(TTL_S),
}
"""Of replicas that find out soon what became of the others."""
ACCOUNT: Final = {"connections": 32}
"""Of rounds of faults: what a joiner's wait for its share has left behind goes out soon."""


def on(*database_urls: str, each: int = 2) -> list[dict[str, str]]:
    """What is each one's own: on every database URL there are ``each``."""
    return [{"database_url": url} for url in database_urls for _ in range(each)]


async def leader_and_other(world: World) -> tuple[GatewayProcess, GatewayProcess]:
    """Of two replicas that know of each other: the one that leads, and the one that does not."""
    found: list[GatewayProcess] = []

    async def one_leads() -> bool:
        known = [await gateway.metric("relay_replicas") for gateway in world.gateways]
        leads = [await gateway.metric("relay_leader") for gateway in world.gateways]
        found[:] = [
            gateway for _, gateway in sorted(zip(leads, world.gateways, strict=True), key=lambda pair: -pair[0])
        ]
        return known == [2, 2] and sorted(leads) == [0, 1]

    await until(one_leads, WITHIN_S, "one of the two leads", world.told)
    leader, other = found
    return leader, other


class Claims:
    """What the database at ``url`` says of work and of who does it."""

    def __init__(self, server: PostgresServer, url: str) -> None:
        self._server = server
        self._database = url.rpartition("/")[2]

    def submission(self, message: Json) -> tuple[str, int]:
        """Status of the message's only submission, and which attempt it is."""
        ((status, attempt),) = self._server.execute(
            self._database, "SELECT status, attempt FROM submissions WHERE message = $1", raw_bytes(message["id"])
        )
        return status, attempt

    async def submitter(self, message: Json, world: World) -> GatewayProcess:
        """Which replica is sending it, once one is."""
        query = "SELECT r.name FROM submissions s JOIN replicas r ON r.id = substr(s.claim, 1, 8) WHERE s.message = $1"
        return await self._one_of(world, query, raw_bytes(message["id"]))

    async def deliverer(self, world: World) -> GatewayProcess:
        """A replica that has deliveries, once one has."""
        return await self._one_of(
            world, "SELECT DISTINCT r.name FROM deliveries d JOIN replicas r ON r.id = substr(d.claim, 1, 8)"
        )

    async def _one_of(self, world: World, query: str, *params: object) -> GatewayProcess:
        found: list[GatewayProcess] = []

        def is_found() -> bool:
            names = {row["name"] for row in self._server.execute(self._database, query, *params)}
            found[:] = [gateway for gateway in world.gateways if f"{platform.node()}:{gateway.pid}" in names]
            return found != []

        await until(is_found, WITHIN_S, "a replica has it", world.told)
        return found[0]
