"""The named SQL: none unused, none missing, all of it compiles, and what is hot uses an index."""

import ast
import contextlib
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import relay.store
from relay.store.migrate import migrate_sqlite
from relay.store.queries import Queries, Query

QUERIES: Final = Queries.load("sqlite")
ROOT: Final = Path(relay.store.__file__).parent
SMALL: Final = frozenset(
    {"accounts", "alembic_version", "balances", "callback_tokens", "endpoints", "team_extensions", "teams"}
    | {"duties", "replicas", "key_ring_holders", "key_ring_marks"}
)
"""Tables that grow with teams or processes and not with traffic: they may be scanned."""


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("queries") / "relay.db"
    migrate_sqlite(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        yield connection


def _used() -> set[str]:
    """What the scripts call by name; a name that is built of parts counts for all queries that it can mean."""
    used: set[str] = set()
    for path in (ROOT / "scripts").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                continue
            if not isinstance(node.func.value, ast.Name) or node.func.value.id != "db":
                continue
            if node.func.attr == "hold":
                used.add("states.hold")
            elif node.func.attr in ("rows", "row", "each", "run", "put", "many"):
                used |= _names(node.args[0])
    return used


def _names(name: ast.expr) -> set[str]:
    match name:
        case ast.Constant(value=str(text)):
            return {text}
        case ast.JoinedStr(values=parts):
            pattern = "".join(
                re.escape(str(part.value)) if isinstance(part, ast.Constant) else "[a-z]+" for part in parts
            )
            return {known for known in QUERIES.names() if re.fullmatch(pattern, known)}
        case _:
            raise AssertionError(ast.dump(name))


def test_every_query_is_used_and_every_name_that_is_used_exists() -> None:
    assert _used() == set(QUERIES.names())


def test_no_name_is_given_twice() -> None:
    texts = [path.read_text("utf-8") for path in (ROOT / "sql").glob("*.sql")]
    names = Counter(name for text in texts for name in re.findall(r"^-- name: (\S+)$", text, re.MULTILINE))
    assert [name for name, count in names.items() if count > 1] == []
    assert set(names) == set(QUERIES.names())


@pytest.mark.parametrize("name", QUERIES.names())
def test_a_query_compiles_on_the_schema(schema: sqlite3.Connection, name: str) -> None:
    query = QUERIES[name]
    schema.execute(f"EXPLAIN {query.sql}", (None,) * len(query.names))


@pytest.mark.parametrize("name", QUERIES.names())
def test_a_query_is_one_statement_for_both_engines(name: str) -> None:
    sqlite, postgres = QUERIES[name], Queries.load("postgres")[name]
    assert ";" not in sqlite.sql
    assert sqlite.names == postgres.names
    assert set(re.findall(r"\$(\d+)", postgres.sql)) == {str(number + 1) for number in range(len(postgres.names))}


def test_a_value_is_bound_by_its_name_and_none_may_be_missing_or_left_over() -> None:
    query = Query(sql="SELECT ?1, ?2", names=("b", "a"))
    assert query.bind({"a": 1, "b": 2}) == (2, 1)
    with pytest.raises(KeyError):
        query.bind({"a": 1, "c": 2})
    with pytest.raises(TypeError):
        query.bind({"a": 1, "b": 2, "c": 3})


# -- plans -----------------------------------------------------------------------------------------------------------

# Why a query may walk over more than it returns.
MAY_SCAN: Final = {
    "submissions.waiting": "a metric: walks the waiting rows only, and stops at 10,000 of them",
    "teams.waits": "a team is to be deleted: walks what waits",
    "teams.expects": "a team is to be deleted: walks what has no report yet",
    "accounts.open": "an account is to be deleted: walks what is open, until one of them is its own",
    "accounts.used_lately": "an account is to be deleted: stops at the newest 10,000",
    "deliveries.waiting": "a metric: walks what nobody has leased, and stops at 10,000 due ones",
}
MAY_SORT: Final = {
    "erase.recipients": "what was sent to one number",
    "deliveries.held": "what is leased, when a replica has just joined",
    "submissions.held": "what is being sent, when a replica has just joined",
    "extensions.list": "leased extensions",
    "messages.last_of_team_to": "what was sent to one number in three days",
    "messages.last_to": "what was sent to one number in three days",
    "messages.sent_to": "what was ever sent to one number",
    "orphans.of_task": "the orphans of one task",
    "inbound.twin": "copies of one text",
    "reports.of_recipient": "the reports of one recipient",
    "reports.words": "the reports of one recipient",
}
PARTIAL: Final = frozenset(
    {"deliveries_leased", "orphans_open", "raw_bodies_pending", "raw_bodies_quarantined", "submissions_running"}
)
"""Indexes that hold only the rows in question: to walk them is to walk what is asked for."""
_SCAN: Final = re.compile(r"SCAN (?P<what>\w+)(?: USING (?:COVERING )?INDEX (?P<index>\w+))?")
_TABLE: Final = re.compile(r"(?:FROM|JOIN|UPDATE|INTO) (?P<table>[a-z_]+)(?: (?P<alias>[a-z]+))?\b")


def _plan(schema: sqlite3.Connection, name: str) -> list[str]:
    query = QUERIES[name]
    rows = schema.execute(f"EXPLAIN QUERY PLAN {query.sql}", (None,) * len(query.names))
    # Releases of SQLite differ in when they notice that an index is enough.
    return [row[3].replace("USING COVERING INDEX", "USING INDEX") for row in rows]


def scans(schema: sqlite3.Connection, name: str) -> list[tuple[str, str | None]]:
    """The tables that a query walks over, and by which index."""
    tables = {found["alias"] or found["table"]: found["table"] for found in _TABLE.finditer(QUERIES[name].sql)}
    found_scans = [found for step in _plan(schema, name) if (found := _SCAN.match(step))]
    # What is no table is a constant, a JSON list, or a subquery whose own plan is here too.
    return [(tables[scan["what"]], scan["index"]) for scan in found_scans if scan["what"] in tables]


def _scanned(schema: sqlite3.Connection, name: str) -> list[str]:
    return [table for table, index in scans(schema, name) if index not in PARTIAL]


@pytest.mark.parametrize("name", [name for name in QUERIES.names() if name not in MAY_SCAN])
def test_a_query_never_walks_over_a_table_that_grows(schema: sqlite3.Connection, name: str) -> None:
    assert [table for table in _scanned(schema, name) if table not in SMALL | {"json_each"}] == []


def test_the_guard_sees_a_walk(schema: sqlite3.Connection) -> None:
    assert _scanned(schema, "deliveries.waiting") == ["deliveries"]
    assert _scanned(schema, "submissions.waiting") == ["submissions"]


@pytest.mark.parametrize("name", [name for name in QUERIES.names() if name not in MAY_SORT])
def test_a_query_reads_in_the_order_that_it_answers_in(schema: sqlite3.Connection, name: str) -> None:
    assert [step for step in _plan(schema, name) if "TEMP B-TREE" in step] == []


# What runs for every message, report or delivery: the very index (or primary key) of each.
HOT: Final = {
    "deliveries.due": "SEARCH d USING INDEX deliveries_due (endpoint=? AND due_ms<?)",
    "deliveries.find_leased": "SEARCH d USING INDEX sqlite_autoindex_deliveries_1 (id=?)",
    "deliveries.free_lapsed": "SEARCH deliveries USING INDEX deliveries_leased (lease_until_ms<?)",
    "endpoints.next_due": "SEARCH d USING INDEX deliveries_due (endpoint=? AND due_ms>?)",
    "endpoints.of_team": "SEARCH endpoints USING INDEX endpoints_by_team (team=?)",
    "endpoints.with_due": "SEARCH d USING INDEX deliveries_due (endpoint=? AND due_ms<?)",
    "events.list": "SEARCH events USING INDEX events_by_team (team=? AND position>?)",
    "idempotency.find": "SEARCH idempotency USING PRIMARY KEY (scope=? AND key=?)",
    "inbound.twin": "SEARCH inbound_seen USING INDEX inbound_seen_unpaired (account=? AND digest=?)",
    "keys.by_hash": "SEARCH api_keys USING INDEX sqlite_autoindex_api_keys_2 (hash=?)",
    "messages.last_of_team_to": "SEARCH r USING INDEX recipients_by_span (<expr>=? AND mobile=? AND submission>?)",
    "messages.last_to": "SEARCH r USING INDEX recipients_by_span (<expr>=? AND mobile=? AND submission>?)",
    "messages.list": "SEARCH m USING INDEX messages_by_team (team=? AND id<?)",
    "messages.of_reference": "SEARCH messages USING INDEX messages_by_reference (team=? AND reference=? AND id<?)",
    "messages.sent_to": "SEARCH r USING INDEX recipients_by_span (<expr>=? AND mobile=? AND submission<?)",
    "orphans.of_task": "SEARCH orphans USING INDEX orphans_by_task (account=? AND task_id=?)",
    "recipients.find": "SEARCH recipients USING PRIMARY KEY (submission=? AND mobile=?)",
    "recipients.open": "SEARCH recipients USING PRIMARY KEY (submission=?)",
    "recipients.recent_sends": "SEARCH r USING INDEX recipients_by_span (<expr>=? AND mobile=? AND submission>?)",
    "recipients.repeated": "SEARCH r USING INDEX recipients_by_span (<expr>=? AND mobile=? AND submission>?)",
    "reports.first_of": "SEARCH reports USING INDEX reports_by_recipient (submission=?)",
    "states.move": "SEARCH message_states USING PRIMARY KEY (message=?)",
    "submissions.due": "SEARCH submissions USING INDEX submissions_due (account=? AND priority=? AND due_ms<?)",
    "submissions.expired": "SEARCH submissions USING INDEX submissions_expiring (expires_ms>? AND expires_ms<?)",
    "submissions.find": "SEARCH s USING INDEX sqlite_autoindex_submissions_1 (id=?)",
    "submissions.find_by_task": "SEARCH submissions USING INDEX submissions_by_task (provider_task_id=?)",
    "submissions.lapsed": "SEARCH submissions USING INDEX submissions_running (lease_until_ms<?)",
    "submissions.next_due": "SEARCH submissions USING INDEX submissions_due (account=? AND priority=?)",
    "submissions.silent": "SEARCH submissions USING INDEX submissions_silent (since_ms<?)",
    "submissions.untold": "SEARCH submissions USING INDEX submissions_untold (since_ms<?)",
    "suppressions.any": "SEARCH suppressions USING INDEX suppressions_by_team (team=?)",
    "suppressions.of_numbers": "SEARCH suppressions USING INDEX suppressions_of_number (mobile=? AND team=?)",
}


@pytest.mark.parametrize("name", HOT)
def test_a_hot_query_uses_its_index(schema: sqlite3.Connection, name: str) -> None:
    assert HOT[name] in _plan(schema, name)
