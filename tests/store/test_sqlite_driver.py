"""The SQLite driver: group commit, failures that stay where they belong, one process per file."""

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from relay.app import migrate, open_gateway, open_store
from relay.config import load
from relay.domain.errors import NotFound, SchemaMissing, StoreError, StoreInUse, StoreUnavailable
from relay.store.queries import Queries, Query
from relay.store.script import Db, Script
from relay.store.sqlite import FileLock, SqliteDriver
from tests.store.builders import ENTROPY

QUERIES: Final = Queries(
    {
        "notes.insert": Query(sql="INSERT INTO notes (id, text) VALUES (?1, ?2)", names=("id", "text")),
        "notes.all": Query(sql="SELECT id FROM notes ORDER BY id", names=()),
        "nothing.here": Query(sql="SELECT 1 FROM missing", names=()),
        "nothing.written": Query(sql="SELEC 1", names=()),
    }
)
SHORT_S: Final = 0.05
ROOT: Final = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with contextlib.closing(sqlite3.connect(tmp_path / "notes.db")) as connection:
        connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
    return tmp_path / "notes.db"


@pytest.fixture
async def driver(path: Path) -> AsyncIterator[SqliteDriver]:
    made = SqliteDriver(path, Db(QUERIES, ENTROPY, None), busy_timeout_s=SHORT_S)
    yield made
    await made.close()


def _write(number: int, text: str = "") -> Callable[[Db], Script[int]]:
    def script(db: Db) -> Script[int]:
        yield from db.run("notes.insert", id=number, text=text)
        return number

    return script


def _all(db: Db) -> Script[list[int]]:
    rows = yield from db.rows("notes.all")
    return [row[0] for row in rows]


def _stored(path: Path) -> list[int]:
    """As another process sees it."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM notes ORDER BY id")]


class _Gate:
    """A script that holds the writer thread until it is opened, so that what is written meanwhile queues up."""

    def __init__(self) -> None:
        self._entered = threading.Event()
        self._opened = threading.Event()

    def script(self, db: Db) -> Script[None]:
        self._entered.set()
        assert self._opened.wait(10)
        yield from db.rows("notes.all")

    async def entered(self) -> None:
        assert await asyncio.to_thread(self._entered.wait, 10)

    def open(self) -> None:
        self._opened.set()


# -- group commit ----------------------------------------------------------------------------------------------------


async def test_what_queued_while_a_commit_ran_shares_the_next_one(driver: SqliteDriver) -> None:
    statements: list[str] = []
    gate = _Gate()
    holding = asyncio.create_task(driver.write(gate.script))
    await gate.entered()
    driver._connection.set_trace_callback(statements.append)
    writes = [asyncio.create_task(driver.write(_write(number))) for number in range(300)]
    await asyncio.sleep(0)
    gate.open()
    assert await asyncio.gather(*writes) == list(range(300))
    await holding
    # The first is the gate's own.
    assert statements.count("COMMIT") == 2


async def test_results_come_only_after_the_commit(driver: SqliteDriver, path: Path) -> None:
    for number in range(5):
        await driver.write(_write(number))
        assert _stored(path) == list(range(number + 1))


async def test_scripts_run_in_the_order_in_which_they_were_written(driver: SqliteDriver) -> None:
    order: list[int] = []

    def script(number: int) -> Callable[[Db], Script[None]]:
        def run(db: Db) -> Script[None]:
            order.append(number)
            yield from db.rows("notes.all")

        return run

    await asyncio.gather(*(driver.write(script(number)) for number in range(100)))
    assert order == list(range(100))


# -- failures --------------------------------------------------------------------------------------------------------


async def _together(driver: SqliteDriver, *scripts: Callable[[Db], Script[object]]) -> list[object]:
    """Written so that they share a commit."""
    gate = _Gate()
    holding = asyncio.create_task(driver.write(gate.script))
    await gate.entered()
    writes = [asyncio.create_task(driver.write(script)) for script in scripts]
    await asyncio.sleep(0)
    gate.open()
    await holding
    return await asyncio.gather(*writes, return_exceptions=True)


def _refuse(db: Db) -> Script[None]:
    yield from db.run("notes.insert", id=77, text="")
    raise NotFound("not this one")


def _insert_twice(db: Db) -> Script[None]:
    yield from db.run("notes.insert", id=88, text="")
    yield from db.run("notes.insert", id=88, text="")


def _too_large(db: Db) -> Script[None]:
    yield from db.run("notes.insert", id=99, text="")
    yield from db.run("notes.insert", id=2**70, text="")


def _misspelt(db: Db) -> Script[None]:
    yield from db.run("notes.insert", id=66, text="")
    yield from db.rows("nothing.written")


async def test_a_script_that_fails_takes_nobody_down_but_itself(driver: SqliteDriver, path: Path) -> None:
    results = await _together(driver, _write(1), _refuse, _write(2), _insert_twice, _too_large, _misspelt, _write(3))
    assert [result if isinstance(result, int) else type(result) for result in results] == [
        1,
        NotFound,
        2,
        StoreError,
        OverflowError,
        StoreError,
        3,
    ]
    assert _stored(path) == [1, 2, 3]


async def test_a_foreign_error_names_no_value(driver: SqliteDriver) -> None:
    await driver.write(_write(1, "a made-up secret"))
    with pytest.raises(StoreError) as caught:
        await driver.write(_write(1, "a made-up secret"))
    assert str(caught.value) == "the statement failed: UNIQUE constraint failed: notes.id"
    assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)


async def test_a_missing_table_means_that_the_schema_is_missing(driver: SqliteDriver) -> None:
    def script(db: Db) -> Script[None]:
        yield from db.rows("nothing.here")

    for run in (driver.read, driver.write):
        with pytest.raises(SchemaMissing):
            await run(script)


async def test_a_caller_that_gave_up_disturbs_nobody_and_its_write_stands(driver: SqliteDriver, path: Path) -> None:
    gate = _Gate()
    holding = asyncio.create_task(driver.write(gate.script))
    await gate.entered()
    writes = [asyncio.create_task(driver.write(_write(number))) for number in range(3)]
    await asyncio.sleep(0)
    writes[1].cancel()
    gate.open()
    await holding
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(result) for result in results] == [int, asyncio.CancelledError, int]
    assert _stored(path) == [0, 1, 2]


# -- the file is busy, or full ---------------------------------------------------------------------------------------

_HOLD: Final = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("ready", flush=True)
sys.stdin.readline()
"""


@contextlib.contextmanager
def _other_process(code: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A Python process that has come to the point where it prints "ready"; killed at the end."""
    with subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


async def test_a_write_lock_of_another_process_is_unavailable_and_then_all_is_well(
    driver: SqliteDriver, path: Path
) -> None:
    with _other_process(_HOLD, str(path)):
        results = await asyncio.gather(*(driver.write(_write(number)) for number in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [StoreUnavailable] * 3
        assert len({id(result) for result in results}) == 3
        assert await driver.read(_all) == []
    assert await driver.write(_write(7)) == 7
    assert _stored(path) == [7]


async def test_a_full_disk_is_unavailable_for_the_whole_commit_and_then_all_is_well(
    driver: SqliteDriver, path: Path
) -> None:
    await driver.write(_write(1))
    (pages,) = driver._connection.execute("PRAGMA page_count").fetchone()
    driver._connection.execute(f"PRAGMA max_page_count={pages + 4}")
    results = await _together(driver, _write(2), _write(3, "x" * 100_000), _write(4))
    assert [type(result) for result in results] == [StoreUnavailable] * 3
    assert _stored(path) == [1]
    assert await driver.write(_write(5, "small")) == 5
    driver._connection.execute("PRAGMA max_page_count=1000000")
    assert await driver.write(_write(6, "x" * 100_000)) == 6
    assert _stored(path) == [1, 5, 6]


async def test_a_disk_that_becomes_read_only_is_unavailable_and_then_all_is_well(
    driver: SqliteDriver, path: Path
) -> None:
    gate = _Gate()

    def script(db: Db) -> Script[None]:
        yield from gate.script(db)
        yield from db.run("notes.insert", id=1, text="")

    writing = asyncio.create_task(driver.write(script))
    await gate.entered()
    driver._connection.execute("PRAGMA query_only=ON")
    gate.open()
    with pytest.raises(StoreUnavailable):
        await writing
    driver._connection.execute("PRAGMA query_only=OFF")
    assert await driver.write(_write(3)) == 3
    assert _stored(path) == [3]


async def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        SqliteDriver(tmp_path / "nowhere" / "relay.db", Db(QUERIES, ENTROPY, None))


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    path.write_bytes(b"this is a text and no database" * 100)
    with pytest.raises(StoreUnavailable):
        SqliteDriver(path, Db(QUERIES, ENTROPY, None))


# -- readers and the end ---------------------------------------------------------------------------------------------


async def test_readers_see_what_is_committed_and_nothing_else(driver: SqliteDriver) -> None:
    await driver.write(_write(1))
    gate = _Gate()

    def script(db: Db) -> Script[None]:
        yield from db.run("notes.insert", id=2, text="")
        yield from gate.script(db)

    writing = asyncio.create_task(driver.write(script))
    await gate.entered()
    assert await driver.read(_all) == [1]
    gate.open()
    await writing
    assert await driver.read(_all) == [1, 2]


async def test_a_reading_script_has_one_snapshot(driver: SqliteDriver) -> None:
    gate = _Gate()

    def script(db: Db) -> Script[tuple[list[int], list[int]]]:
        before = yield from _all(db)
        yield from gate.script(db)
        return before, (yield from _all(db))

    reading = asyncio.create_task(driver.read(script))
    await gate.entered()
    await driver.write(_write(1))
    gate.open()
    assert await reading == ([], [])


async def test_a_script_that_only_reads_cannot_write(driver: SqliteDriver, path: Path) -> None:
    with pytest.raises(StoreError):
        await driver.read(_write(1))
    assert _stored(path) == []
    assert await driver.read(_all) == []


async def test_closing_finishes_what_is_queued(path: Path) -> None:
    driver = SqliteDriver(path, Db(QUERIES, ENTROPY, None))
    gate = _Gate()
    holding = asyncio.create_task(driver.write(gate.script))
    await gate.entered()
    writes = [asyncio.create_task(driver.write(_write(number))) for number in range(700)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(driver.close())
    await asyncio.sleep(0)
    gate.open()
    await closing
    assert await asyncio.gather(*writes) == list(range(700))
    await holding
    assert _stored(path) == list(range(700))


async def test_a_closed_store_is_unavailable(path: Path) -> None:
    driver = SqliteDriver(path, Db(QUERIES, ENTROPY, None))
    await driver.close()
    await driver.close()
    for run in (driver.read, driver.write):
        with pytest.raises(StoreUnavailable):
            await run(_all)


async def test_what_was_answered_survives_a_kill(path: Path) -> None:
    with _other_process(_WRITE_AND_WAIT, str(path)) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert _stored(path) == list(range(50))


_WRITE_AND_WAIT: Final = """
import asyncio, sys
from pathlib import Path
from relay.store.script import Db
from relay.store.sqlite import SqliteDriver
from tests.store.builders import ENTROPY
from tests.store.test_sqlite_driver import QUERIES, _write

async def main():
    driver = SqliteDriver(Path(sys.argv[1]), Db(QUERIES, ENTROPY, None))
    await asyncio.gather(*(driver.write(_write(number)) for number in range(50)))
    print("ready", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


# -- one process per file --------------------------------------------------------------------------------------------

_SERVE: Final = """
import sys
from pathlib import Path
from relay.store.sqlite import FileLock

lock = FileLock(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("through", ["path", "symlink", "symlinked folder"])
def test_a_second_process_on_one_file_is_told_so(path: Path, tmp_path: Path, through: str) -> None:
    link = {"path": path, "symlink": tmp_path / "link.db", "symlinked folder": tmp_path / "folder" / path.name}[through]
    if through == "symlink":
        link.symlink_to(path)
    if through == "symlinked folder":
        link.parent.symlink_to(path.parent)
    with _other_process(_SERVE, str(link)) as process:
        with pytest.raises(StoreInUse) as caught:
            FileLock(path)
        assert str(caught.value) == (
            f"another process serves from {path.resolve()}: stop it first, or use PostgreSQL for several replicas"
        )
        process.send_signal(signal.SIGKILL)
        process.wait()
        FileLock(path).release()


async def test_a_released_lock_can_be_had_again(path: Path) -> None:
    FileLock(path).release()
    lock = FileLock(path)
    with pytest.raises(StoreInUse):
        FileLock(path)
    lock.release()


async def test_a_lock_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="No such file or directory"):
        FileLock(tmp_path / "nowhere" / "relay.db")


_GATEWAY: Final = """
import asyncio, sys
from relay.app import open_gateway
from relay.config import load

async def main():
    async with open_gateway(load({"RELAY_ENV": "development", "RELAY_DATA_DIR": sys.argv[1]})):
        print("ready", flush=True)
        sys.stdin.readline()

asyncio.run(main())
"""


async def test_a_second_gateway_is_refused_while_a_short_command_is_not(tmp_path: Path) -> None:
    settings = load({"RELAY_ENV": "development", "RELAY_DATA_DIR": str(tmp_path)})
    with _other_process(_GATEWAY, str(tmp_path)) as process:
        with pytest.raises(StoreInUse, match=r"another process serves from .*relay\.db: stop it first"):
            async with open_gateway(settings):
                pass
        with pytest.raises(StoreInUse):
            migrate(settings)
        async with open_store(settings) as store:
            assert await store.accounts() == []
        process.send_signal(signal.SIGKILL)
        process.wait()
    async with open_store(settings) as store:
        assert await store.accounts() == []
