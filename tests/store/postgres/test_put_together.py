"""Writes that are put together: whatever scripts share a commit, all is as if they had run one by one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.domain.errors import NotFound, StoreError
from relay.store.postgres import PostgresDriver
from relay.store.postgres.batch import MOST_ROWS
from relay.store.queries import Queries, Query
from relay.store.script import Db, Script
from tests.store.builders import ENTROPY
from tests.store.postgres.notes import PATIENT_S, Notes

_TABLES: Final = """
CREATE TABLE items (id bigint, part bigint, a bigint, b text, PRIMARY KEY (id, part));
CREATE TABLE logs (position bigserial, item bigint, what text);
GRANT ALL ON ALL TABLES IN SCHEMA public TO relay;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO relay;
"""
# With the names of their parameters in order. What the store's own queries look like, and what they might.
_SQL: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "items.insert": ("INSERT INTO items (id, part, a, b) VALUES ($1, $2, $3, 'new')", ("id", "part", "a")),
    "items.set_a": ("UPDATE items SET a = $1 WHERE id = $2 AND part = $3", ("a", "id", "part")),
    "items.add": ("UPDATE items SET a = a + $1 WHERE id = $2", ("a", "id")),
    "items.move": ("UPDATE items SET a = $1 WHERE a = $2", ("a", "id")),
    "items.swap": ("UPDATE items SET a = $1, b = 'swapped' WHERE id = $2 AND a = $3", ("a", "id", "part")),
    "items.spread": ("UPDATE items SET b = b || 'x' WHERE a = $1 OR id = $2", ("a", "id")),
    "items.drop": ("DELETE FROM items WHERE id = $1 AND part = $2", ("id", "part")),
    "items.drop_of_a": ("DELETE FROM items WHERE a = $1", ("a",)),
    "items.upsert": (
        "INSERT INTO items (id, part, a, b) VALUES ($1, $2, $3, 'up')"
        " ON CONFLICT (id, part) DO UPDATE SET a = excluded.a, b = items.b || 'u'",
        ("id", "part", "a"),
    ),
    "items.copy": ("INSERT INTO logs (item, what) SELECT id, b FROM items WHERE id = $1 ORDER BY part", ("id",)),
    "logs.insert": ("INSERT INTO logs (item, what) VALUES ($1, 'noted')", ("id",)),
    "logs.drop": ("DELETE FROM logs WHERE item = $1", ("id",)),
    "items.bump": ("UPDATE items SET a = a + 1 WHERE id = $1 AND part = $2 RETURNING a", ("id", "part")),
    "items.find": ("SELECT part, a, b FROM items WHERE id = $1 ORDER BY part", ("id",)),
    "items.of_a": ("SELECT i.id, i.part FROM items i WHERE i.a = $1 ORDER BY i.id, i.part", ("a",)),
    "items.lock": ("SELECT a FROM items WHERE id = $1 AND part = $2 FOR UPDATE", ("id", "part")),
    "items.count": ("SELECT count(*) FROM items WHERE id = $1", ("id",)),
    "logs.of": (
        "SELECT l.item, l.what, i.a FROM logs l JOIN items i ON i.id = l.item WHERE l.item = $1"
        " ORDER BY l.position, i.part",
        ("id",),
    ),
    "items.twice": ("SELECT x.a, y.a FROM items x JOIN items y ON y.a = x.id WHERE x.id = $1 ORDER BY 1, 2", ("id",)),
    "items.below": ("SELECT (SELECT max(part) FROM items WHERE id = $1), count(*) FROM logs", ("id",)),
    "states.hold": ("SELECT id FROM items WHERE id::text::bytea = ANY ($1) OR b = ANY ($2)", ("submissions", "tasks")),
}
QUERIES: Final = Queries(
    {name: Query(sql=sql, names=names, kept=name == "items.count") for name, (sql, names) in _SQL.items()}
)
_PUTS: Final = [name for name, (sql, _) in _SQL.items() if not sql.startswith("SELECT") and "RETURNING" not in sql]
_ASKS: Final = [name for name, (sql, _) in _SQL.items() if sql.startswith("SELECT") and name != "states.hold"]

FAILED: Final = "failed"

_NUMBER: Final = st.integers(0, 2)
_PARAMS: Final = st.fixed_dictionaries({"id": _NUMBER, "part": _NUMBER, "a": _NUMBER})
_OP: Final = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(_PUTS), st.lists(_PARAMS, min_size=1, max_size=4)),
    st.tuples(st.just("run"), st.sampled_from(_PUTS), st.lists(_PARAMS, min_size=1, max_size=1)),
    st.tuples(st.just("rows"), st.sampled_from([*_ASKS, "items.bump"]), st.lists(_PARAMS, min_size=1, max_size=1)),
    st.tuples(st.just("each"), st.sampled_from([*_ASKS, "items.bump"]), st.lists(_PARAMS, max_size=3)),
)
Op = tuple[str, str, list[dict[str, int]]]
_SCRIPT: Final = st.tuples(st.lists(_OP, max_size=6), st.booleans().map(lambda fails: fails and "fails"))
Program = tuple[list[Op], object]


def _bound(op: Op) -> list[dict[str, object]]:
    _, name, many = op
    return [{key: value for key, value in params.items() if key in _SQL[name][1]} for params in many]


def _script(program: Program) -> Callable[[Db], Script[list[object]]]:
    ops, fails = program

    def script(db: Db) -> Script[list[object]]:
        seen: list[object] = []
        for op in ops:
            kind, name, _ = op
            bound = _bound(op)
            match kind:
                case "put":
                    yield from db.many(name, [QUERIES[name].bind(one) for one in bound])
                case "run":
                    seen.append((yield from db.run(name, **bound[0])))
                case "rows":
                    seen.append([tuple(row) for row in (yield from db.rows(name, **bound[0]))])
                case _:
                    seen.append([tuple(row) for row in (yield from db.each(name, bound))])
        if fails:
            raise NotFound("as asked")
        return seen

    return script


class Plain:
    """One script a transaction, one statement at a time, each at once."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    async def run(self, program: Program) -> object:
        """What the script returns, or what became of it."""
        ops, fails = program
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            seen = [found for op in ops for found in await self._op(op)]
        except asyncpg.PostgresError:
            await transaction.rollback()
            return FAILED
        if fails:
            await transaction.rollback()
            return FAILED
        await transaction.commit()
        return seen

    async def _op(self, op: Op) -> list[object]:
        kind, name, _ = op
        query = QUERIES[name]
        if kind in ("put", "run"):
            done = [await self._connection.execute(query.sql, *query.bind(one)) for one in _bound(op)]
            return [int(done[0].rpartition(" ")[2])] if kind == "run" else []
        return [[tuple(row) for one in _bound(op) for row in await self._connection.fetch(query.sql, *query.bind(one))]]

    async def empty(self) -> None:
        """As at the beginning."""
        await self._connection.execute("DELETE FROM items; DELETE FROM logs")

    async def tables(self) -> list[Any]:
        """All that is stored."""
        items = await self._connection.fetch("SELECT * FROM items ORDER BY id, part")
        logs = await self._connection.fetch("SELECT item, what FROM logs ORDER BY position")
        return [tuple(row) for row in (*items, *logs)]


@pytest.fixture
async def plain(newest: Notes) -> AsyncIterator[Plain]:
    newest.execute(f"DO $$ BEGIN {_TABLES} END $$")
    connection = await asyncpg.connect(newest.url)
    yield Plain(connection)
    await connection.close()


@pytest.fixture
async def putting(newest: Notes, plain: Plain) -> AsyncIterator[PostgresDriver]:
    made = PostgresDriver(newest.url, QUERIES, Db(QUERIES, ENTROPY, None), writers=1, timeout_s=PATIENT_S)
    yield made
    await made.close()


async def _together(driver: PostgresDriver, programs: list[Program]) -> list[object]:
    # The writer takes its first look when all of them are in the queue.
    tasks = [asyncio.create_task(driver.write(_script(program))) for program in programs]
    found = await asyncio.gather(*tasks, return_exceptions=True)
    # Of a script that is broken and fails besides, either may come first.
    return [FAILED if isinstance(result, StoreError | NotFound) else result for result in found]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(programs=st.lists(_SCRIPT, min_size=1, max_size=5))
async def test_scripts_that_share_a_commit_are_as_if_they_had_run_one_by_one(
    putting: PostgresDriver, plain: Plain, programs: list[Program]
) -> None:
    await plain.empty()
    wanted = [await plain.run(program) for program in programs]
    stored = await plain.tables()
    await plain.empty()
    assert await _together(putting, programs) == wanted
    assert await plain.tables() == stored


def _puts(*ops: tuple[str, dict[str, int]]) -> Program:
    return [("put", name, [{"id": 0, "part": 0, "a": 0, **params}]) for name, params in ops], False


@pytest.mark.parametrize(
    "program",
    [
        _puts(("items.insert", {"a": 1}), ("items.set_a", {"a": 2})),
        _puts(("items.insert", {}), ("items.drop", {}), ("items.insert", {"a": 2})),
        _puts(("items.insert", {"a": 1}), ("items.move", {"id": 1, "a": 2}), ("items.drop_of_a", {"a": 2})),
        # Found by what the first one changes: not to be sorted, not to be overtaken.
        _puts(
            ("items.insert", {"a": 2}),
            ("items.swap", {"part": 2, "a": 1}),
            ("items.swap", {"part": 1, "a": 0}),
        ),
        _puts(("items.insert", {"a": 1}), ("items.copy", {}), ("items.set_a", {"a": 2}), ("logs.drop", {"id": 1})),
    ],
)
async def test_writes_of_one_row_keep_their_order(putting: PostgresDriver, plain: Plain, program: Program) -> None:
    await plain.run(program)
    stored = await plain.tables()
    await plain.empty()
    assert await _together(putting, [program]) == [[]]
    assert await plain.tables() == stored


async def test_rows_are_numbered_in_the_order_in_which_they_come(putting: PostgresDriver, plain: Plain) -> None:
    # Whether anybody waits for them or not.
    inserts: list[Op] = [
        (kind, "logs.insert", [{"id": number, "part": 0, "a": 0}])
        for number, kind in enumerate(("put", "run", "put", "put", "run"))
    ]
    assert await _together(putting, [(inserts, False)]) == [[1, 1]]
    assert await plain.tables() == [(number, "noted") for number in range(5)]


async def test_more_rows_than_one_statement_takes_are_all_there(putting: PostgresDriver, plain: Plain) -> None:
    many: Program = (
        [("put", "items.insert", [{"id": id, "part": 0, "a": 0} for id in range(2 * MOST_ROWS + 1)])],
        False,
    )
    each: Program = (
        [("each", "items.find", [{"id": id, "part": 0, "a": 0} for id in range(2 * MOST_ROWS + 1)])],
        False,
    )
    assert await _together(putting, [many, each]) == [[], [[(0, 0, "new")] * (2 * MOST_ROWS + 1)]]
    assert len(await plain.tables()) == 2 * MOST_ROWS + 1
