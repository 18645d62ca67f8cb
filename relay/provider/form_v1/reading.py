"""Where in a body the rows stand: callbacks and pulls in every shape that may come.

Everything here is total: what cannot be read is counted, never raised and never guessed.
"""

from collections.abc import Iterable
from typing import Final, Generic

import msgspec

from relay.domain.provider import RawBody, Reading
from relay.provider.form_v1 import bodies
from relay.provider.form_v1.rows import Fields, Kind, Row, named, text_of

# provider/contract.md 1: "00" is success; 2, "codes": it may come as "00", "0" or 0.
SUCCESS_CODES: Final = frozenset({"00", "0"})

_MOST_UNREADABLE: Final = 2_000
"""A body with more unreadable parts is not read further: garbage, which the quarantine keeps as it came."""
_DEEPEST: Final = 6


def read_pushed(raw: RawBody, kind: Kind[Row]) -> Reading[Row]:
    """Rows of a callback: JSON object, list, list under any key, form fields, a form field that holds JSON, or a query.

    Assumption of provider/contract.md 2, "shape of a callback". An empty callback is one unreadable part.
    """
    found = _Finder(kind)
    body = raw.body.strip()
    if body:
        _read_pushed_bytes(body, found)
    if raw.query and not found.rows:
        found.take(_form_value(bodies.read_form(raw.query)))
    elif not body:
        found.unreadable += 1
    return Reading(rows=tuple(found.rows), unreadable=found.unreadable, ignored_fields=found.ignored)


def _read_pushed_bytes(body: bytes, found: "_Finder[Row]") -> None:
    value = bodies.read_json(body)
    if isinstance(value, dict | list):
        found.take(value)
        return
    text = bodies.decode_text(body)
    if bodies.looks_like_json(text):
        found.take_mended(bodies.mend_json(text))
    else:
        found.take(_form_value(bodies.read_form(body)))


def _form_value(pairs: list[tuple[str, str]]) -> object:
    """The fields as an object; a form whose only content is a JSON text as a field's name gives it as a value.

    A field that comes twice with different values could belong to either of two rows: that is not guessed at.
    """
    named: Fields = {}
    for name, value in pairs:
        if not value and bodies.looks_like_json(name):
            name, value = "", name
        if named.setdefault(name, value) != value:
            return bodies.UNREADABLE
    return named


def read_pulled(raw: RawBody, kind: Kind[Row]) -> Reading[Row]:
    """Rows of a pull: under ``data`` as list, object, object with a list, or JSON text; null, "" and missing are none.

    Assumption of provider/contract.md 2, "shape of data". A code that is not success is ``refused``, without rows.
    """
    found = _Finder(kind)
    value = bodies.read_json(raw.body)
    if not isinstance(value, dict | list):
        text = bodies.decode_text(raw.body)
        mended = bodies.mend_json(text) if bodies.looks_like_json(text) else bodies.Mended(bodies.UNREADABLE)
        if not isinstance(mended.whole, dict | list):
            found.take_mended(mended)
        value = mended.whole
    code = ""
    if isinstance(value, dict) and (answer := Answer.read(value)) is not None:
        if answer.code is None:
            found.unreadable += 1
        elif answer.code not in SUCCESS_CODES:
            return Reading(rows=(), unreadable=0, ignored_fields=answer.ignored, code=answer.code, refused=True)
        code = answer.code or ""
        found.ignored += answer.ignored
        if not answer.is_empty:
            found.take(answer.data)
    elif isinstance(value, dict | list):
        found.take(value)
    return Reading(rows=tuple(found.rows), unreadable=found.unreadable, ignored_fields=found.ignored, code=code)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope ``{"code", "data", "message"}``; ``code`` None if unreadable, ``ignored`` counts unknown fields."""

    code: str | None
    data: object
    message: str | None
    ignored: int

    @classmethod
    def read(cls, value: object) -> "Answer | None":
        """The envelope, or None when ``value`` is none: it has no code. ``data`` that holds JSON is opened."""
        if not isinstance(value, dict):
            return None
        fields, ignored = named(value, _ENVELOPE, _ENVELOPE_SPELLINGS)
        if "code" not in fields:
            return None
        code = text_of(fields["code"])
        data = fields.get("data")
        if isinstance(data, str) and (opened := bodies.open_text(data)) is not bodies.UNREADABLE:
            data = opened
        return cls(
            code=code.strip()[:_LONGEST_CODE] or None if code is not None else None,
            data=data,
            message=text_of(fields.get("message")),
            ignored=ignored,
        )

    @property
    def is_empty(self) -> bool:
        """True when there is no data at all."""
        if isinstance(self.data, str):
            return self.data.strip() in ("", "null")
        return self.data is None or self.data in ([], {})


_LONGEST_CODE: Final = 64
# provider/contract.md 1
_ENVELOPE: Final = frozenset({"code", "data", "message"})
_ENVELOPE_SPELLINGS: Final = {name.lower(): name for name in _ENVELOPE}


class _Finder(Generic[Row]):
    """Walks through a value and collects its rows. Every part of the value is read, ignored or unreadable."""

    def __init__(self, kind: Kind[Row]) -> None:
        self._kind: Kind[Row] = kind
        self._parts = 0
        self.rows: list[Row] = []
        self.unreadable = 0
        self.ignored = 0

    def take_mended(self, mended: bodies.Mended) -> None:
        """All of it when it was mended whole; else the rows among its parts, and the rest is unreadable."""
        if mended.whole is not bodies.UNREADABLE:
            self.take(mended.whole)
            return
        self.unreadable += 1
        self._take_list(mended.parts)

    def take(self, value: object, depth: int = 0) -> None:
        """Collect the rows of ``value``: a row, a list of rows, or an object or JSON text that holds either."""
        if isinstance(value, str):
            value = bodies.open_text(value)
        if isinstance(value, list):
            self._take_list(value)
        elif isinstance(value, dict):
            self._take_object(value, depth)
        else:
            self.unreadable += 1

    def _take_list(self, items: Iterable[object]) -> None:
        """What stands in a list is a row, or the JSON text of one; anything else in it is unreadable."""
        for item in items:
            if self.unreadable >= _MOST_UNREADABLE:
                return
            if item and isinstance(item, dict | str):
                self.take(item, _DEEPEST)
            else:
                self.unreadable += 1

    def _take_object(self, item: Fields, depth: int) -> None:
        kind = self._kind
        fields, ignored = named(item, kind.documented, kind.spellings)
        if fields.keys() >= kind.required:
            row = kind.build(fields)
            if row is None:
                self.unreadable += 1
            else:
                self.rows.append(row)
                self.ignored += ignored
            return
        inner = _containers(item) if depth < _DEEPEST else []
        if not inner:
            self.unreadable += 1
            return
        self.ignored += len(item) - len(inner)
        for value in inner:
            self.take(value, depth + 1)


def _containers(item: Fields) -> list[object]:
    """The objects and lists that ``item`` holds, as such or as JSON text."""
    opened = (bodies.open_text(value) if isinstance(value, str) else value for value in item.values())
    return [value for value in opened if isinstance(value, dict | list)]
