"""How PostgreSQL means to carry out a query: which rows it looks at, by which index."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

import asyncpg
import msgspec

from relay.store.queries import Query

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Mode = Literal["force_custom_plan", "force_generic_plan"]
_CONDITION: Final = re.compile(r"(ROW\([\w, \"]+\)|substr\([\w, ]+\)|(?<!\.)\b[a-z_]+\b\"?) (=|<=|<|>=|>) ")
_INHERITED: Final = "SELECT i.inhrelid::regclass::text, i.inhparent::regclass::text FROM pg_inherits i"
_KEYS: Final = """
SELECT conindid::regclass::text, conrelid::regclass::text FROM pg_constraint
WHERE conindid <> 0 AND contype IN ('p', 'u')
"""


_EMPTY: Final = """
SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relispartition AND pg_relation_size(oid) = 0
"""


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """Partitions and their indexes under the names of what they are part of. ``keys``: of primary and unique keys, the
    table. ``empty``: partitions in which there is nothing; how they are looked through does not matter."""

    parents: Mapping[str, str]
    keys: Mapping[str, str]
    empty: frozenset[str] = frozenset()

    @classmethod
    async def read(cls, connection: Connection) -> "Names":
        """From the catalog."""
        parents = dict([tuple(row) for row in await connection.fetch(_INHERITED)])
        keys = {index: parents.get(table, table) for index, table in await connection.fetch(_KEYS)}
        empty = frozenset([name for (name,) in await connection.fetch(_EMPTY)])
        return cls(parents=parents, keys=keys, empty=empty)

    def index(self, name: str) -> str:
        """As the schema names it; a key's index is named by its table."""
        return f"{self.keys[name]} key" if name in self.keys else self.parents.get(name, name)

    def table(self, name: str) -> str:
        """As the queries name it."""
        return self.parents.get(name, name)


class Step(msgspec.Struct, frozen=True):
    """A look into ``table``, whole (``index`` None) or by an index; ``by``: the conditions that the index serves."""

    table: str
    index: str | None
    by: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.index or f'all of {self.table}'} ({', '.join(self.by)})"


async def explain(
    connection: Connection, query: Query, params: tuple[Any, ...], mode: Mode, *, run: bool = False
) -> Any:
    """The plan; with ``run`` it is carried out too, and undone."""
    values = f"({', '.join(map(_literal, params))})" if params else ""
    options = "ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON" if run else "FORMAT JSON"
    await connection.execute(f"SET plan_cache_mode = {mode}")
    # EXPLAIN of a parameterised statement plans for the values: only a prepared one has a generic plan.
    await connection.execute(f"PREPARE asked AS {query.sql}")
    transaction = connection.transaction()
    await transaction.start()
    try:
        text = await connection.fetchval(f"EXPLAIN ({options}) EXECUTE asked {values}")
    finally:
        await transaction.rollback()
        await connection.execute("DEALLOCATE asked")
    return json.loads(text)[0]["Plan"]


def steps(plan: Any, names: Names) -> list[Step]:
    """All looks, each once."""
    return sorted(set(_steps(plan, names)), key=str)


def pages(plan: Any) -> int:
    """How many pages it touched."""
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def _steps(plan: Any, names: Names) -> Iterator[Step]:
    kind = plan["Node Type"]
    if plan.get("Relation Name") in names.empty:
        return
    if kind in ("Index Scan", "Index Only Scan"):
        by = _CONDITION.findall(plan.get("Index Cond", ""))
        yield Step(
            table=names.table(plan["Relation Name"]),
            index=names.index(plan["Index Name"]),
            by=tuple([f"{what} {sign}".replace('"', "") for what, sign in by]),
        )
    elif kind in ("Seq Scan", "Bitmap Heap Scan"):
        yield Step(table=names.table(plan["Relation Name"]), index=None)
    for child in plan.get("Plans", ()):
        yield from _steps(child, names)


def _literal(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case bytes():
            return f"'\\x{value.hex()}'"
        case list():
            kind = "bytea" if isinstance(value[0], bytes) else "text"
            return f"ARRAY[{', '.join(map(_literal, value))}]::{kind}[]"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case _:
            return str(value)
