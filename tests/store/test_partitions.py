"""Partitions by day: what is planned, and what the statements say."""

from collections.abc import Callable
from datetime import date

import pytest

from relay.domain.ids import id_ms
from relay.domain.times import DAY_MS, HOUR_MS
from relay.store.partitions import TABLES, Partition, Plan, Table, create, day_start_ms, drop, plan
from relay.store.queries import Queries
from relay.store.script import Db, Script, Step
from relay.store.scripts.partitions import Dropped, keep
from tests.store.builders import ENTROPY

NOON_MS = 1_795_521_600_000
"""2026-11-24T12:00:00Z."""


def day(number: int, table: Table = "events") -> Partition:
    return Partition(table=table, day=date(2026, 11, number))


@pytest.mark.parametrize("table", TABLES)
def test_today_and_three_days_ahead_are_made_and_those_that_are_there_are_not(table: Table) -> None:
    names = {f"{TABLES[table]}_default", day(24, table).name, day(26, table).name}

    planned = plan(table, names, now_ms=NOON_MS, before_ms=NOON_MS - 30 * DAY_MS)

    assert planned == Plan(make=[day(25, table), day(27, table)], old=[])


def test_a_partition_is_old_when_its_last_row_is(subtests: pytest.Subtests) -> None:
    names = {day(number).name for number in (24, 20, 22, 21)}
    midnight_ms = NOON_MS - 12 * HOUR_MS
    for before_ms, old in (
        (midnight_ms - 2 * DAY_MS - 1, [20]),
        (midnight_ms - 2 * DAY_MS, [20, 21]),
        (midnight_ms - DAY_MS, [20, 21, 22]),
    ):
        with subtests.test(before_ms=before_ms):
            planned = plan("events", names, now_ms=NOON_MS, before_ms=before_ms)
            assert planned.old == [day(number) for number in old]


@pytest.mark.parametrize(
    "name",
    ["events_default", "events_p2026", "events_p20261345", "events_p２０２６１１２０", "attempts_p20261101", "events"],
)
def test_what_is_not_ours_is_left_alone(name: str) -> None:
    assert plan("events", {name}, now_ms=NOON_MS, before_ms=NOON_MS).old == []


def test_a_partition_holds_the_ids_of_its_day_and_no_other() -> None:
    partition = day(24)

    assert partition.name == "events_p20261124"
    assert (id_ms(partition.low), id_ms(partition.high)) == (NOON_MS - 12 * HOUR_MS, NOON_MS + 12 * HOUR_MS)
    assert partition.low[6:] == partition.high[6:] == bytes(10)
    assert partition.high == day(25).low


def test_a_day_begins_at_midnight_in_utc() -> None:
    assert [day_start_ms(ms) for ms in (NOON_MS, NOON_MS - 12 * HOUR_MS, NOON_MS - 12 * HOUR_MS - 1)] == [
        NOON_MS - 12 * HOUR_MS,
        NOON_MS - 12 * HOUR_MS,
        NOON_MS - 36 * HOUR_MS,
    ]


def test_the_statements_name_the_partition_its_bounds_and_wait_no_longer_than_they_may() -> None:
    partition = day(24, "history")

    made, dropped = create(partition), drop(partition)

    assert (
        "CREATE TABLE IF NOT EXISTS delivery_history_p20261124 PARTITION OF delivery_history "
        f"FOR VALUES FROM ('\\x{partition.low.hex()}') TO ('\\x{partition.high.hex()}'); " in made
    )
    assert "; DROP TABLE IF EXISTS delivery_history_p20261124; " in dropped
    for statement in (made, dropped):
        assert "set_config('lock_timeout', '200ms', true)" in statement
        assert "lock_not_available" in statement


def test_sqlite_changes_its_schema_by_migrations_alone() -> None:
    db = Db(Queries.load("sqlite"), ENTROPY, None)
    assert not db.partitioned
    with pytest.raises(TypeError):
        next(db.ddl(create(day(24))))

    postgres = Db(Queries.load("postgres"), ENTROPY, None)
    assert postgres.partitioned
    assert next(postgres.ddl("DROP")).query.sql == "DROP"


def test_a_day_whose_rows_lie_in_the_default_partition_is_not_even_tried() -> None:
    """To try is to lock the table, and to read through the default partition meanwhile."""
    script = keep(Db(Queries.load("postgres"), ENTROPY, None), "events", now_ms=NOON_MS, before_ms=0)
    made: list[str] = []

    def answer(step: Step) -> object:
        if "pg_inherits" in step.query.sql:
            return [("events_default", 0)]
        if step.query.sql.startswith("DO "):
            made.append(step.query.sql)
            return []
        return [b"a row"] if step.params[0] == day(24).low else None

    assert run(script, answer) == Dropped(gone=False, rows=0, left=[])
    assert made == [create(day(number)) for number in (25, 26, 27)]


def run(script: Script[Dropped], answer: Callable[[Step], object]) -> Dropped:
    """The result of a script whose statements get these answers."""
    step = next(script)
    try:
        while True:
            step = script.send(answer(step))
    except StopIteration as ended:
        dropped: Dropped = ended.value
        return dropped
