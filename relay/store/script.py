"""Transaction scripts: written once as generators, run by every driver.

A script yields ``Step``s and is sent their results, so it says nothing about threads, awaiting or drivers:

    def rename(db: Db, team: bytes, name: str) -> Script[bool]:
        found = yield from db.row("team.find", id=team)
        ...
        return True

It runs inside one transaction. An exception that leaves it undoes all that it did. It may be run again from its
beginning, as when PostgreSQL found a deadlock: what it did before that is undone, so it must keep nothing outside.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from relay.ports import Entropy, Straight
from relay.store.queries import Queries, Query

T = TypeVar("T")
Fetch = Literal["rows", "row", "each", "count", "put", "hold"]
Row = Sequence[Any]


class Step(msgspec.Struct, frozen=True, gc=False):
    """One statement. ``params`` in the order of the query's names; for ``put`` and ``each`` a list of such tuples.

    The driver answers with a list of rows (``rows``, ``each``), a row or None (``row``), the number of rows changed
    (``count``), or None (``put``, ``hold``).
    """

    query: Query
    params: Sequence[Any]
    fetch: Fetch


Script = Generator[Step, Any, T]


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """When a script may run among others, for an engine that has several writers. SQLite has one: there every script
    runs alone, and none of this matters.

    ``submissions``, and ``tasks`` as the provider names them: it works on these, so their messages are locked before it
    begins. ``locks``: no two scripts that share one run at the same time in any process. All are taken for all scripts
    of a commit at once and in one order, so that no two processes wait for each other. ``place``, then ``order``: the
    scripts of one commit run by these, so that what they lock one after the other is locked in one order, too.
    ``weight``: about how many rows it writes. ``alone``: it locks so much that it shares its commit with no other.
    """

    submissions: tuple[bytes, ...] = ()
    tasks: tuple[str, ...] = ()
    locks: tuple[str, ...] = ()
    place: int = 0
    order: str = ""
    weight: int = 1
    alone: bool = False


ANY_TURN = Turn()


class Db:
    """What a script works with: named queries, new ids, and the deliver worker to hand work to."""

    def __init__(self, queries: Queries, entropy: Entropy, straight: Straight | None) -> None:
        self._queries = queries
        self._entropy = entropy
        self.straight = straight

    @property
    def partitioned(self) -> bool:
        """Whether the tables that grow fastest have partitions; see relay/store/partitions.py."""
        return self._queries.engine == "postgres"

    def new_id(self, prefix: str) -> str:
        """A new prefixed id."""
        return self._entropy.new_id(prefix)

    def rows(self, name: str, /, **params: object) -> Script[list[Row]]:
        """All rows of the query ``name``."""
        query = self._queries[name]
        rows: list[Row] = yield Step(query, query.bind(params), "rows")
        return rows

    def row(self, name: str, /, **params: object) -> Script[Row | None]:
        """The first row, or None."""
        query = self._queries[name]
        row: Row | None = yield Step(query, query.bind(params), "row")
        return row

    def each(self, name: str, params: Sequence[Mapping[str, object]]) -> Script[list[Row]]:
        """All rows of the query for each of ``params``, one after the other: what a row belongs to must be seen from
        its columns. The statements of one ``each`` may not wait for each other's answers."""
        if not params:
            return []
        query = self._queries[name]
        rows: list[Row] = yield Step(query, [query.bind(one) for one in params], "each")
        return rows

    def run(self, name: str, /, **params: object) -> Script[int]:
        """How many rows the statement changed."""
        query = self._queries[name]
        count: int = yield Step(query, query.bind(params), "count")
        return count

    def put(self, name: str, /, **params: object) -> Script[None]:
        """Write, and ask for no answer. Every later statement sees it; when it is carried out is the driver's to say,
        which may put the same statements of several scripts together."""
        query = self._queries[name]
        yield Step(query, [query.bind(params)], "put")

    def many(self, name: str, params: list[tuple[Any, ...]]) -> Script[None]:
        """``put`` for each tuple; its values in the order in which the query first names them."""
        if params:
            yield Step(self._queries[name], params, "put")

    def hold(self, *submissions: bytes) -> Script[None]:
        """Until the transaction ends nobody else changes the messages of these submissions, nor any submission,
        recipient or report of them: what is read from now on stays true."""
        yield Step(self._queries["states.hold"], (submissions, ()), "hold")

    def ddl(self, text: str) -> Script[None]:
        """Change the schema, where there are partitions. Such a statement takes no parameters: ``text`` is made of our
        own constants and of dates, by relay/store/partitions.py alone."""
        if not self.partitioned:
            raise TypeError("the schema of this engine is changed by migrations alone")
        # As rows, of which there are none: a driver may want to read a number out of the answer to a "count".
        yield Step(Query(sql=text, names=()), (), "rows")
