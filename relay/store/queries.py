"""Named SQL: blocks headed ``-- name: area.verb`` in ``sql/*.sql``, with ``:name`` parameters.

The text is shared by the engines. Where one must differ, ``sql/<engine>/*.sql`` holds a block of the same name, with
the reason above it; it replaces the shared one.

A line of the form ``-- <note>: <text>`` below the name may tell engines with several writers more of a statement:

    -- commits in order of: team   rows of one team become visible in the order of their numbers: until this transaction
                                   has ended, nobody else runs the statement for that team
    -- kept: yes                   one answer is good for the whole transaction, unless it writes to the table itself
"""

import re
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final, Literal

import msgspec

Engine = Literal["sqlite", "postgres"]

_BLOCK: Final = re.compile(r"^-- name: (?P<name>[a-z_]+\.[a-z0-9_]+)\s*$", re.MULTILINE)
_COMMENT: Final = re.compile(r"--[^\n]*")
_PARAM: Final = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")
_ORDERED: Final = re.compile(r"^-- commits in order of: (\w+)\s*$", re.MULTILINE)
_KEPT: Final = re.compile(r"^-- kept: yes\s*$", re.MULTILINE)


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One statement in the engine's own parameter style; ``names`` in the order in which they first occur. ``ordered``
    names the parameter of ``-- commits in order of``; see the module."""

    sql: str
    names: tuple[str, ...]
    ordered: str | None = None
    kept: bool = False

    def bind(self, params: Mapping[str, object]) -> tuple[Any, ...]:
        """The values in order. Raises KeyError for a missing one; a superfluous one is a TypeError."""
        if len(params) != len(self.names):
            raise TypeError(f"the query takes {self.names}, got {tuple(params)}")
        return tuple([params[name] for name in self.names])


class Queries:
    """All queries of one engine, by name."""

    def __init__(self, queries: Mapping[str, Query], engine: Engine = "sqlite") -> None:
        self._queries = queries
        self.engine = engine

    def __getitem__(self, name: str) -> Query:
        return self._queries[name]

    def names(self) -> list[str]:
        """Every name."""
        return sorted(self._queries)

    @classmethod
    def load(cls, engine: Engine) -> "Queries":
        """The queries that lie beside this module."""
        folder = resources.files("relay.store") / "sql"
        texts = [entry.read_text("utf-8") for entry in folder.iterdir() if entry.name.endswith(".sql")]
        own = folder / engine
        if own.is_dir():
            texts += [entry.read_text("utf-8") for entry in own.iterdir() if entry.name.endswith(".sql")]
        queries: dict[str, Query] = {}
        for text in texts:
            for name, body in _blocks(text):
                queries[name] = _compile(body, engine)
        return cls(queries, engine)


def _blocks(text: str) -> list[tuple[str, str]]:
    heads = list(_BLOCK.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return [(head["name"], text[head.end() : end]) for head, end in zip(heads, ends, strict=True)]


def _compile(body: str, engine: Engine) -> Query:
    names: list[str] = []

    def place(found: re.Match[str]) -> str:
        name = found[1]
        if name not in names:
            names.append(name)
        return f"{'?' if engine == 'sqlite' else '$'}{names.index(name) + 1}"

    sql = _PARAM.sub(place, _COMMENT.sub("", body))
    ordered = _ORDERED.search(body)
    return Query(
        sql=" ".join(sql.split()),
        names=tuple(names),
        ordered=None if ordered is None else ordered[1],
        kept=_KEPT.search(body) is not None,
    )
