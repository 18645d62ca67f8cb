"""What a statement reads and writes, read from its text.

The driver puts the writes of several scripts together, so it must know which statements may not overtake which. In
doubt a statement conflicts: then what is pending for its tables is carried out before it. Two limits: the tables of a
statement stand behind FROM, JOIN, INTO and UPDATE (tests/store/postgres/test_shapes.py sees that of ours they all do);
and a new row is not compared with what a removed one had in other columns than the one removes by.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from relay.store.queries import Query

_WRITE: Final = re.compile(r"(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)")
_FROM: Final = re.compile(
    r"\b(?:FROM|JOIN) (\w+)(?: (?:AS )?"
    r"(?!(?:WHERE|JOIN|CROSS|LEFT|ON|ORDER|SET|FOR|GROUP|LIMIT|RETURNING|USING|AND)\b)(\w+))?"
)
_INSERT: Final = re.compile(r"INSERT INTO (\w+) \(([^()]*)\) VALUES \(([^()]*)\)\Z")
_EQUALS: Final = re.compile(r"(?:(\w+)\.)?(\w+) = \$(\d+)")
_SET: Final = re.compile(r"(\w+) = ")
_END: Final = re.compile(r" (?:ORDER BY|LIMIT|RETURNING|FOR UPDATE|GROUP BY)\b")
_PARAM: Final = re.compile(r"\$(\d+)")
_GROUP: Final = re.compile(r"\([^()]*\)")


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """``writes``: the table that it changes. ``reads``: the tables whose rows it looks at. ``keys``: per table, columns
    that equal a parameter (its index) in every row that it touches, before and after. ``columns`` and ``values`` of a
    plain INSERT. ``inserts``: it adds rows. ``deferrable``: it looks at no other table, so it may be carried out later.
    """

    writes: str | None
    reads: frozenset[str]
    keys: dict[str, dict[str, int]]
    columns: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    inserts: bool = False
    deferrable: bool = False

    @property
    def tables(self) -> frozenset[str]:
        """All of them."""
        return self.reads if self.writes is None else self.reads | {self.writes}

    def order(self) -> int | None:
        """The parameter by which an UPDATE or DELETE finds its row, so that rows are locked in one order."""
        if self.writes is None or self.columns:
            return None
        return min(self.keys.get(self.writes, {}).values(), default=None)


def shape_of(query: Query) -> Shape:
    """Read from the query's text."""
    sql = query.sql
    insert = _INSERT.match(sql)
    if insert is not None:
        columns, values = _parts(insert[2]), _parts(insert[3])
        keys = {
            column: int(found[1]) - 1
            for column, value in zip(columns, values, strict=True)
            if (found := _PARAM.fullmatch(value)) is not None
        }
        return Shape(
            writes=insert[1],
            reads=frozenset(),
            keys={insert[1]: keys},
            columns=columns,
            values=values,
            inserts=True,
            deferrable=True,
        )
    write = _WRITE.match(sql)
    writes = None if write is None else write[1]
    aliases = [(found[2] or found[1], found[1]) for found in _FROM.finditer(sql)]
    if write is not None and sql.startswith("UPDATE"):
        aliases.append((write[1], write[1]))
    reads = frozenset(table for _, table in aliases)
    return Shape(
        writes=writes,
        reads=reads,
        keys=_keys(sql, aliases),
        inserts=sql.startswith("INSERT"),
        deferrable=writes is not None and not sql.startswith("INSERT") and reads == {writes} and "SELECT" not in sql,
    )


def conflict(table: str, one: Shape, one_params: Sequence[Any], other: Shape, other_rows: "Rows") -> bool:
    """Whether the statement ``one`` may touch a row of ``table`` that ``other`` touches with any of its rows."""
    if one.inserts and other.inserts:
        # Rows are numbered by the table in the order in which they come.
        return True
    mine, theirs = one.keys.get(table, {}), other.keys.get(table, {})
    common = tuple(sorted(mine.keys() & theirs.keys()))
    if not common:
        return True
    wanted = tuple([one_params[mine[column]] for column in common])
    return other_rows.contain(tuple([theirs[column] for column in common]), wanted)


class Rows:
    """Parameters of one statement, row by row, with a look-up by any of their columns."""

    def __init__(self) -> None:
        self.all: list[Sequence[Any]] = []
        self._seen: dict[tuple[int, ...], tuple[int, set[tuple[Any, ...]]]] = {}

    def contain(self, at: tuple[int, ...], values: tuple[Any, ...]) -> bool:
        """Whether a row has these values at these places."""
        done, seen = self._seen.get(at, (0, set()))
        seen.update(tuple([row[index] for index in at]) for row in self.all[done:])
        self._seen[at] = (len(self.all), seen)
        return values in seen


def bulk(shape: Shape, types: Mapping[str, str]) -> tuple[str, tuple[int, ...]]:
    """A plain INSERT as one statement over many rows: its text, and which parameter each array holds. ``types``: of the
    table's columns."""
    parameters: dict[int, str] = {}
    values: list[str] = []
    for column, value in zip(shape.columns, shape.values, strict=True):
        found = _PARAM.fullmatch(value)
        if found is None:
            values.append(value)
        else:
            index = int(found[1]) - 1
            parameters.setdefault(index, types[column])
            values.append(f"v.p{index}")
    arrays = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(parameters.values(), 1))
    names = ", ".join(f"p{index}" for index in parameters)
    into = f"INSERT INTO {shape.writes} ({', '.join(shape.columns)})"
    rows = f"FROM unnest({arrays}) AS v({names})"
    return f"{into} SELECT {', '.join(values)} {rows}", tuple(parameters)


def _keys(sql: str, aliases: Sequence[tuple[str, str]]) -> dict[str, dict[str, int]]:
    head, _, where = sql.partition(" WHERE ")
    if " WHERE " in where or "CASE " in where or len({table for _, table in aliases}) < len(aliases):
        # Which conditions are whose, and of which row, is more than a look at the text can tell.
        return {}
    before = None
    while before != where:
        before, where = where, _GROUP.sub("@", where)
    where = _END.split(where)[0]
    if " OR " in where:
        return {}
    # A row that it moves from one value to another is touched by whoever looks for either.
    moved = set(_SET.findall(head.partition(" SET ")[2]))
    keys: dict[str, dict[str, int]] = {}
    for condition in where.split(" AND "):
        found = _EQUALS.fullmatch(condition.strip())
        if found is None or found[2] in moved:
            continue
        table = dict(aliases).get(found[1]) if found[1] else (aliases[0][1] if len(aliases) == 1 else None)
        if table is not None:
            keys.setdefault(table, {})[found[2]] = int(found[3]) - 1
    return keys


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))
