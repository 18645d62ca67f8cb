"""A database with one small table, and scripts for it."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any, Final

import asyncpg

from relay.domain.errors import NotFound
from relay.store.postgres import PostgresDriver
from relay.store.queries import Queries, Query
from relay.store.script import ANY_TURN, Db, Script, Turn
from tests.faults.polling import until
from tests.postgres.server import PostgresServer
from tests.store.builders import ENTROPY

SECONDS: Final = 20.0
PATIENT_S: Final = 20.0
"""A time-out that no test waits for, however slow the machine."""

QUERIES: Final = Queries(
    {
        "states.hold": Query(
            sql="SELECT id FROM notes WHERE id::text::bytea = ANY ($1) OR text = ANY ($2) ORDER BY id FOR UPDATE",
            names=("submissions", "tasks"),
        ),
        "notes.insert": Query(sql="INSERT INTO notes (id, text) VALUES ($1, $2)", names=("id", "text")),
        "notes.set": Query(sql="UPDATE notes SET text = $1 WHERE id = $2", names=("text", "id")),
        "notes.all": Query(sql="SELECT id FROM notes ORDER BY id", names=()),
        "notes.lock": Query(sql="SELECT text FROM notes WHERE id = $1 FOR UPDATE", names=("id",)),
        "notes.count": Query(
            sql="SELECT count(*), nextval('looks') FROM notes WHERE text = $1", names=("text",), kept=True
        ),
        "durable.setting": Query(sql="SELECT current_setting('synchronous_commit')", names=()),
        "gate.pass": Query(sql="SELECT pg_advisory_xact_lock_shared(1)", names=()),
        "slow.answer": Query(sql="SELECT pg_sleep(60)", names=()),
        "error.raise": Query(sql="SELECT raise_error($1, $2)", names=("state", "times")),
        "nothing.here": Query(sql="SELECT 1 FROM missing", names=()),
        "nothing.kept": Query(sql="INSERT INTO missing (id) VALUES ($1)", names=("id",)),
        "nothing.written": Query(sql="SELEC 1", names=()),
    }
)
_TABLE: Final = """
CREATE TABLE notes (id bigint PRIMARY KEY, text text NOT NULL, xact xid8 NOT NULL DEFAULT pg_current_xact_id())
"""
# The first ``times`` times that it is asked: what a sequence counts is not undone.
_RAISE: Final = """
CREATE FUNCTION raise_error(state text, times bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('looks') <= times THEN RAISE EXCEPTION 'as asked' USING ERRCODE = state; END IF;
END $$
"""
_DEADLOCK: Final = "deadlock detected"
_numbers: Final = itertools.count(1)


class Notes:
    """A database of its own."""

    def __init__(self, server: PostgresServer) -> None:
        """Made; ``drop`` ends it."""
        self.server = server
        self._deadlocks = server.logged(_DEADLOCK)
        self.name = f"notes{next(_numbers)}"
        self.url = server.create_database(self.name)
        self.execute(_TABLE)
        self.execute("CREATE SEQUENCE looks")
        self.execute(_RAISE)
        self.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO relay")
        self.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO relay")

    def driver(self, url: str | None = None, **options: Any) -> PostgresDriver:
        """A driver on it; waits for ever unless told."""
        made: dict[str, Any] = {"timeout_s": PATIENT_S, **options}
        return PostgresDriver(url or self.url, QUERIES, Db(QUERIES, ENTROPY, None), **made)

    def execute(self, sql: str, *params: object) -> list[Any]:
        """As the administrator, on a connection of its own."""
        return [tuple(row) for row in self.server.execute(self.name, sql, *params)]

    def stored(self) -> list[int]:
        """As another process sees it."""
        return [row[0] for row in self.execute("SELECT id FROM notes ORDER BY id")]

    def commits(self) -> int:
        """How many transactions have written what is stored."""
        return int(self.execute("SELECT count(DISTINCT xact::text) FROM notes")[0][0])

    def sessions(self) -> int:
        """How many connections our drivers have to it."""
        sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'relay' AND datname = $1"
        return int(self.execute(sql, self.name)[0][0])

    def deadlocks(self) -> int:
        """How many the server has found. By its log: what it counts it tells later."""
        return self.server.logged(_DEADLOCK) - self._deadlocks

    def end_sessions(self) -> None:
        """The server ends all connections of our drivers, and is done with it."""
        sql = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'relay'"
        self.execute(f"{sql} AND datname = $1", self.name)

    def drop(self) -> None:
        """With all connections to it."""
        self.server.drop_database(self.name)


def write(number: int, text: str = "") -> Callable[[Db], Script[int]]:
    """Stores a note that nobody waits for, and returns its number."""

    def script(db: Db) -> Script[int]:
        yield from db.put("notes.insert", id=number, text=text)
        return number

    return script


def write_at_once(number: int, text: str = "") -> Callable[[Db], Script[int]]:
    """Stores a note and waits for it."""

    def script(db: Db) -> Script[int]:
        yield from db.run("notes.insert", id=number, text=text)
        return number

    return script


def read_all(db: Db) -> Script[list[int]]:
    """Every number."""
    rows = yield from db.rows("notes.all")
    return [row[0] for row in rows]


def lock(number: int) -> Callable[[Db], Script[None]]:
    """Has a note to itself until the end of the transaction."""

    def script(db: Db) -> Script[None]:
        yield from db.row("notes.lock", id=number)

    return script


def break_with(state: str, times: int = 1) -> Callable[[Db], Script[str]]:
    """Writes, then breaks with this SQLSTATE, so many times."""

    def script(db: Db) -> Script[str]:
        yield from db.put("notes.insert", id=1000, text="")
        yield from db.row("error.raise", state=state, times=times)
        return "done"

    return script


def refuse(db: Db) -> Script[None]:
    """A mistake of the script's own, after it has written."""
    yield from db.put("notes.insert", id=77, text="")
    raise NotFound("not this one")


class Gate:
    """A script that holds a writer until it is opened, so that what is written meanwhile queues up."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    @classmethod
    async def closed(cls, notes: Notes) -> "Gate":
        """Of a database."""
        connection = await asyncpg.connect(notes.url)
        await connection.execute("SELECT pg_advisory_lock(1)")
        return cls(connection)

    def script(self, db: Db) -> Script[None]:
        """Passes through once it is open."""
        yield from db.rows("gate.pass")

    async def entered(self, times: int = 1) -> None:
        """So many wait before it."""

        async def waits() -> bool:
            return bool(await self._connection.fetchval(_WAITING) == times)

        await until(waits, SECONDS, "a script waits before the gate")

    async def open(self) -> None:
        """Whoever waits goes on."""
        await self._connection.close()


_WAITING: Final = """
SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def together(
    notes: Notes, driver: PostgresDriver, *scripts: Callable[[Db], Script[object]], turns: tuple[Turn, ...] = ()
) -> list[Any]:
    """Written so that they share a commit of a driver with one writer."""
    gate = await Gate.closed(notes)
    holding = asyncio.create_task(driver.write(gate.script))
    await gate.entered()
    wanted = turns or (ANY_TURN,) * len(scripts)
    writes = [asyncio.create_task(driver.write(script, turn)) for script, turn in zip(scripts, wanted, strict=True)]
    await asyncio.sleep(0)
    await gate.open()
    await holding
    return await asyncio.gather(*writes, return_exceptions=True)
