"""One transaction of many scripts: what each reads is asked at once, what they write is put together.

Decision: asyncpg waits for the answer of each statement, so a commit of 64 scripts with eight statements each would be
512 round trips. Most of them are writes that nobody waits for (``put``): they are kept until a statement could see the
difference, then carried out table by table, all rows in one statement.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from relay.domain.errors import StoreError
from relay.store.postgres.connections import Session
from relay.store.postgres.pending import Group, Pending
from relay.store.postgres.shapes import Shape
from relay.store.postgres.statements import Statements
from relay.store.queries import Query
from relay.store.script import Db, Script, Step, Turn

T = TypeVar("T")

MOST_ROWS: Final = 5_000
"""So many rows go into one statement, and"""
MOST_STATEMENTS: Final = 1_000
"""so many statements into one round trip: each is answered well within its time."""
BREATH: Final = 500
"""After so many writes that were only kept the server hears of us, or it would take us for frozen; and the event loop
is given to others."""
# The array is sorted, and unnest keeps its order: every process takes locks in the same one.
_LOCK: Final = "SELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) AS k"
# With a crash the statistics begin anew: what is told by this time is told by the same life of the same server.
_ID: Final = """
SELECT pg_current_xact_id_if_assigned()::text, (SELECT stats_reset::text FROM pg_stat_archiver)
"""


class Transaction(NamedTuple):
    """What a commit is known by. ``life``: of the server that gave the number; after a crash it may give it again."""

    number: str
    life: str | None


class Batch:
    """An open transaction. ``wrote``: the script that ran last has changed something."""

    def __init__(self, session: Session, statements: Statements, *, reads: bool = False) -> None:
        """``reads``: nothing may be written."""
        self._session = session
        self._statements = statements
        self._reads = reads
        self._pending = Pending()
        self._unheard = 0
        self._held: set[bytes] = set()
        self._kept: dict[tuple[int, tuple[Any, ...]], tuple[Shape, list[Any]]] = {}
        self.wrote = False

    async def begin(self, opening: str, turns: Sequence[Turn]) -> None:
        """Open it with the statements ``opening``, and take what its scripts need to themselves."""
        await self._session.execute(opening)
        await self._take({_lock_number(lock) for turn in turns for lock in turn.locks})
        submissions = [submission for turn in turns for submission in turn.submissions]
        await self._hold(submissions, [task for turn in turns for task in turn.tasks])

    async def run(self, script: Callable[[Db], Script[T]], db: Db) -> T:
        """The result of a script. Raises what it raises, and Broken."""
        self.wrote = False
        steps = script(db)
        try:
            step = next(steps)
            while True:
                step = steps.send(await self._answer(step))
        except StopIteration as stop:
            value: T = stop.value
            return value

    async def finish(self) -> Transaction | None:
        """Carry out all that is pending; what the commit will be known by, or None when there is nothing to commit."""
        for table in self._pending.tables():
            await self._flush(table)
        ((number, life),) = await self._session.fetch(_ID)
        return None if number is None else Transaction(number, life)

    async def _answer(self, step: Step) -> object:
        query = step.query
        if step.fetch == "hold":
            await self._hold(*step.params)
            return None
        shape = self._statements.shape(query)
        if shape.writes is not None:
            if self._reads:
                raise StoreError("a script that only reads wants to write")
            self._forget(shape.writes)
        if step.fetch == "put":
            self.wrote = True
            await self._put(query, shape, step.params)
            return None
        if query.kept and step.fetch != "each":
            return await self._look_up(query, shape, step)
        for params in step.params if step.fetch == "each" else (step.params,):
            await self._flush_before(shape, params)
        match step.fetch:
            case "rows" | "row":
                return self._rows(await self._session.fetch(query.sql, *step.params), shape, step)
            case "each":
                return self._rows(await self._fetch_each(query, step.params), shape, step)
            case "count":
                status = await self._session.execute(query.sql, *step.params)
                count = int(status.rpartition(" ")[2])
                self.wrote |= count > 0
                return count

    async def _fetch_each(self, query: Query, params: Sequence[Sequence[Any]]) -> list[Any]:
        if len(params) == 1:
            return await self._session.fetch(query.sql, *params[0])
        rows: list[Any] = []
        for start in range(0, len(params), MOST_STATEMENTS):
            rows += await self._session.fetch_many(query.sql, params[start : start + MOST_STATEMENTS])
        return rows

    def _rows(self, rows: list[Any], shape: Shape, step: Step) -> object:
        self.wrote |= shape.writes is not None and bool(rows)
        return (rows[0] if rows else None) if step.fetch == "row" else rows

    async def _look_up(self, query: Query, shape: Shape, step: Step) -> object:
        key = (id(query), tuple(step.params))
        known = self._kept.get(key)
        if known is None:
            await self._flush_before(shape, step.params)
            known = (shape, await self._session.fetch(query.sql, *step.params))
            self._kept[key] = known
        return self._rows(known[1], shape, step)

    def _forget(self, table: str) -> None:
        for key in [key for key, (shape, _) in self._kept.items() if table in shape.tables]:
            del self._kept[key]

    async def _put(self, query: Query, shape: Shape, rows: Sequence[Sequence[Any]]) -> None:
        if shape.deferrable:
            self._pending.add(query, shape, rows)
            await self._breathe()
            return
        for row in rows:
            await self._flush_before(shape, row)
            await self._session.execute(query.sql, *row)

    async def _breathe(self) -> None:
        self._unheard += 1
        if self._unheard == BREATH:
            self._unheard = 0
            await self._session.execute("SELECT 1")

    async def _flush_before(self, shape: Shape, params: Sequence[Any]) -> None:
        for table in self._pending.in_the_way(shape, params):
            await self._flush(table)

    async def _flush(self, table: str) -> None:
        for group in self._pending.take(table):
            await self._take(
                {_lock_number(f"{group.query.ordered}:{value.hex()}") for value in group.values_of(group.query.ordered)}
            )
            await self._execute(group)

    async def _execute(self, group: Group) -> None:
        rows = group.sorted_rows()
        if len(rows) == 1:
            await self._session.execute(group.query.sql, *rows[0])
        elif group.shape.columns:
            sql, places = await self._statements.bulk(group.query, self._session)
            for start in range(0, len(rows), MOST_ROWS):
                part = rows[start : start + MOST_ROWS]
                await self._session.execute(sql, *[[row[place] for row in part] for place in places])
        else:
            for start in range(0, len(rows), MOST_STATEMENTS):
                await self._session.execute_many(group.query.sql, rows[start : start + MOST_STATEMENTS])

    async def _take(self, locks: set[int]) -> None:
        if locks:
            await self._session.execute(_LOCK, sorted(locks))

    async def _hold(self, submissions: Sequence[bytes], tasks: Sequence[str]) -> None:
        wanted = [submission for submission in submissions if submission not in self._held]
        if wanted or tasks:
            await self._session.execute(self._statements.hold.sql, wanted, tasks)
            self._held.update(wanted)


def _lock_number(name: str) -> int:
    """64 bits that two names do not share but by chance; then two scripts wait for each other without need."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
