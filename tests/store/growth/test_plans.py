"""At a million rows every query finds its rows by the index that is there for it: on every engine, for the values of
one call and for a plan that is kept for all calls, and whether the planner knows the rows or not."""

from typing import Final

import pytest

from relay.store.postgres.shapes import shape_of
from relay.store.queries import Queries
from tests.postgres.found import found
from tests.store.growth.asked import asked
from tests.store.growth.conftest import SIZE, Grown
from tests.store.growth.exempt import ADDS, IN_BATCHES, ONLY_SMALL
from tests.store.growth.expected import INDEXES, MORE_PAGES, PAGES, PAGES_A_ROW
from tests.store.growth.looked import GUARDED, QUERIES
from tests.store.growth.plans import Step
from tests.store.test_queries import MAY_SCAN, PARTIAL, SMALL, scans

SERVERS: Final = [postgres.name for postgres in found()]
SQLITE: Final = Queries.load("sqlite")
MOST_STEPS: Final = 6_000
STEPS_A_ROW: Final = 200
"""Instructions of SQLite's machine: a walk over a million rows takes millions."""
MORE_STEPS: Final = {
    "deliveries.waiting": 60_000,
    "submissions.waiting": 60_000,
    "endpoints.next_due": 60_000,
    "endpoints.with_due": 60_000,
    "messages.sent_to": 20_000,
}


def _reads(queries: Queries, name: str) -> bool:
    return queries[name].sql.startswith("SELECT")


def test_every_query_has_its_place_in_one_list() -> None:
    assert sorted([*INDEXES, *ADDS, *ONLY_SMALL, *IN_BATCHES]) == QUERIES.names()


@pytest.mark.parametrize("name", sorted(ADDS))
def test_what_adds_a_row_looks_at_none(name: str) -> None:
    assert not shape_of(QUERIES[name]).reads


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("name", GUARDED)
def test_postgres_finds_the_rows_by_their_index(grown: Grown, server: str, name: str) -> None:
    for (state, mode), steps in grown.looked(server).plans[name].items():
        if state != "empty":
            assert _grown(steps, name) == set(INDEXES.get(name, ())), (state, mode)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("name", GUARDED)
def test_postgres_reads_no_table_whole_even_if_it_was_empty_when_the_plan_was_made(
    grown: Grown, server: str, name: str
) -> None:
    for state, steps in grown.looked(server).plans[name].items():
        assert [step.table for step in steps if step.index is None and step.table not in SMALL] == [], state


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("name", [name for name in GUARDED if _reads(QUERIES, name)])
def test_postgres_touches_a_handful_of_pages(grown: Grown, server: str, name: str) -> None:
    pages, rows = grown.looked(server).pages[name]
    assert pages <= MORE_PAGES.get(name, PAGES) + PAGES_A_ROW * rows


@pytest.mark.parametrize("name", [name for name in GUARDED if name not in MAY_SCAN])
def test_sqlite_walks_over_no_table_that_grows_when_it_has_statistics(grown: Grown, name: str) -> None:
    walked = [(table, index) for table, index in scans(grown.sqlite, name) if index not in PARTIAL]
    assert [table for table, _ in walked if table not in SMALL | {"json_each"}] == []


@pytest.mark.parametrize("name", [name for name in GUARDED if _reads(SQLITE, name) and name != "states.hold"])
def test_sqlite_takes_a_handful_of_steps(grown: Grown, name: str) -> None:
    query = SQLITE[name]
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 100
        return 0

    grown.sqlite.set_progress_handler(count, 100)
    try:
        rows = grown.sqlite.execute(query.sql, asked(name, query, SIZE)).fetchall()
    finally:
        grown.sqlite.set_progress_handler(None, 0)
    assert steps <= MORE_STEPS.get(name, MOST_STEPS) + STEPS_A_ROW * len(rows)


def _grown(steps: list[Step], name: str) -> set[str]:
    """What is looked up in tables that grow, and in small ones where that is expected."""
    shown = {_shown(step): step.table for step in steps}
    small = SMALL | {"api_keys"}
    return {step for step, table in shown.items() if table not in small or step in INDEXES.get(name, ())}


def _shown(step: Step) -> str:
    # An index that has the key in it finds the one row as well.
    return f"{step.table} key (id =)" if step.by == ("team =", "id =") else str(step)
