"""A stop while PostgreSQL takes connections and answers nothing."""

from typing import Final

from tests.faults.conftest import OpenWorld
from tests.faults.replicas import on
from tests.faults.world import LATE
from tests.postgres.server import PostgresServer

DRAIN_S: Final = 4.0
BESIDES_S: Final = 1.5
"""The end of the process itself, on a machine that does other things too."""


async def test_a_stop_ends_in_time_though_the_database_hangs(open_world: OpenWorld, own_server: PostgresServer) -> None:
    url = own_server.create_database("stop")
    # Long enough that whoever waits for the database waits for longer than the stop may take.
    settings = {"database_timeout_s": "30", "drain_s": str(DRAIN_S)}
    async with open_world(replicas=on(url, each=1), settings=settings, report_delay_ms=LATE) as world:
        own_server.pause()
        code, seconds = await world.gateway.terminate()

        assert code == 0, world.gateway.tail()
        assert seconds < DRAIN_S + BESIDES_S
