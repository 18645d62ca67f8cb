"""Writes that are still to be carried out, put together without changing what anybody sees."""

from collections.abc import Sequence
from typing import Any

from relay.store.postgres.shapes import Rows, Shape, conflict
from relay.store.queries import Query


class Group:
    """Writes of one query, in their order."""

    def __init__(self, query: Query, shape: Shape) -> None:
        self.query = query
        self.shape = shape
        self.rows = Rows()

    def values_of(self, name: str | None) -> set[Any]:
        """What its rows have for this parameter; nothing for None."""
        if name is None:
            return set()
        place = self.query.names.index(name)
        return {row[place] for row in self.rows.all}

    def sorted_rows(self) -> list[Sequence[Any]]:
        """In the order in which every process locks them. Two writes of one row keep theirs: what it is found by is the
        same in both."""
        order = self.shape.order()
        if order is None:
            return self.rows.all
        return sorted(self.rows.all, key=lambda row: (row[order] is not None, row[order]))


class Pending:
    """Groups of each table, in the order in which they must be carried out."""

    def __init__(self) -> None:
        self._groups: dict[str, list[Group]] = {}

    def add(self, query: Query, shape: Shape, rows: Sequence[Sequence[Any]]) -> None:
        """After all that is pending for the same table."""
        groups = self._groups.setdefault(shape.writes or "", [])
        for row in rows:
            _group_for(groups, query, shape, row).rows.all.append(row)

    def in_the_way(self, shape: Shape, params: Sequence[Any]) -> list[str]:
        """Tables of which the statement might see the difference."""
        return [
            table
            for table in shape.tables & self._groups.keys()
            if any(conflict(table, shape, params, group.shape, group.rows) for group in self._groups[table])
        ]

    def tables(self) -> list[str]:
        """All that have anything; what is ordered comes last: its lock is then held for the shortest time."""
        return sorted(self._groups, key=lambda table: any(group.query.ordered for group in self._groups[table]))

    def take(self, table: str) -> list[Group]:
        """They are the caller's now."""
        return self._groups.pop(table, [])


def _group_for(groups: list[Group], query: Query, shape: Shape, row: Sequence[Any]) -> Group:
    """The group that this row may join without overtaking another write to the same row; a new one if there is none."""
    for group in reversed(groups):
        if group.query is query:
            return group
        if conflict(shape.writes or "", shape, row, group.shape, group.rows):
            break
    group = Group(query, shape)
    groups.append(group)
    return group
