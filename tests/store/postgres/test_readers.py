"""Reads of PostgreSQL that are given up."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from relay.store.postgres import PostgresDriver
from relay.store.queries import Queries, Query
from relay.store.script import Db, Script, Step
from relay.system import SystemEntropy
from tests.faults.polling import until
from tests.postgres.found import found
from tests.postgres.server import PostgresServer
from tests.postgres.servers import PostgresServers

SECONDS = 20.0
ASLEEP = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


@pytest.fixture
def own_server(postgres_servers: PostgresServers) -> Iterator[PostgresServer]:
    """One that the test may pause."""
    server = postgres_servers.new(found()[0])
    server.start()
    yield server
    server.close()


def slow(db: Db) -> Script[None]:
    """A statement that takes longer than any test."""
    yield Step(Query(sql="SELECT pg_sleep(60)", names=()), (), "rows")


async def test_a_read_that_is_given_up_ends_at_once_although_the_server_stands_still(
    own_server: PostgresServer,
) -> None:
    queries = Queries.load("postgres")
    driver = PostgresDriver(own_server.url("postgres"), queries, Db(queries, SystemEntropy(), None), timeout_s=SECONDS)
    reading = asyncio.create_task(driver.read(slow))
    await until(lambda: own_server.execute("postgres", ASLEEP) == [(1,)], SECONDS, "the statement runs")
    own_server.pause()

    reading.cancel()
    started_s = time.monotonic()
    await asyncio.wait([reading], timeout=SECONDS)

    assert reading.cancelled()
    assert time.monotonic() - started_s < SECONDS / 2
    own_server.resume()
    await driver.close()
