"""Old messages: their numbers and texts are erased, later their rows deleted.

Only what is final is touched: what is still open when its time has come is left, and looked at again. Decision: the
time of a scheduled message begins when it is to be sent, because until then nobody has read it.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from relay.domain.ids import first_id, id_ms
from relay.domain.messages import RefusedNumber
from relay.domain.retention import ERASED, RetentionKind
from relay.ports import Retired
from relay.store.script import Db, Script
from relay.store.scripts import marks

ROWS_OF_A_MESSAGE: Final = 5
"""A batch has so many times fewer messages than rows, because a message has a row in each of several tables."""

_REFUSED: Final = msgspec.json.Decoder(list[RefusedNumber])
_encode = msgspec.json.encode


class _Range(msgspec.Struct, frozen=True, kw_only=True):
    """Messages in a row, held. ``ripe`` ones may be touched: id and refused numbers. ``unripe`` ones not yet: id, and
    when to look again."""

    first: bytes
    last: bytes
    before_ms: int
    ripe: list[tuple[bytes, str]]
    unripe: list[tuple[bytes, int]]


_Act = Callable[[Db, _Range, int], Script[tuple[int, bytes | None]]]
"""Does it to the ripe ones, up to so many rows. Gives the rows, and the message at which it had to stop."""


def erase(db: Db, *, before_ms: int, now_ms: int, limit: int) -> Script[Retired]:
    """Erase numbers, texts and refused numbers; the rows stay."""
    return (yield from _age(db, "content", _erase, before_ms, now_ms, limit))


def forget(db: Db, *, before_ms: int, now_ms: int, limit: int) -> Script[Retired]:
    """Delete messages with their states, submissions, recipients and reports."""
    return (yield from _age(db, "messages", _forget, before_ms, now_ms, limit))


def _age(db: Db, kind: RetentionKind, act: _Act, before_ms: int, now_ms: int, limit: int) -> Script[Retired]:
    most = max(1, limit // ROWS_OF_A_MESSAGE)
    rows = 0
    left = yield from marks.left(db, kind, now_ms, most)
    for key in left:
        found = yield from _range(db, key, key, before_ms, now_ms)
        number, stopped_at = yield from act(db, found, limit - rows)
        rows += number
        if stopped_at is not None or rows >= limit:
            return Retired(rows=rows, more=True, overdue_ms=id_ms(key))
        yield from marks.leave(db, kind, found.unripe)
        if not found.unripe:
            yield from marks.done(db, kind, [key])
    after = yield from marks.find(db, kind)
    window = yield from db.rows("messages.after", after=after, before=first_id(before_ms), most=most)
    keys = [bytes(row[0]) for row in window]
    if not keys:
        return Retired(rows=rows, more=len(left) == most, overdue_ms=None)
    found = yield from _range(db, keys[0], keys[-1], before_ms, now_ms)
    number, stopped_at = yield from act(db, found, limit - rows)
    passed = [key for key in keys if stopped_at is None or key < stopped_at]
    if passed:
        yield from marks.leave(db, kind, [(key, look_ms) for key, look_ms in found.unripe if key <= passed[-1]])
        yield from marks.move(db, kind, passed[-1])
    more = stopped_at is not None or len(keys) == most or len(left) == most
    return Retired(rows=rows + number, more=more, overdue_ms=id_ms(stopped_at or keys[-1]) if more else None)


def _range(db: Db, first: bytes, last: bytes, before_ms: int, now_ms: int) -> Script[_Range]:
    submissions = yield from db.rows("submissions.between", first=first, last=last)
    if submissions:
        # A late report may still speak of them: until this is committed it waits.
        yield from db.hold(*(bytes(row[0]) for row in submissions))
    ripe: list[tuple[bytes, str]] = []
    unripe: list[tuple[bytes, int]] = []
    for key, refused, send_at_ms, open_recipients in (yield from db.rows("messages.between", first=first, last=last)):
        if send_at_ms is not None and send_at_ms >= before_ms:
            unripe.append((bytes(key), send_at_ms + now_ms - before_ms + 1))
        elif open_recipients:
            unripe.append((bytes(key), now_ms + marks.LOOK_AGAIN_MS))
        else:
            ripe.append((bytes(key), refused))
    return _Range(first=first, last=last, before_ms=before_ms, ripe=ripe, unripe=unripe)


def _erase(db: Db, found: _Range, limit: int) -> Script[tuple[int, bytes | None]]:
    recipients = yield from db.rows(
        "recipients.between", first=found.first, last=found.last, before_ms=found.before_ms, most=limit
    )
    # The key of a recipient is (submission, number): in the number's place comes an ordinal below zero.
    lowest: dict[bytes, int] = {}
    changes: list[tuple[int, bytes, int]] = []
    for _, submission, mobile, low in recipients:
        key = bytes(submission)
        lowest[key] = lowest.get(key, min(low, 0)) - 1
        changes.append((lowest[key], key, mobile))
    yield from db.many("recipients.erase", list(changes))
    yield from db.many("reports.erase", list(changes))
    stopped_at = bytes(recipients[-1][0]) if len(recipients) == limit else None
    done = [(key, refused) for key, refused in found.ripe if stopped_at is None or key < stopped_at]
    # The query names first what is set.
    yield from db.many("messages.erase", [(_without_numbers(refused), key) for key, refused in done])
    return len(recipients) + len(done), stopped_at


def _without_numbers(refused: str) -> str:
    numbers = _REFUSED.decode(refused)
    return _encode([msgspec.structs.replace(number, to=ERASED) for number in numbers]).decode()


def _forget(db: Db, found: _Range, limit: int) -> Script[tuple[int, bytes | None]]:
    bound = {"first": found.first, "last": found.last, "before_ms": found.before_ms}
    rows = yield from db.run("reports.forget", **bound, most=limit)
    if rows < limit:
        rows += yield from db.run("recipients.forget", **bound, most=limit - rows)
    if rows >= limit:
        return rows, found.first
    messages = [(key,) for key, _ in found.ripe]
    yield from db.many("submissions.forget", list(messages))
    yield from db.many("states.forget", list(messages))
    yield from db.many("messages.forget", list(messages))
    return rows + len(messages), None
