"""One transaction of many scripts: what each reads is asked at once, what they write is put together.

Decision: asyncpg waits for the answer of each statement, so a commit of 64 scripts with eight statements each would be
512 round trips. Most of them are writes that nobody waits for (``put``): they are kept until a statement could see the
difference, then carried out table by table, all rows in one statement.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from relay.store.postgres.connections import Connection
from relay.store.postgres.shapes import Rows, Shape, bulk, conflict, shape_of
from relay.store.queries import Queries, Query
from relay.store.script import Db, Script, Step, Turn

T = TypeVar("T")
Types = Mapping[str, Mapping[str, str]]
"""Of every table, the type of every column."""

MOST_ROWS: Final = 5_000
"""So many rows go into one statement."""
_TYPES: Final = """
SELECT c.relname, a.attname, format_type(a.atttypid, NULL) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relkind IN ('r', 'p') AND pg_table_is_visible(c.oid) AND a.attnum > 0 AND NOT a.attisdropped
"""
# The array is sorted, and unnest keeps its order: every process takes locks in the same one.
_LOCK: Final = "SELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) AS k"


async def read_types(connection: Connection) -> dict[str, dict[str, str]]:
    """What the server says of our tables."""
    types: dict[str, dict[str, str]] = {}
    for table, column, kind in await connection.fetch(_TYPES):
        types.setdefault(table, {})[column] = kind
    return types


class Statements:
    """What is known of each query, found out once."""

    def __init__(self, queries: Queries) -> None:
        self.hold = queries["states.hold"]
        self._shapes: dict[int, Shape] = {}
        self._bulk: dict[int, tuple[str, tuple[int, ...]]] = {}

    def shape(self, query: Query) -> Shape:
        """What it touches."""
        shape = self._shapes.get(id(query))
        if shape is None:
            shape = self._shapes[id(query)] = shape_of(query)
        return shape

    def bulk(self, query: Query, types: Types) -> tuple[str, tuple[int, ...]]:
        """A plain INSERT over many rows."""
        found = self._bulk.get(id(query))
        if found is None:
            shape = self.shape(query)
            found = self._bulk[id(query)] = bulk(shape, types[shape.writes or ""])
        return found


class _Group:
    """Writes of one query that are still to be carried out."""

    def __init__(self, query: Query, shape: Shape) -> None:
        self.query = query
        self.shape = shape
        self.rows = Rows()


class Batch:
    """An open transaction. ``wrote``: the script that ran last has changed something. ``transaction``: its id."""

    def __init__(self, connection: Connection, statements: Statements, types: Types) -> None:
        self._connection = connection
        self._statements = statements
        self._types = types
        self._groups: dict[str, list[_Group]] = {}
        self._held: set[bytes] = set()
        self._kept: dict[tuple[int, tuple[Any, ...]], tuple[Shape, list[Any]]] = {}
        self.wrote = False
        self.transaction = ""

    async def begin(self, opening: str, turns: Sequence[Turn]) -> None:
        """Open it with the statements ``opening``, and take what its scripts need to themselves."""
        await self._connection.execute(opening)
        locks = {_lock_number(lock) for turn in turns for lock in turn.locks}
        await self._take(locks)
        await self._hold([submission for turn in turns for submission in turn.submissions])
        self.transaction = await self._connection.fetchval("SELECT pg_current_xact_id()::text")

    async def run(self, script: Callable[[Db], Script[T]], db: Db) -> T:
        """The result of a script. Raises what it raises."""
        self.wrote = False
        steps = script(db)
        try:
            step = next(steps)
            while True:
                step = steps.send(await self._answer(step))
        except StopIteration as stop:
            value: T = stop.value
            return value

    async def flush(self) -> None:
        """Carry out all that is pending."""
        # What is ordered comes last: its lock is then held for the shortest time.
        tables = sorted(self._groups, key=lambda table: any(group.query.ordered for group in self._groups[table]))
        for table in tables:
            await self._flush_table(table)

    async def _answer(self, step: Step) -> object:
        query = step.query
        if step.fetch == "hold":
            await self._hold(step.params[0])
            return None
        shape = self._statements.shape(query)
        if shape.writes is not None:
            self._forget(shape.writes)
        if step.fetch == "put":
            self.wrote = True
            await self._put(query, shape, step.params)
            return None
        if query.kept:
            return await self._look_up(query, shape, step)
        await self._flush_before(shape, step.params)
        match step.fetch:
            case "rows":
                rows = await self._connection.fetch(query.sql, *step.params)
                self.wrote |= shape.writes is not None and bool(rows)
                return rows
            case "row":
                rows = await self._connection.fetch(query.sql, *step.params)
                self.wrote |= shape.writes is not None and bool(rows)
                return rows[0] if rows else None
            case "count":
                status = await self._connection.execute(query.sql, *step.params)
                count = int(status.rpartition(" ")[2])
                self.wrote |= count > 0
                return count

    async def _look_up(self, query: Query, shape: Shape, step: Step) -> object:
        key = (id(query), tuple(step.params))
        known = self._kept.get(key)
        if known is None:
            await self._flush_before(shape, step.params)
            known = (shape, await self._connection.fetch(query.sql, *step.params))
            self._kept[key] = known
        rows = known[1]
        return rows if step.fetch == "rows" else (rows[0] if rows else None)

    def _forget(self, table: str) -> None:
        for key in [key for key, (shape, _) in self._kept.items() if table in shape.tables]:
            del self._kept[key]

    async def _put(self, query: Query, shape: Shape, rows: Sequence[Sequence[Any]]) -> None:
        table = shape.writes
        if table is None or not shape.deferrable:
            for row in rows:
                await self._flush_before(shape, row)
                await self._connection.execute(query.sql, *row)
            return
        groups = self._groups.setdefault(table, [])
        for row in rows:
            _group_for(groups, query, shape, row).rows.all.append(row)

    async def _flush_before(self, shape: Shape, params: Sequence[Any]) -> None:
        for table in shape.tables & self._groups.keys():
            groups = self._groups[table]
            if any(conflict(table, shape, params, group.shape, group.rows) for group in groups):
                await self._flush_table(table)

    async def _flush_table(self, table: str) -> None:
        for group in self._groups.pop(table, ()):
            rows = group.rows.all
            if group.query.ordered is not None:
                place = group.query.names.index(group.query.ordered)
                await self._take({_lock_number(f"{group.query.ordered}:{row[place].hex()}") for row in rows})
            order = group.shape.order()
            if order is not None and len(rows) > 1:
                rows.sort(key=lambda row: row[order])
            await self._execute(group, rows)

    async def _execute(self, group: _Group, rows: list[Sequence[Any]]) -> None:
        if len(rows) == 1:
            await self._connection.execute(group.query.sql, *rows[0])
        elif group.shape.columns:
            sql, places = self._statements.bulk(group.query, self._types)
            for start in range(0, len(rows), MOST_ROWS):
                part = rows[start : start + MOST_ROWS]
                await self._connection.execute(sql, *[[row[place] for row in part] for place in places])
        else:
            await self._connection.executemany(group.query.sql, rows)

    async def _take(self, locks: set[int]) -> None:
        if locks:
            await self._connection.execute(_LOCK, sorted(locks))

    async def _hold(self, submissions: Sequence[bytes]) -> None:
        wanted = [submission for submission in submissions if submission not in self._held]
        if wanted:
            await self._connection.execute(self._statements.hold.sql, wanted)
            self._held.update(wanted)


def _group_for(groups: list[_Group], query: Query, shape: Shape, row: Sequence[Any]) -> _Group:
    """The group that this row may join without overtaking another write to the same row; a new one when there is none."""
    for group in reversed(groups):
        if group.query is query:
            return group
        if conflict(shape.writes or "", shape, row, group.shape, group.rows):
            break
    group = _Group(query, shape)
    groups.append(group)
    return group


def _lock_number(name: str) -> int:
    """64 bits that two names do not share but by chance; then two scripts wait for each other without need."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
