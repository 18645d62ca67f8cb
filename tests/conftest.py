import sys
from collections.abc import Iterator

import pytest
import structlog

from tests.postgres.bouncer import PgBouncer
from tests.postgres.found import found, found_pgbouncer
from tests.postgres.server import PostgresServer
from tests.postgres.servers import PostgresServers


@pytest.fixture(scope="session")
def postgres_servers() -> Iterator[PostgresServers]:
    """Starts nothing until it is asked."""
    servers = PostgresServers()
    try:
        yield servers
    finally:
        servers.close()


@pytest.fixture(scope="session", params=found(), ids=lambda postgres: postgres.name)
def postgres_server(request: pytest.FixtureRequest, postgres_servers: PostgresServers) -> PostgresServer:
    """The one of each version that all tests share: each makes databases of its own, and none stops it."""
    return postgres_servers.shared(request.param)


@pytest.fixture
def pgbouncer(postgres_server: PostgresServer, postgres_servers: PostgresServers) -> Iterator[PgBouncer]:
    """Before ``postgres_server``."""
    program = found_pgbouncer()
    if program is None:
        pytest.skip("PgBouncer is not installed")
    bouncer = PgBouncer(program, postgres_server, postgres_servers.new_directory())
    bouncer.start()
    try:
        yield bouncer
    finally:
        bouncer.close()


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """What one test sets up is not what the next one logs with: tests come in any order."""
    yield
    structlog.reset_defaults()
    for name, module in list(sys.modules.items()):
        if name.startswith("relay."):
            # Where structlog remembers how it was set up when the logger was used first.
            getattr(getattr(module, "log", None), "__dict__", {}).pop("bind", None)
