"""A server that does not take us: unavailable, and no word of a secret."""

import logging
import traceback

import pytest

from relay.domain.errors import StoreUnavailable
from relay.store.migrate import migrate_postgres
from tests.faults.polling import until
from tests.loopback import free_port
from tests.postgres.found import found
from tests.postgres.servers import PostgresServers
from tests.store.postgres.notes import SECONDS, Notes, read_all, write

WORD = "made-up"
"""In every password of these tests."""


async def _is_refused(notes: Notes, url: str, log: pytest.LogCaptureFixture) -> None:
    log.set_level(logging.DEBUG)
    driver = notes.driver(url)
    for attempt in (driver.write(write(1)), driver.read(read_all), migrate_postgres(url)):
        with pytest.raises(StoreUnavailable) as caught:
            await attempt
        assert WORD not in "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(driver)
    assert WORD not in log.text
    await driver.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://relay:made-up-password@127.0.0.1:{port}/no_such_database",
        "postgresql://no_such_user:made-up-password@127.0.0.1:{port}/{name}",
        "postgresql://relay:made-up-password@127.0.0.1:{free}/{name}",
        "postgresql://relay:made-up-password@no-such-host.invalid/{name}",
        # A slash that is not escaped: half of the password is where the port should be.
        "postgresql://relay:1/made-up-password@127.0.0.1:{port}/{name}",
        "postgresql://relay:made-up/password@127.0.0.1:{port}/{name}",
        "postgresql://relay:made-up-password@127.0.0.1:{port}/{name}?sslmode=verify-full",
    ],
)
async def test_whoever_cannot_be_reached_is_unavailable(
    newest: Notes, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await _is_refused(newest, url.format(port=newest.server.port, name=newest.name, free=free_port()), caplog)


async def test_a_wrong_password_is_unavailable(
    postgres_servers: PostgresServers, caplog: pytest.LogCaptureFixture
) -> None:
    server = postgres_servers.new(found()[0], auth="scram-sha-256")
    server.start()
    notes = Notes(server)
    await _is_refused(notes, notes.url.replace("made-up-password", "another-made-up-one"), caplog)
    server.close()


async def test_a_server_without_a_place_is_unavailable(newest: Notes, caplog: pytest.LogCaptureFixture) -> None:
    newest.execute(f"ALTER DATABASE {newest.name} CONNECTION LIMIT 0")
    await _is_refused(newest, newest.url, caplog)


async def test_a_standby_can_be_read_and_is_left_once_another_may_be_written(newest: Notes) -> None:
    newest.server.execute("postgres", f"ALTER DATABASE {newest.name} SET default_transaction_read_only = on")
    driver = newest.driver(writers=1)
    assert await driver.read(read_all) == []
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await driver.write(write(1))
    newest.server.execute("postgres", f"ALTER DATABASE {newest.name} SET default_transaction_read_only = off")

    async def is_written() -> bool:
        return await driver.write(write(1)) == 1

    # The setting is the connection's: it works because a new one was made.
    await until(is_written, SECONDS, "it works")
    await driver.close()
