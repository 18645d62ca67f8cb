import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest

from relay.store.migrate import run_migrate_postgres
from relay.store.postgres import PostgresDriver
from tests.postgres.found import found
from tests.postgres.server import PostgresServer
from tests.postgres.servers import PostgresServers
from tests.store.postgres.notes import Notes
from tests.store.postgres.several import Several, bouncing, several

_numbers: Final = itertools.count(1)


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


@pytest.fixture
def url(postgres_server: PostgresServer) -> Iterator[str]:
    """Of a migrated database, on each version."""
    name = f"schema{next(_numbers)}"
    run_migrate_postgres(postgres_server.create_database(name))
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def migrated(postgres_servers: PostgresServers) -> str:
    """The name of a migrated database on the newest version, to be copied and never connected to."""
    run_migrate_postgres(postgres_servers.shared(found()[0]).create_database("migrated"))
    return "migrated"


@pytest.fixture
async def three(
    request: pytest.FixtureRequest, postgres_servers: PostgresServers, migrated: str
) -> AsyncIterator[Several]:
    """Three stores on one database; see ``POOLED_TOO``."""
    server = postgres_servers.shared(found()[0])
    name = f"several{next(_numbers)}"
    url = server.create_database(name, migrated)
    with contextlib.ExitStack() as ends:
        ends.callback(server.drop_database, name)
        pooled = getattr(request, "param", "direct") == "pooled"
        if pooled:
            bouncer = ends.enter_context(bouncing(server, postgres_servers, connections=6))
            url = bouncer.url(name)
        async with several(server, name, url, pooler=pooled) as made:
            yield made
