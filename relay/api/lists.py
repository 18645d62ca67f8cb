"""Pages of lists: opaque cursors, the envelope, and the Link header."""

import base64
import binascii
import hashlib
from typing import Final, Generic, TypeVar

import msgspec

from relay.api.exchange import Answer
from relay.api.queries import PageQuery, query_wrong, with_cursor

T = TypeVar("T")
_TAG_BYTES: Final = 6
_ENCODER: Final = msgspec.json.Encoder()


class ListOf(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page. `next_cursor` goes into the query of the next call."""

    data: list[T]
    next_cursor: str | None
    has_more: bool


def write_cursor(name: str, position: str) -> str:
    """An opaque cursor: ``position`` and a checksum that binds it to the list ``name``."""
    return base64.urlsafe_b64encode(_tag(name, position.encode()) + position.encode()).decode().rstrip("=")


def read_cursor(name: str, cursor: str | None) -> str | None:
    """The position behind a cursor of this list. Raises QueryInvalid for every other text."""
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        tag, position = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
        if tag == _tag(name, position):
            return position.decode()
    except (binascii.Error, ValueError):
        pass
    raise query_wrong("cursor", "This cursor does not come from this list; start without one.")


def page_answer(
    name: str, data: list[T], position: str | None, *, path: str, query: bytes, has_more: bool | None = None
) -> Answer:
    """One page of the list ``name``. ``position`` None: there is no more. ``has_more`` only where that differs."""
    cursor = None if position is None else write_cursor(name, position)
    more = position is not None if has_more is None else has_more
    body = _ENCODER.encode(ListOf(data=data, next_cursor=cursor, has_more=more))
    if cursor is None:
        return Answer(200, body)
    # A relative reference (RFC 8288, section 3.1): right behind every proxy.
    return Answer(200, body, [(b"link", f'<{path}?{with_cursor(query, cursor)}>; rel="next"'.encode())])


def page_of(name: str, query: PageQuery) -> tuple[str | None, int]:
    """Position and limit that a query asks for."""
    return read_cursor(name, query.cursor), query.limit


def _tag(name: str, position: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + position).digest()[:_TAG_BYTES]
