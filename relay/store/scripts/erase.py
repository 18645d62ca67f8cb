"""Erasing one number, a batch at a time: first looked for beside the writer, then struck where it was found.

What is not final or not applied yet is left, because it may still be sent, or still be told of; the caller repeats it.
Decision: opt-outs are left too, because who wants to be forgotten does not want to be written to: without its opt-out
the number would get the next marketing that has it in its list.
"""

from typing import Any, Final, assert_never

import msgspec

from relay.domain.erasure import ErasureStage, Traces
from relay.domain.numbers import read_mobile
from relay.domain.retention import ERASED
from relay.domain.times import DAY_MS
from relay.store.script import Db, Script
from relay.store.scripts.spans import all_spans

ORPHAN_WAITS_MS: Final = DAY_MS
"""A report that found nobody may find its submission as long as that is under way, which takes an hour at most."""

Key = bytes | int
"""An id; a number for the pairs."""


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """Where the number may stand. ``last``: how far was looked; None when there is nothing behind it."""

    keys: list[Key]
    last: Key | None


class Struck(msgspec.Struct, kw_only=True):
    """How many rows were changed, and how many were left because they are not final."""

    erased: int = 0
    left_open: int = 0


def read_position(stage: ErasureStage, position: str | None) -> Key:
    """Behind which row to look; before all of them at first."""
    if stage == "pairs":
        return int(position or 0)
    return bytes.fromhex(position or "")


def write_position(last: Key | None) -> str | None:
    """What ``read_position`` reads."""
    return last.hex() if isinstance(last, bytes) else None if last is None else str(last)


def look(db: Db, stage: ErasureStage, mobile: int, after: Key, limit: int) -> Script[Sighting]:
    """The next ``limit`` rows behind ``after``."""
    traces = Traces(mobile)
    walk: dict[str, Any] = {"after": after, "most": limit}
    digits, like = traces.digits.encode(), f"%{traces.digits}%"
    match stage:
        case "raw_bodies":
            masks = {"mask": traces.mask_begins.encode(), "quoted": traces.quoted_mask_begins.encode()}
            rows = yield from db.rows("erase.raw_bodies", digits=digits, **masks, **walk)
        case "events" | "attempts":
            rows = yield from db.rows(f"erase.{stage}", digits=digits, **walk)
        case "inbound" | "orphans" | "messages":
            rows = yield from db.rows(f"erase.{stage}", like=like, **walk)
        case "pairs":
            rows = yield from db.rows("erase.pairs", mobile=mobile, **walk)
        case "recipients":
            rows = yield from db.rows("erase.recipients", spans=(yield from all_spans(db)), mobile=mobile, **walk)
        case _:
            assert_never(stage)
    found = [row[0] for row in rows if row[1] or (len(row) > 2 and row[2] and traces.strike_refused(row[2]) != row[2])]
    last = rows[-1][0] if len(rows) == limit else None
    return Sighting(keys=[_key(key) for key in found], last=None if last is None else _key(last))


def _key(value: Any) -> Key:  # noqa: ANN401 - what a driver gives
    return value if isinstance(value, int) else bytes(value)


def strike(db: Db, stage: ErasureStage, mobile: int, keys: list[Key], now_ms: int) -> Script[Struck]:
    """Erase it in these rows, which are read again."""
    struck = Struck()
    traces = Traces(mobile)
    if stage == "recipients":
        yield from db.hold(*(key for key in keys if isinstance(key, bytes)))
    for key in keys:
        match stage:
            case "raw_bodies":
                yield from _raw(db, struck, traces, key)
            case "events":
                yield from _event(db, struck, traces, key)
            case "attempts":
                yield from _attempt(db, struck, traces, key)
            case "inbound":
                yield from _inbound(db, struck, traces, key)
            case "orphans":
                yield from _orphan(db, struck, traces, key, now_ms)
            case "pairs":
                # The pair is kept: a copy that comes late is still known, by its mask.
                yield from db.put("pairs.blank", id=key)
                struck.erased += 1
            case "messages":
                yield from _message(db, struck, traces, key)
            case "recipients":
                yield from _recipient(db, struck, traces, key)
            case _:
                assert_never(stage)
    return struck


def _raw(db: Db, struck: Struck, traces: Traces, key: Key) -> Script[None]:
    row = yield from db.row("raw.read", id=key)
    if row is None:
        return
    state, content = row[0], bytes(row[1]) + b"\n" + bytes(row[2])
    if not traces.is_in(content) and not (yield from _is_masked(db, traces, content)):
        return
    if state == "pending":
        struck.left_open += 1
        return
    # The body as a whole: what stood around the number is of no use without it.
    yield from db.put("raw.empty", nothing=b"", id=key)
    struck.erased += 1


def _is_masked(db: Db, traces: Traces, content: bytes) -> Script[bool]:
    """Whether the mask stands in a body that names a submission of the number: no two of its numbers share a mask."""
    if not traces.is_masked(content):
        return False
    tasks = yield from db.rows("recipients.tasks", spans=(yield from all_spans(db)), mobile=traces.mobile)
    names = [bytes(submission).hex() for submission, _ in tasks] + [own for _, own in tasks if own]
    return any(name.encode() in content for name in names)


def _event(db: Db, struck: Struck, traces: Traces, key: Key) -> Script[None]:
    row = yield from db.row("events.read", id=key)
    if row is None or not traces.is_in(bytes(row[0])):
        return
    yield from db.put("events.rewrite", payload=traces.strike_event(bytes(row[0])), id=key)
    struck.erased += 1


def _attempt(db: Db, struck: Struck, traces: Traces, key: Key) -> Script[None]:
    row = yield from db.row("attempts.read", id=key)
    if row is None or not traces.is_in(bytes(row[0])):
        return
    yield from db.put("attempts.rewrite", answer=traces.strike_bytes(bytes(row[0])), id=key)
    struck.erased += 1


def _inbound(db: Db, struck: Struck, traces: Traces, key: Key) -> Script[None]:
    row = yield from db.row("inbound.read", id=key)
    if row is None:
        return
    before = (row[0], row[1])
    after = (ERASED, "") if read_mobile(row[0]) == traces.mobile else (traces.strike(row[0]), traces.strike(row[1]))
    if after != before:
        yield from db.put("inbound.rewrite", mobile_text=after[0], text=after[1], id=key)
        struck.erased += 1


def _orphan(db: Db, struck: Struck, traces: Traces, key: Key, now_ms: int) -> Script[None]:
    row = yield from db.row("orphans.read", id=key)
    if row is None:
        return
    mobile_text, content, kind, resolved_ms, received_ms = row
    after = (ERASED, "") if read_mobile(mobile_text) == traces.mobile else (mobile_text, traces.strike(content))
    if after == (mobile_text, content):
        return
    if kind == "report" and resolved_ms is None and received_ms > now_ms - ORPHAN_WAITS_MS:
        struck.left_open += 1
        return
    yield from db.put("orphans.rewrite", mobile_text=after[0], content=after[1], id=key)
    struck.erased += 1


def _message(db: Db, struck: Struck, traces: Traces, key: Key) -> Script[None]:
    row = yield from db.row("messages.read", id=key)
    if row is None:
        return
    text, refused, reference, metadata, open_recipients = row
    before = (text, refused, reference, metadata)
    after = (
        traces.strike(text),
        traces.strike_refused(refused),
        None if reference is None else traces.strike(reference),
        traces.strike(metadata),
    )
    if after == before:
        return
    if open_recipients:
        struck.left_open += 1
        return
    yield from db.put(
        "messages.rewrite", text=after[0], refused=after[1], reference=after[2], metadata=after[3], id=key
    )
    struck.erased += 1


def _recipient(db: Db, struck: Struck, traces: Traces, submission: Key) -> Script[None]:
    row = yield from db.row("recipients.anchor", submission=submission)
    if row is None:
        return
    message, to_count, provider_message, open_recipients, lowest = row
    if open_recipients:
        struck.left_open += 1
        return
    change = (min(lowest, 0) - 1, submission, traces.mobile)
    yield from db.many("recipients.erase", [change])
    yield from db.many("reports.erase", [change])
    if provider_message is not None and traces.strike(provider_message) != provider_message:
        yield from db.put("submissions.rewrite", provider_message=traces.strike(provider_message), id=submission)
    if to_count == 1:
        yield from db.put("messages.empty", id=message)
    struck.erased += 1
