"""A COMMIT whose answer is lost: whoever waits is told what became of it, and it is done exactly once."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from relay.domain.errors import StoreUnavailable
from relay.store.script import Db, Script
from tests.postgres.found import found
from tests.postgres.servers import PostgresServers
from tests.store.postgres.notes import SECONDS, Notes, read_all, write
from tests.store.postgres.proxy import Cut, proxied


def _counted(number: int, runs: list[int]) -> Callable[[Db], Script[int]]:
    def script(db: Db) -> Script[int]:
        runs.append(number)
        return (yield from write(number)(db))

    return script


@pytest.mark.parametrize("company", [1, 5])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_commit_is_found_out_and_done_once(notes: Notes, when: Cut, company: int) -> None:
    runs: list[int] = []
    async with proxied(notes.server) as proxy:
        driver = notes.driver(proxy.url(notes.name), writers=1)
        await driver.write(write(0))
        proxy.cut(when)
        numbers = range(1, company + 1)
        writes = [asyncio.create_task(driver.write(_counted(number, runs))) for number in numbers]
        assert await asyncio.gather(*writes) == [*numbers]
        assert proxy.cuts == 0
        assert (notes.stored(), notes.commits()) == ([0, *numbers], 2)
        # Again only what had not happened.
        assert runs == [*numbers] * (2 if when == "before" else 1)
        await driver.close()


async def test_a_lost_commit_of_a_script_that_wrote_nothing_is_run_again(newest: Notes) -> None:
    async with proxied(newest.server) as proxy:
        driver = newest.driver(proxy.url(newest.name), writers=1)
        await driver.write(write(0))
        proxy.cut("after")
        assert await driver.write(read_all) == [0]
        assert proxy.cuts == 0
        await driver.close()


async def test_a_script_is_not_run_for_ever_when_no_commit_arrives(newest: Notes) -> None:
    runs: list[int] = []
    async with proxied(newest.server) as proxy:
        driver = newest.driver(proxy.url(newest.name), writers=1)
        await driver.write(write(0))
        proxy.cut("before", times=100)
        with pytest.raises(StoreUnavailable):
            await driver.write(_counted(1, runs))
        assert len(runs) == 2
        proxy.cut("before", times=0)
        assert await driver.write(_counted(2, runs)) == 2
        assert newest.stored() == [0, 2]
        await driver.close()


@pytest.fixture
def forgetful(postgres_servers: PostgresServers) -> Iterator[Notes]:
    """Nothing reaches its disk but by a commit: a crash takes the number of a transaction with it."""
    server = postgres_servers.new(found()[0], settings={"wal_writer_delay": "10s", "bgwriter_delay": "10s"})
    server.start()
    yield Notes(server)
    server.close()


async def _crash(notes: Notes, others: int) -> str:
    """The number of the transaction that was under way, which is lost; then others commit."""
    ((number,),) = notes.execute("SELECT backend_xid::text FROM pg_stat_activity WHERE backend_xid IS NOT NULL")
    notes.server.kill()
    notes.server.start()
    for other in range(others):
        notes.execute("INSERT INTO notes (id, text) VALUES ($1, '')", 100 + other)
    return str(number)


async def test_a_commit_that_a_crash_took_is_not_taken_for_that_of_whoever_got_its_number(forgetful: Notes) -> None:
    taken: list[str] = []

    async def crash() -> None:
        taken.append(await _crash(forgetful, 10))

    async with proxied(forgetful.server) as proxy:
        driver = forgetful.driver(proxy.url(forgetful.name), writers=1)
        await driver.write(write(0))
        proxy.cut("before", meanwhile=crash)
        with pytest.raises(StoreUnavailable):
            await driver.write(write(1))
        assert forgetful.stored() == [0, *range(100, 110)]
        assert (taken[0],) in forgetful.execute("SELECT xact::text FROM notes WHERE id >= 100")
        assert await driver.write(write(2)) == 2
        await driver.close()


async def test_a_commit_that_a_crash_took_is_done_again_when_nobody_has_got_its_number(forgetful: Notes) -> None:
    async def crash() -> None:
        await _crash(forgetful, 0)

    async with proxied(forgetful.server) as proxy:
        driver = forgetful.driver(proxy.url(forgetful.name), writers=1)
        await driver.write(write(0))
        proxy.cut("before", meanwhile=crash)
        async with asyncio.timeout(SECONDS):
            assert await driver.write(write(1)) == 1
        assert forgetful.stored() == [0, 1]
        await driver.close()
