"""Making partitions ahead, and dropping those that are old."""

import msgspec

from relay.store.partitions import TABLES, Partition, Table, create, drop, plan
from relay.store.script import Db, Script


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """``gone``: a partition was dropped; ``rows``: how many the server thinks were in it. ``left``: old partitions that
    could go and are still there, oldest first."""

    gone: bool
    rows: int
    left: list[Partition]


def keep(db: Db, table: Table, *, now_ms: int, before_ms: int) -> Script[Dropped]:
    """Make what is missing ahead, and drop the oldest partition in which nothing must stay; one at a time, because each
    needs a lock that nobody else may hold."""
    sizes = yield from _sizes(db, table)
    planned = plan(table, set(sizes), now_ms=now_ms, before_ms=before_ms)
    for partition in planned.make:
        if not (yield from _has_rows(db, partition)):
            yield from db.ddl(create(partition))
    old: list[Partition] = []
    for partition in planned.old:
        if table != "raw" or not (yield from _has_staying(db, partition)):
            old.append(partition)  # noqa: PERF401 - "yield from" has no place in a comprehension
    if not old:
        return Dropped(gone=False, rows=0, left=[])
    yield from db.ddl(drop(old[0]))
    gone = old[0].name not in (yield from _sizes(db, table))
    return Dropped(gone=gone, rows=sizes[old[0].name] if gone else 0, left=old[1:] if gone else old)


def _sizes(db: Db, table: Table) -> Script[dict[str, int]]:
    """The partitions, and how many rows the server thinks are in each."""
    rows = yield from db.rows("partitions.of", parent=TABLES[table])
    return {name: max(0, int(number)) for name, number in rows}


def _has_rows(db: Db, partition: Partition) -> Script[bool]:
    """Whether rows of a day that has no partition lie in the default one. They stay there until they are old."""
    row = yield from db.row(f"{partition.table}.between", low=partition.low, high=partition.high)
    return row is not None


def _has_staying(db: Db, partition: Partition) -> Script[bool]:
    """Whether bodies are in it that are not applied yet, or that wait in quarantine for their own time."""
    row = yield from db.row("raw.staying", low=partition.low, high=partition.high)
    return row is not None
