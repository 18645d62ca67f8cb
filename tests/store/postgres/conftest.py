from collections.abc import AsyncIterator, Iterator

import pytest

from relay.store.postgres import PostgresDriver
from tests.postgres.found import found
from tests.postgres.server import PostgresServer
from tests.postgres.servers import PostgresServers
from tests.store.postgres.notes import Notes


@pytest.fixture
def notes(postgres_server: PostgresServer) -> Iterator[Notes]:
    """On each version."""
    made = Notes(postgres_server)
    yield made
    made.drop()


@pytest.fixture
async def driver(notes: Notes) -> AsyncIterator[PostgresDriver]:
    """With one writer, so that it is known what shares a commit."""
    made = notes.driver(writers=1)
    yield made
    await made.close()


@pytest.fixture
def newest(postgres_servers: PostgresServers) -> Iterator[Notes]:
    """On the newest version alone."""
    made = Notes(postgres_servers.shared(found()[0]))
    yield made
    made.drop()


@pytest.fixture
def own_server(postgres_servers: PostgresServers) -> Iterator[PostgresServer]:
    """The newest version; the test may stop it."""
    server = postgres_servers.new(found()[0])
    server.start()
    yield server
    server.close()
