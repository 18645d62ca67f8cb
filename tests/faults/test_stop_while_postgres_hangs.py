"""A stop while PostgreSQL takes connections and answers nothing."""

import base64
from pathlib import Path
from typing import Final

from relay.store.migrate import migrate_postgres
from tests.faults.gateway_process import GatewayProcess
from tests.postgres.found import found
from tests.postgres.servers import PostgresServers

DRAIN_S: Final = 4.0
BESIDES_S: Final = 1.5
"""The end of the process itself, on a machine that does other things too."""


async def test_a_stop_ends_in_time_though_the_database_hangs(tmp_path: Path, postgres_servers: PostgresServers) -> None:
    server = postgres_servers.new(found()[0])
    server.start()
    url = server.create_database("stop")
    await migrate_postgres(url)
    keyring = "k1:" + base64.b64encode(bytes(32)).decode()
    # Long enough that whoever waits for the database waits for longer than the stop may take.
    gateway = GatewayProcess(
        tmp_path, database_url=url, database_timeout_s="30", keyring=keyring, drain_s=str(int(DRAIN_S))
    )
    try:
        await gateway.start()
        await gateway.ready()
        server.pause()
        code, seconds = await gateway.terminate()
    finally:
        gateway.close()
        server.resume()
        server.close()
    assert code == 0, gateway.tail()
    assert seconds < DRAIN_S + BESIDES_S
