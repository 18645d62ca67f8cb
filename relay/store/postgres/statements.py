"""What is known of each query and of the columns that it fills."""

from collections.abc import Mapping
from typing import Final

from relay.store.postgres.connections import Session
from relay.store.postgres.failures import schema_missing
from relay.store.postgres.shapes import Shape, bulk, shape_of
from relay.store.queries import Queries, Query

_TYPES: Final = """
SELECT c.relname, a.attname, format_type(a.atttypid, NULL) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relkind IN ('r', 'p') AND pg_table_is_visible(c.oid) AND a.attnum > 0 AND NOT a.attisdropped
"""


class Statements:
    """Found out once for each query, which is kept with it: another one may come to lie at its address."""

    def __init__(self, queries: Queries) -> None:
        self.hold = queries["states.hold"]
        self._shapes: dict[int, tuple[Query, Shape]] = {}
        self._bulk: dict[int, tuple[str, tuple[int, ...]]] = {}
        self._types: Mapping[str, Mapping[str, str]] = {}

    def shape(self, query: Query) -> Shape:
        """What it touches."""
        known = self._shapes.get(id(query))
        if known is None:
            known = self._shapes[id(query)] = (query, shape_of(query))
        return known[1]

    async def bulk(self, query: Query, session: Session) -> tuple[str, tuple[int, ...]]:
        """A plain INSERT over many rows; see ``shapes.bulk``. Raises SchemaMissing."""
        found = self._bulk.get(id(query))
        if found is None:
            shape = self.shape(query)
            if not self._knows(shape):
                # Not read yet, or before a migration.
                self._types = await read_types(session)
            if not self._knows(shape):
                raise schema_missing()
            found = self._bulk[id(query)] = bulk(shape, self._types[shape.writes or ""])
        return found

    def _knows(self, shape: Shape) -> bool:
        return set(shape.columns) <= self._types.get(shape.writes or "", {}).keys()


async def read_types(session: Session) -> dict[str, dict[str, str]]:
    """Of every table that the server has, the type of every column."""
    types: dict[str, dict[str, str]] = {}
    for table, column, kind in await session.fetch(_TYPES):
        types.setdefault(table, {})[column] = kind
    return types
