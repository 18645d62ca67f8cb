"""How a plan of PostgreSQL is read: what it looks at, under the names of the schema."""

from typing import Any

from tests.store.growth.plans import Names, Step, steps

NAMES = Names(
    parents={"events_p20261124": "events", "events_p20261124_team_position_idx": "events_by_team"},
    keys={"events_p20261124_pkey": "events", "deliveries_pkey": "deliveries"},
    empty=frozenset({"events_default"}),
)


def _index(table: str, index: str, condition: str, **more: Any) -> dict[str, Any]:
    kind = {"Node Type": "Index Scan", "Relation Name": table, "Index Name": index, "Index Cond": condition}
    return kind | more


def test_a_table_that_is_read_whole_is_seen() -> None:
    plan = {"Node Type": "Limit", "Plans": [{"Node Type": "Seq Scan", "Relation Name": "deliveries"}]}
    assert steps(plan, NAMES) == [Step(table="deliveries", index=None)]


def test_partitions_count_as_their_table() -> None:
    keys = _index("events_p20261124", "events_p20261124_pkey", "(id = d.event)")
    team = _index(
        "events_p20261124",
        "events_p20261124_team_position_idx",
        '((team <= $1) AND (ROW(team, "position") > ROW($1, $2)))',
    )
    assert [str(step) for step in steps({"Node Type": "Append", "Plans": [keys, team, keys]}, NAMES)] == [
        "events key (id =)",
        "events_by_team (team <=, ROW(team, position) >)",
    ]


def test_how_an_empty_partition_is_looked_through_does_not_matter() -> None:
    assert steps({"Node Type": "Seq Scan", "Relation Name": "events_default"}, NAMES) == []


def test_what_an_index_is_asked_for_is_seen_and_what_is_compared_with_it_is_not() -> None:
    plan = _index(
        "deliveries", "deliveries_due", "((endpoint = e.id) AND (due_ms > CASE WHEN (e.paused_ms > $1) THEN 0 END))"
    )
    assert [step.by for step in steps(plan, NAMES)] == [("endpoint =", "due_ms >")]
