import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from random import Random, SystemRandom
from typing import TypeAlias

import pytest

from tests.faults.nursery import Nursery
from tests.faults.replicas import Claims
from tests.faults.world import LATE, World
from tests.faults.world import open_world as open_world_in
from tests.postgres.found import Postgres, found
from tests.postgres.server import PostgresServer
from tests.postgres.servers import PostgresServers

OpenWorld: TypeAlias = Callable[..., AbstractAsyncContextManager[World]]
Tell: TypeAlias = Callable[[object], None]


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """One for all tests: importing is what takes long."""
    nursery = Nursery()
    try:
        yield nursery
    finally:
        nursery.close()


@pytest.fixture
def open_world(nursery: Nursery, tmp_path: Path) -> OpenWorld:
    """``tests.faults.world.open_world`` with a place to be."""
    return partial(open_world_in, nursery, tmp_path / "var")


@pytest.fixture
async def world(open_world: OpenWorld) -> AsyncIterator[World]:
    """A gateway and its neighbours. The provider reports when the test says so."""
    async with open_world(report_delay_ms=LATE) as world:
        yield world


@pytest.fixture
def seed() -> int:
    """Of the test's choices; that of FAULTS_SEED repeats a run's."""
    seed = int(os.environ.get("FAULTS_SEED") or SystemRandom().randrange(2**32))
    sys.stdout.write(f"FAULTS_SEED={seed} repeats this run's choices\n")
    return seed


@pytest.fixture
def random(seed: int) -> Random:
    """Makes the test's choices."""
    return Random(seed)  # noqa: S311 - to be repeated, not to be secret


@pytest.fixture
def tell(seed: int, capsys: pytest.CaptureFixture[str]) -> Tell:
    """Writes a line that is seen although the test is good."""

    def tell(line: object) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  FAULTS_SEED={seed}, {line}\n")

    return tell


@pytest.fixture
def postgres() -> Postgres:
    """The newest: how versions differ is shown elsewhere."""
    return found()[0]


@pytest.fixture
def database_server(postgres: Postgres, postgres_servers: PostgresServers) -> PostgresServer:
    """One that other tests use too."""
    return postgres_servers.shared(postgres)


@pytest.fixture
def database(database_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database."""
    name = f"faults_{secrets.token_hex(8)}"
    yield database_server.create_database(name)
    database_server.drop_database(name)


@pytest.fixture
def claims(database_server: PostgresServer, database: str) -> Claims:
    """Those in the database."""
    return Claims(database_server, database)


@pytest.fixture
def own_server(postgres: Postgres, postgres_servers: PostgresServers) -> Iterator[PostgresServer]:
    """One that the test may stop."""
    # fsync: without it pages may be torn by a kill.
    server = postgres_servers.new(postgres, fsync=True)
    server.start()
    yield server
    server.close()
