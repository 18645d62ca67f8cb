"""How commands print: tables for people, JSON for scripts; what is only told goes to standard error."""

import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click
import msgspec
from click.termui import progressbar

_MOST: Final = 80
"""Characters of one cell of a table; `--json`, and what shows one thing, say all."""


def json_line(thing: object) -> None:
    """One line of JSON."""
    click.echo(msgspec.json.encode(thing))


def table(things: Sequence[msgspec.Struct], columns: Sequence[str]) -> None:
    """One line for each, under the names of the ``columns``; a hint on standard error when there is none."""
    if not things:
        click.echo("There is none.", err=True)
        return
    lines = [[column.replace("_", " ").upper() for column in columns]]
    lines += [[_cut(cell(getattr(thing, column))) for column in columns] for thing in things]
    widths = [max(_width(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        padded = (text + " " * (width - _width(text)) for text, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def card(thing: msgspec.Struct) -> None:
    """One line for each field."""
    names = thing.__struct_fields__
    width = max(map(len, names))
    for name in names:
        click.echo(f"{name.replace('_', ' '):<{width}}  {cell(getattr(thing, name))}".rstrip())


def cell(value: Any) -> str:  # noqa: ANN401 - whatever a view may hold
    """A value as people read it; no line break gets through."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return "".join(" " if unicodedata.category(char)[0] == "C" else char for char in value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(map(cell, value)) or "-"
    plain: object = msgspec.to_builtins(value)
    return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()


def progress(label: str, length: int | None = None, items: Iterable[Any] | None = None) -> Any:  # noqa: ANN401 - click's
    """A progress bar on standard error, hidden where nobody looks at it. What ``update`` is told of the item stands
    behind it."""
    return progressbar(
        items,
        length=length,
        label=label,
        item_show_func=lambda item: item if isinstance(item, str) else None,
        update_min_steps=0,  # an update of no step shows its item, too
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
    )


def _cut(text: str) -> str:
    return text if len(text) <= _MOST else text[: _MOST - 1] + "…"


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
