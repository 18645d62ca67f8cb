"""The PostgreSQL driver: group commit, failures that stay where they belong, snapshots, and the end."""

import asyncio
import logging
import traceback
from collections.abc import Callable

import pytest

from relay.domain.errors import NotFound, SchemaMissing, StoreError, StoreUnavailable
from relay.store.postgres import PostgresDriver
from relay.store.postgres.batch import BREATH
from relay.store.postgres.jobs import MAX_BATCH, MAX_WEIGHT
from relay.store.script import Db, Script, Turn
from tests.faults.polling import until
from tests.store.postgres.notes import SECONDS, Gate, Notes, read_all, refuse, together, write, write_at_once

# -- group commit ----------------------------------------------------------------------------------------------------


async def test_what_queued_while_a_commit_ran_shares_the_next_one(notes: Notes, driver: PostgresDriver) -> None:
    scripts = [write(number) for number in range(MAX_BATCH)]
    assert await together(notes, driver, *scripts) == list(range(MAX_BATCH))
    assert (notes.stored(), notes.commits()) == (list(range(MAX_BATCH)), 1)


async def test_a_commit_holds_a_limited_number_of_scripts_and_of_rows(newest: Notes) -> None:
    driver = newest.driver(writers=1)
    await together(newest, driver, *(write(number) for number in range(MAX_BATCH + 1)))
    assert newest.commits() == 2
    newest.execute("DELETE FROM notes")
    heavy = (Turn(weight=MAX_WEIGHT // 2),) * 3
    await together(newest, driver, *(write(number) for number in range(3)), turns=heavy)
    assert newest.commits() == 2
    await driver.close()


async def test_what_locks_much_shares_its_commit_with_no_other(newest: Notes) -> None:
    driver = newest.driver(writers=1)
    await together(newest, driver, *(write(number) for number in range(3)), turns=(Turn(), Turn(alone=True), Turn()))
    assert newest.commits() == 3
    await driver.close()


async def test_scripts_of_one_commit_run_in_the_order_of_their_turns(newest: Notes) -> None:
    order: list[int] = []

    def script(number: int) -> Callable[[Db], Script[None]]:
        def run(db: Db) -> Script[None]:
            order.append(number)
            yield from db.rows("notes.all")

        return run

    turns = (Turn(place=2, order="b"), Turn(place=1), Turn(place=2, order="a"), Turn(), Turn())
    driver = newest.driver(writers=1)
    await together(newest, driver, *(script(number) for number in range(5)), turns=turns)
    assert order == [3, 4, 1, 2, 0]
    await driver.close()


async def test_results_come_only_after_the_commit(notes: Notes, driver: PostgresDriver) -> None:
    for number in range(5):
        await driver.write(write(number))
        assert notes.stored() == list(range(number + 1))


async def test_a_commit_is_durable_whatever_the_default_of_the_server(newest: Notes) -> None:
    newest.execute(f"ALTER DATABASE {newest.name} SET synchronous_commit = off")
    driver = newest.driver()

    def script(db: Db) -> Script[str]:
        row = yield from db.row("durable.setting")
        return "" if row is None else row[0]

    assert await driver.write(script) == "on"
    await driver.close()


# -- failures --------------------------------------------------------------------------------------------------------


def _refuse_at_once(db: Db) -> Script[None]:
    yield from db.rows("notes.all")
    raise NotFound("not this one either")


def _insert_twice(db: Db) -> Script[None]:
    yield from db.put("notes.insert", id=88, text="")
    yield from db.put("notes.insert", id=88, text="")


def _too_large(db: Db) -> Script[None]:
    yield from db.put("notes.insert", id=99, text="")
    yield from db.put("notes.insert", id=2**70, text="")


def _misspelt(db: Db) -> Script[None]:
    yield from db.put("notes.insert", id=66, text="")
    yield from db.rows("nothing.written")


def _empty(db: Db) -> Script[None]:
    yield from db.run("notes.insert", id=55, text=None)


async def test_a_script_that_fails_takes_nobody_down_but_itself(notes: Notes, driver: PostgresDriver) -> None:
    broken = [refuse, write(2), _insert_twice, _too_large, _misspelt, _refuse_at_once, _empty]
    results = await together(notes, driver, write(1), *broken, write(3))
    assert [result if isinstance(result, int) else type(result) for result in results] == [
        1,
        NotFound,
        2,
        StoreError,
        StoreError,
        StoreError,
        NotFound,
        StoreError,
        3,
    ]
    assert notes.stored() == [1, 2, 3]


async def test_a_script_that_fails_before_it_has_written_leaves_the_commit_whole(newest: Notes) -> None:
    driver = newest.driver(writers=1)
    results = await together(newest, driver, write(1), _refuse_at_once, write(2))
    assert [type(result) for result in results] == [int, NotFound, int]
    assert newest.commits() == 1
    await driver.close()


async def test_a_key_that_is_taken_is_the_mistake_of_whoever_came_second(notes: Notes, driver: PostgresDriver) -> None:
    results = await together(notes, driver, write(1, "first"), write_at_once(1, "second"), write(2))
    assert [type(result) for result in results] == [int, StoreError, int]
    assert notes.execute("SELECT id, text FROM notes ORDER BY id") == [(1, "first"), (2, "")]


async def test_a_foreign_error_names_no_value_whatever_is_logged_of_it(notes: Notes, driver: PostgresDriver) -> None:
    await driver.write(write(1, "a made-up secret"))

    def nul(db: Db) -> Script[None]:
        yield from db.run("notes.insert", id=2, text="a made-up secret\0")

    def no_number(db: Db) -> Script[None]:
        yield from db.run("notes.insert", id="a made-up secret", text="")

    def empty(db: Db) -> Script[None]:
        yield from db.run("notes.insert", id=4_711_815, text=None)

    for script in (write(1, "a made-up secret"), nul, no_number, empty):
        with pytest.raises(StoreError, match=r"^the statement failed: \w+( \d{5})?$") as caught:
            await driver.write(script)
        told = "".join(traceback.format_exception(caught.value))
        assert "a made-up secret" not in told
        assert "4711815" not in told
        assert caught.value.__cause__ is not None


async def test_a_missing_table_means_that_the_schema_is_missing(notes: Notes, driver: PostgresDriver) -> None:
    def reads(db: Db) -> Script[None]:
        yield from db.rows("nothing.here")

    def writes(db: Db) -> Script[None]:
        yield from db.put("nothing.kept", id=1)

    def writes_many(db: Db) -> Script[None]:
        yield from db.many("nothing.kept", [(1,), (2,)])

    for run, script in (
        (driver.read, reads),
        (driver.write, reads),
        (driver.write, writes),
        (driver.write, writes_many),
    ):
        with pytest.raises(SchemaMissing):
            await run(script)
    assert await driver.write(write(1)) == 1


async def test_a_table_that_a_migration_brings_can_be_used_at_once(newest: Notes) -> None:
    def writes(db: Db) -> Script[None]:
        yield from db.many("nothing.kept", [(1,), (2,)])

    driver = newest.driver(writers=1)
    with pytest.raises(SchemaMissing):
        await driver.write(writes)
    newest.execute("CREATE TABLE missing (id bigint)")
    newest.execute("ALTER TABLE missing OWNER TO relay")
    await driver.write(writes)
    assert newest.execute("SELECT id FROM missing") == [(1,), (2,)]
    await driver.close()


async def test_a_column_that_a_migration_changes_disturbs_nobody(newest: Notes) -> None:
    driver = newest.driver(writers=1)
    await driver.write(write(1))
    assert await driver.read(read_all) == [1]
    newest.execute("ALTER TABLE notes ALTER COLUMN id TYPE numeric, ADD COLUMN more text")
    newest.execute("ALTER TABLE notes ALTER COLUMN id TYPE bigint")
    assert await together(newest, driver, write(2), write(3), read_all) == [2, 3, [1, 2, 3]]
    assert await driver.read(read_all) == [1, 2, 3]
    await driver.close()


async def test_a_caller_that_gave_up_disturbs_nobody_and_its_write_stands(newest: Notes) -> None:
    driver = newest.driver(writers=1)
    gate = await Gate.closed(newest)
    holding = asyncio.create_task(driver.write(gate.script))
    await gate.entered()
    writes = [asyncio.create_task(driver.write(write(number))) for number in range(3)]
    await asyncio.sleep(0)
    writes[1].cancel()
    await gate.open()
    await holding
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(result) for result in results] == [int, asyncio.CancelledError, int]
    assert newest.stored() == [0, 1, 2]
    await driver.close()


# -- reading ---------------------------------------------------------------------------------------------------------


async def test_readers_see_what_is_committed_and_nothing_else(notes: Notes, driver: PostgresDriver) -> None:
    await driver.write(write(1))
    gate = await Gate.closed(notes)

    def script(db: Db) -> Script[None]:
        yield from write_at_once(2)(db)
        yield from gate.script(db)

    writing = asyncio.create_task(driver.write(script))
    await gate.entered()
    assert await driver.read(read_all) == [1]
    await gate.open()
    await writing
    assert await driver.read(read_all) == [1, 2]


async def test_a_reading_script_has_one_snapshot(notes: Notes, driver: PostgresDriver) -> None:
    gate = await Gate.closed(notes)

    def script(db: Db) -> Script[tuple[list[int], list[int]]]:
        before = yield from read_all(db)
        yield from gate.script(db)
        return before, (yield from read_all(db))

    reading = asyncio.create_task(driver.read(script))
    await gate.entered()
    await driver.write(write(1))
    await gate.open()
    assert await reading == ([], [])


async def test_a_script_that_only_reads_cannot_write(notes: Notes, driver: PostgresDriver) -> None:
    for script in (write(1), write_at_once(1)):
        with pytest.raises(StoreError) as caught:
            await driver.read(script)
        assert not isinstance(caught.value, StoreUnavailable)
    assert notes.stored() == []
    assert await driver.read(read_all) == []


async def test_a_reader_that_gave_up_leaves_its_place_to_others(newest: Notes) -> None:
    driver = newest.driver(readers=1)
    gate = await Gate.closed(newest)
    reading = asyncio.create_task(driver.read(gate.script))
    await gate.entered()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    async with asyncio.timeout(SECONDS):
        assert await driver.read(read_all) == []
    await gate.open()
    await driver.close()


async def test_what_a_reading_script_raises_reaches_its_caller(newest: Notes) -> None:
    driver = newest.driver(readers=1)
    for _ in range(3):
        with pytest.raises(NotFound):
            await driver.read(_refuse_at_once)
    assert await driver.read(read_all) == []
    assert newest.sessions() == 1
    await driver.close()


# -- kept answers ----------------------------------------------------------------------------------------------------


def _count(text: str) -> Callable[[Db], Script[tuple[int, int]]]:
    """How many notes have this text, and how many times that was asked."""

    def script(db: Db) -> Script[tuple[int, int]]:
        row = yield from db.row("notes.count", text=text)
        assert row is not None
        return row[0], row[1]

    return script


async def test_a_kept_answer_is_asked_for_once_and_forgotten_when_its_table_is_written(newest: Notes) -> None:
    driver = newest.driver(writers=1)
    asked = _count("a")
    counts = await together(newest, driver, asked, asked, _count("b"), write(1, "a"), asked, asked, write(2, "b"))
    assert counts == [(0, 1), (0, 1), (0, 2), 1, (1, 3), (1, 3), 2]
    # Not from one transaction to the next.
    assert await driver.write(_count("a")) == (1, 4)
    await driver.close()


# -- the end ---------------------------------------------------------------------------------------------------------


async def test_closing_finishes_what_is_queued(notes: Notes) -> None:
    driver = notes.driver(writers=1)
    gate = await Gate.closed(notes)
    holding = asyncio.create_task(driver.write(gate.script))
    await gate.entered()
    reading = asyncio.create_task(driver.read(gate.script))
    await gate.entered(2)
    writes = [asyncio.create_task(driver.write(write(number))) for number in range(700)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(driver.close())
    await asyncio.sleep(0)
    await gate.open()
    await closing
    assert await asyncio.gather(*writes) == list(range(700))
    await asyncio.gather(holding, reading)
    assert notes.stored() == list(range(700))


async def test_closing_waits_for_whoever_reads(newest: Notes) -> None:
    driver = newest.driver()
    gate = await Gate.closed(newest)
    reading = asyncio.create_task(driver.read(gate.script))
    await gate.entered()
    closing = asyncio.create_task(driver.close())
    done, _ = await asyncio.wait([closing, reading], timeout=0.05)
    assert done == set()
    await gate.open()
    await reading
    await closing
    await until(lambda: newest.sessions() == 0, SECONDS, "the server has ended every session")


async def test_nothing_is_connected_after_the_end(newest: Notes) -> None:
    driver = newest.driver()
    await asyncio.gather(*(driver.write(write(number)) for number in range(5)), driver.read(read_all))
    assert newest.sessions() > 0
    await driver.close()
    await until(lambda: newest.sessions() == 0, SECONDS, "the server has ended every session")


async def test_whoever_gives_up_closing_cuts_off_nobody(newest: Notes) -> None:
    driver = newest.driver(writers=1)
    gate = await Gate.closed(newest)
    holding = asyncio.create_task(driver.write(gate.script))
    await gate.entered()
    writing = asyncio.create_task(driver.write(write(1)))
    await asyncio.sleep(0)
    closing = asyncio.create_task(driver.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    await gate.open()
    await holding
    assert await writing == 1
    assert newest.stored() == [1]


async def test_a_closed_store_is_unavailable(newest: Notes) -> None:
    driver = newest.driver()
    await driver.close()
    await driver.close()
    for run in (driver.read, driver.write):
        with pytest.raises(StoreUnavailable):
            await run(read_all)


async def test_writes_that_are_only_kept_let_others_run(newest: Notes) -> None:
    driver = newest.driver()
    turns = 0

    async def look() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def script(db: Db) -> Script[int]:
        before = turns
        for number in range(BREATH * 3):
            yield from db.put("notes.insert", id=number, text="")
        return turns - before

    looking = asyncio.create_task(look())
    assert await driver.write(script) >= 3
    looking.cancel()
    await driver.close()


async def test_nothing_is_logged_and_no_secret_shows(newest: Notes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    driver = newest.driver()
    await driver.write(write(1, "a made-up text"))
    shown = repr(driver) + repr(vars(driver)) + caplog.text
    assert "made-up" not in shown
    await driver.close()
