"""Partitions by day (PostgreSQL): which there are, which are missing, which can go. Pure: the statements are run by
relay/store/scripts/partitions.py.

Each table of ``TABLES`` is partitioned by its id, a UUIDv7 whose first six bytes are the time: a partition holds the
ids of one UTC day, ``events_p20261124``. They are made days ahead; what has none lies in ``events_default``. Dropping
one frees its space at once and leaves nothing to vacuum, which deleting its rows one by one does not.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

import msgspec

from relay.domain.ids import first_id
from relay.domain.times import DAY_MS, instant, to_ms

Table = Literal["events", "history", "attempts", "raw"]
TABLES: Final[dict[Table, str]] = {
    "events": "events",
    "history": "delivery_history",
    "attempts": "attempts",
    "raw": "raw_bodies",
}
"""The partitioned tables, by the word under which their queries stand."""

AHEAD_DAYS: Final = 3
"""So many days after today have their partition: a retention that stands still for a weekend is made up for in time."""
LOCK_TIMEOUT: Final = "200ms"
"""How long a change of the schema waits for its lock. While it waits everybody else waits behind it; who cannot have
the lock in that time tries again at the next run."""


class Partition(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One UTC day of one table."""

    day: date
    table: Table

    @property
    def name(self) -> str:
        """As the database knows it."""
        return f"{TABLES[self.table]}_p{self.day:%Y%m%d}"

    @property
    def low_ms(self) -> int:
        """When its day begins."""
        return to_ms(datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC))

    @property
    def high_ms(self) -> int:
        """When the next day begins."""
        return self.low_ms + DAY_MS

    @property
    def low(self) -> bytes:
        """The first id that it can hold."""
        return first_id(self.low_ms)

    @property
    def high(self) -> bytes:
        """The first id that it cannot hold any more."""
        return first_id(self.high_ms)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """``make``: days that have no partition yet. ``old``: partitions all of whose rows are old, oldest first."""

    make: list[Partition]
    old: list[Partition]


def plan(table: Table, names: set[str], *, now_ms: int, before_ms: int) -> Plan:
    """What is to be done when ``table`` has these partitions and ``before_ms`` is where old ends. Names that are not
    ours (the default partition, what an operator attached) are left alone."""
    today = instant(now_ms).date()
    wanted = [Partition(table=table, day=today + timedelta(days=ahead)) for ahead in range(AHEAD_DAYS + 1)]
    known = sorted(found for found in (_read(table, name) for name in names) if found is not None)
    return Plan(
        make=[partition for partition in wanted if partition.name not in names],
        old=[partition for partition in known if partition.high_ms <= before_ms],
    )


def day_start_ms(ms: int) -> int:
    """When the UTC day of ``ms`` began: whole days go at once."""
    return ms - ms % DAY_MS


def _read(table: Table, name: str) -> Partition | None:
    digits = name.removeprefix(f"{TABLES[table]}_p")
    if digits == name or len(digits) != 8 or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return Partition(table=table, day=date(int(digits[:4]), int(digits[4:6]), int(digits[6:])))
    except ValueError:
        return None


def create(partition: Partition) -> str:
    """Makes it, unless it is there, rows of its day lie in the default partition, or its lock cannot be had."""
    low, high = partition.low.hex(), partition.high.hex()
    return _attempt(
        f"CREATE TABLE IF NOT EXISTS {partition.name} PARTITION OF {TABLES[partition.table]} "
        f"FOR VALUES FROM ('\\x{low}') TO ('\\x{high}')"
    )


def drop(partition: Partition) -> str:
    """Drops it with all its rows, unless its lock cannot be had."""
    return _attempt(f"DROP TABLE IF EXISTS {partition.name}")


def _attempt(statement: str) -> str:
    # A block, because an error that it handles itself undoes the statement alone and not the transaction around it. The
    # time-out is put back for whatever else this transaction does; an error puts it back by itself. A cancellation is
    # the statement's own time-out, as when the default partition is so large that reading through it takes too long.
    return (
        "DO $do$ DECLARE usual text := current_setting('lock_timeout'); BEGIN "
        f"PERFORM set_config('lock_timeout', '{LOCK_TIMEOUT}', true); "
        f"{statement}; "
        "PERFORM set_config('lock_timeout', usual, true); "
        "EXCEPTION WHEN lock_not_available OR deadlock_detected OR check_violation OR query_canceled THEN NULL; "
        "END $do$"
    )
