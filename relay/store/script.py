"""Transaction scripts: written once as generators, run by every driver.

A script yields ``Step``s and is sent their results, so it says nothing about threads, awaiting or drivers:

    def rename(db: Db, team: bytes, name: str) -> Script[bool]:
        found = yield from db.row("team.find", id=team)
        ...
        return True

It runs inside one transaction. An exception that leaves it undoes all that it did.
"""

from collections.abc import Generator, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from relay.ports import Entropy, Straight
from relay.store.queries import Queries

T = TypeVar("T")
Fetch = Literal["rows", "row", "count", "many"]
Row = Sequence[Any]


class Step(msgspec.Struct, frozen=True, gc=False):
    """One statement. ``params`` in the order of the query's names; for ``many`` a list of such tuples.

    The driver answers with a list of rows (``rows``), a row or None (``row``), the number of rows changed (``count``),
    or None (``many``).
    """

    sql: str
    params: Sequence[Any]
    fetch: Fetch


Script = Generator[Step, Any, T]


class Db:
    """What a script works with: named queries, new ids, and the deliver worker to hand work to."""

    def __init__(self, queries: Queries, entropy: Entropy, straight: Straight | None) -> None:
        self._queries = queries
        self._entropy = entropy
        self.straight = straight

    def new_id(self, prefix: str) -> str:
        """A new prefixed id."""
        return self._entropy.new_id(prefix)

    def rows(self, name: str, /, **params: object) -> Script[list[Row]]:
        """All rows of the query ``name``."""
        query = self._queries[name]
        rows: list[Row] = yield Step(query.sql, query.bind(params), "rows")
        return rows

    def row(self, name: str, /, **params: object) -> Script[Row | None]:
        """The first row, or None."""
        query = self._queries[name]
        row: Row | None = yield Step(query.sql, query.bind(params), "row")
        return row

    def run(self, name: str, /, **params: object) -> Script[int]:
        """How many rows the statement changed."""
        query = self._queries[name]
        count: int = yield Step(query.sql, query.bind(params), "count")
        return count

    def many(self, name: str, params: list[tuple[Any, ...]]) -> Script[None]:
        """Run the statement once for each tuple; its values in the order in which the query first names them."""
        if params:
            yield Step(self._queries[name].sql, params, "many")
