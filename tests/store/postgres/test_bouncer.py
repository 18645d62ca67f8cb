"""With PgBouncer in transaction mode between: the schema, a restart of it, and more clients than it has connections.

What several stores do through it is in test_several_writers.py and test_several_deliverers.py.
"""

import asyncio
from collections.abc import Iterator

import pytest

from relay.domain.errors import StoreUnavailable
from relay.store.migrate import head, migrate_postgres
from tests.faults.polling import until
from tests.postgres.bouncer import PgBouncer
from tests.postgres.servers import PostgresServers
from tests.store.postgres.notes import SECONDS, Notes, read_all, together, write, write_at_once
from tests.store.postgres.several import bouncing


@pytest.fixture
def bouncer(newest: Notes, postgres_servers: PostgresServers) -> Iterator[PgBouncer]:
    with bouncing(newest.server, postgres_servers, connections=2) as made:
        yield made


async def test_a_database_is_migrated_through_it_however_many_try(newest: Notes, bouncer: PgBouncer) -> None:
    url = bouncer.url(newest.name)
    assert await asyncio.gather(*(migrate_postgres(url) for _ in range(2))) == [head()] * 2
    assert await migrate_postgres(url) == head()


async def test_two_drivers_share_fewer_connections_than_they_have(newest: Notes, bouncer: PgBouncer) -> None:
    drivers = [newest.driver(bouncer.url(newest.name), pooler=True) for _ in range(2)]
    await asyncio.gather(
        *(drivers[number % 2].write(write_at_once(number)) for number in range(200)),
        *(drivers[number % 2].read(read_all) for number in range(40)),
    )
    assert newest.stored() == list(range(200))
    (connected,) = newest.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = $1", newest.name)
    assert connected[0] <= 2 + 1
    for driver in drivers:
        await driver.close()


async def test_writes_are_put_together_through_it(newest: Notes, bouncer: PgBouncer) -> None:
    driver = newest.driver(bouncer.url(newest.name), pooler=True, writers=1)
    assert await together(newest, driver, *(write(number) for number in range(20))) == list(range(20))
    assert newest.commits() == 1
    await driver.close()


async def test_a_bouncer_that_was_killed_is_unavailable_and_then_all_is_well(newest: Notes, bouncer: PgBouncer) -> None:
    driver = newest.driver(bouncer.url(newest.name), pooler=True)
    await driver.write(write(1))
    bouncer.kill()
    for run, script in ((driver.write, write(2)), (driver.read, read_all)):
        with pytest.raises(StoreUnavailable):
            await run(script)
    bouncer.start()

    async def works() -> bool:
        try:
            return await driver.write(write(3)) == 3
        except StoreUnavailable:
            return False

    await until(works, SECONDS, "the driver works again")
    assert newest.stored() == [1, 3]
    await driver.close()
