"""One suite, every engine of ``engines.py``."""

from collections.abc import AsyncIterator

import pytest

from relay.ports import Store
from tests.postgres.servers import PostgresServers
from tests.store.conformance.engines import ENGINES, Database, Engine
from tests.store.conformance.world import World


@pytest.fixture(scope="session")
def engines() -> dict[str, Engine]:
    """Those that are made: pytest forgets a parametrized fixture when it comes to another parameter."""
    return {}


@pytest.fixture(scope="session", params=sorted(ENGINES))
def engine(
    request: pytest.FixtureRequest,
    engines: dict[str, Engine],
    tmp_path_factory: pytest.TempPathFactory,
    postgres_servers: PostgresServers,
) -> Engine:
    name = request.param
    if name not in engines:
        engines[name] = ENGINES[name](tmp_path_factory.mktemp(name), postgres_servers)
    return engines[name]


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
