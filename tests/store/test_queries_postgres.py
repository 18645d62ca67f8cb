"""The named SQL on PostgreSQL: all of it can be prepared, and what the driver reads from its text is so."""

import asyncio
import re
from pathlib import Path
from typing import Final

import asyncpg
import pytest

import relay.store
from relay.store.migrate import run_migrate_postgres
from relay.store.postgres.shapes import Shape, bulk, shape_of
from relay.store.queries import Queries, Query
from tests.postgres.server import PostgresServer

QUERIES: Final = Queries.load("postgres")
SCRIPTS: Final = Path(relay.store.__file__).parent / "scripts"
SHAPES: Final = {name: shape_of(QUERIES[name]) for name in QUERIES.names()}


NO_TABLES: Final = {"clock_timestamp", "pg_class", "pg_inherits"}
"""What stands behind a FROM and is the server's own: nothing of ours writes to it."""


class Schema:
    """A migrated database, as its own server sees it."""

    def __init__(self, server: PostgresServer) -> None:
        url = server.create_database("queries")
        run_migrate_postgres(url)
        self.types: dict[str, dict[str, str]] = {}
        for table, column, kind in server.execute(
            "queries",
            "SELECT relname::text, attname::text, format_type(atttypid, NULL) FROM pg_attribute"
            " JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND attnum > 0",
        ):
            self.types.setdefault(table, {})[column] = kind
        self.failures = asyncio.run(self._prepare(url))
        server.drop_database("queries")

    async def _prepare(self, url: str) -> dict[str, str]:
        connection = await asyncpg.connect(url)
        failures: dict[str, str] = {}
        for name in QUERIES.names():
            texts = [QUERIES[name].sql]
            if SHAPES[name].columns:
                texts.append(bulk(SHAPES[name], self.types[SHAPES[name].writes or ""])[0])
            for text in texts:
                try:
                    types = [kind.name for kind in (await connection.prepare(text)).get_parameters()]
                except asyncpg.PostgresError as error:
                    failures[name] = str(error)
                else:
                    if "unknown" in types:
                        failures[name] = str(types)
        await connection.close()
        return failures


@pytest.fixture(scope="session")
def schema(postgres_server: PostgresServer) -> Schema:
    return Schema(postgres_server)


def test_every_query_can_be_prepared_for_one_row_and_if_it_inserts_for_many(schema: Schema) -> None:
    assert schema.failures == {}


def test_the_tables_that_a_query_names_are_known_to_the_driver(schema: Schema) -> None:
    missed = {
        name: tables - shape.tables
        for name, shape in SHAPES.items()
        if (tables := set(re.findall(r"[a-z_]+", QUERIES[name].sql)) & schema.types.keys()) - shape.tables
        # A column that is called like a table.
        and tables - shape.tables != {"accounts"}
    }
    assert missed == {}
    assert {table for shape in SHAPES.values() for table in shape.tables} - NO_TABLES <= schema.types.keys()


def test_what_a_query_is_found_by_are_columns_and_parameters(schema: Schema) -> None:
    for name, shape in SHAPES.items():
        for table, keys in shape.keys.items():
            assert keys.keys() <= schema.types[table].keys(), name
            assert all(0 <= index < len(QUERIES[name].names) for index in keys.values()), name


# What runs for every message, report or delivery: what it changes, what it reads, and what tells its rows from others.
HOT: Final[dict[str, tuple[str | None, set[str], dict[str, set[str]]]]] = {
    "deliveries.delete": ("deliveries", {"deliveries"}, {"deliveries": {"id"}}),
    "deliveries.due": (None, {"deliveries", "events"}, {"deliveries": {"endpoint"}}),
    "deliveries.find_leased": (None, {"deliveries", "endpoints"}, {"deliveries": {"id"}}),
    "deliveries.lease": ("deliveries", {"deliveries"}, {"deliveries": {"id"}}),
    # Not by the claim, which it takes away.
    "deliveries.release": ("deliveries", {"deliveries"}, {"deliveries": {"id"}}),
    "endpoints.of_team": (None, {"endpoints"}, {"endpoints": {"team"}}),
    "idempotency.find": (None, {"idempotency"}, {"idempotency": {"scope", "key"}}),
    "idempotency.take": ("idempotency", set(), {}),
    "messages.last_to": (
        None,
        {"messages", "recipients", "submissions"},
        {"recipients": {"mobile"}, "submissions": {"account"}},
    ),
    "messages.list": (None, {"messages", "message_states"}, {}),
    "quota.give_back": ("quota_use", {"quota_use"}, {"quota_use": {"team", "day"}}),
    "quota.reserve": ("quota_use", set(), {}),
    "raw.set_state": ("raw_bodies", {"raw_bodies"}, {"raw_bodies": {"id"}}),
    "raw.state": (None, {"raw_bodies"}, {"raw_bodies": {"id"}}),
    "recipients.find": (None, {"recipients"}, {"recipients": {"submission", "mobile"}}),
    "recipients.open": (None, {"recipients"}, {"recipients": {"submission"}}),
    "recipients.set_status": ("recipients", {"recipients"}, {"recipients": {"submission", "mobile"}}),
    "states.hold": (None, {"message_states", "submissions"}, {}),
    "states.move": ("message_states", {"message_states"}, {"message_states": {"message"}}),
    "submissions.close_some": ("submissions", {"submissions"}, {"submissions": {"id"}}),
    "submissions.due": (None, {"submissions"}, {"submissions": {"account", "priority"}}),
    "submissions.find": (None, {"messages", "submissions"}, {"submissions": {"id"}}),
    "submissions.settle": ("submissions", {"submissions"}, {"submissions": {"id"}}),
}


@pytest.mark.parametrize("name", HOT)
def test_the_driver_knows_what_a_hot_query_touches(name: str) -> None:
    shape = SHAPES[name]
    keys = {table: set(columns) for table, columns in shape.keys.items()}
    assert (shape.writes, set(shape.reads), keys) == HOT[name]


# -- what can be put together ----------------------------------------------------------------------------------------

AT_ONCE: Final = {
    "balances.keep": "one row every few minutes; it replaces another",
    "left.insert": "what retention passes over, one batch at a time",
    "marks.set": "one row for each batch of retention",
}
"""What is ``put`` and yet carried out at once."""


def _put() -> set[str]:
    texts = "\n".join(path.read_text("utf-8") for path in SCRIPTS.glob("*.py"))
    return set(re.findall(r"db\.(?:put|many)\(\s*\"([a-z_.]+)\"", texts))


def test_whatever_nobody_waits_for_can_be_put_together() -> None:
    assert {name for name in _put() if not SHAPES[name].deferrable} == set(AT_ONCE)
    assert len(_put()) > 30


def test_every_plain_insert_can_be_made_one_of_many_rows(schema: Schema) -> None:
    plain = {name for name in _put() if QUERIES[name].sql.startswith("INSERT")} - set(AT_ONCE)
    assert {name for name in plain if not SHAPES[name].columns} == set()
    for name in plain:
        _, places = bulk(SHAPES[name], schema.types[SHAPES[name].writes or ""])
        assert sorted(places) == list(range(len(QUERIES[name].names))), name


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a FROM t WHERE t.b = $1 FOR UPDATE", {"t": {"b": 0}}),
        ("SELECT a FROM t WHERE b = $1 OR c = $2", {}),
        ("SELECT a FROM t x JOIN t y ON y.a = x.b WHERE x.a = $1", {}),
        ("SELECT a FROM t WHERE lower(b) = $1 AND c + d = $2 AND e <> $3", {}),
        ("SELECT a FROM t WHERE b IN (SELECT b FROM u WHERE u.c = $1) AND a = $2", {}),
        ("UPDATE t SET a = $1 WHERE a = $2 AND b = $3", {"t": {"b": 2}}),
        ("DELETE FROM t WHERE a = $1 AND b <= $2", {"t": {"a": 0}}),
    ],
)
def test_in_doubt_nothing_tells_rows_apart(sql: str, expected: dict[str, dict[str, int]]) -> None:
    assert _shape(sql).keys == expected


def _shape(sql: str) -> Shape:
    names = tuple(sorted(set(re.findall(r"\$\d", sql))))
    return shape_of(Query(sql=sql, names=names))
