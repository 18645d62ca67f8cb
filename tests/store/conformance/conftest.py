"""One suite, every engine of ``engines.py``."""

from collections.abc import AsyncIterator

import pytest

from relay.ports import Store
from tests.postgres.servers import PostgresServers
from tests.store.conformance.engines import ENGINES, Database, Engine
from tests.store.conformance.world import World


@pytest.fixture(scope="session", params=sorted(ENGINES))
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_servers: PostgresServers
) -> Engine:
    return ENGINES[request.param](tmp_path_factory.mktemp(request.param), postgres_servers)


@pytest.fixture
def database(engine: Engine) -> Database:
    return engine.new()


@pytest.fixture
async def store(database: Database) -> AsyncIterator[Store]:
    async with database.open() as opened:
        yield opened


@pytest.fixture
async def world(store: Store) -> World:
    made = World(store)
    await made.start()
    return made
