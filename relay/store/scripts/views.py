"""Reading messages, recipients and inbound messages as the API shows them."""

from typing import Final

import msgspec

from relay.domain.ids import AccountId, InboundId, MessageId, SubmissionId
from relay.domain.messages import (
    InboundView,
    MessageView,
    RecipientView,
    RefusedNumber,
    ReportView,
    SubmissionView,
)
from relay.domain.retention import ERASED
from relay.domain.states import FINAL, STATUSES, RecipientStatus, message_status
from relay.domain.times import instant, instant_or_none, to_ms
from relay.ports import MessageFilter, Page
from relay.store.script import Db, Row, Script
from relay.store.scripts.spans import spans

NEWEST: Final = b"\xff" * 16
"""Sorts after every id: where a list that runs newest first begins."""
NO_REPORT: Final = "NO_REPORT"
"""The raw status that the sweep gives to a recipient of which the provider never spoke."""

_REFUSED: Final = msgspec.json.Decoder(list[RefusedNumber])
_METADATA: Final = msgspec.json.Decoder(dict[str, str])
_COUNTS_AT: Final = 13


def before(position: str | None) -> bytes:
    """The key to list below."""
    return NEWEST if position is None else bytes.fromhex(position)


def message(db: Db, team: bytes, message_id: bytes) -> Script[MessageView | None]:
    """One message."""
    row = yield from db.row("messages.view", id=message_id, team=team)
    return None if row is None else (yield from _message(db, row))


def messages(
    db: Db, team: bytes, filters: MessageFilter, position: str | None, limit: int
) -> Script[Page[MessageView]]:
    """Newest first."""
    if filters.to is not None or filters.reference is not None:
        return (yield from _few_messages(db, team, filters, position, limit))
    rows = yield from db.rows(
        "messages.list",
        team=team,
        before=before(position),
        created_after_ms=filters.created_after_ms,
        created_before_ms=filters.created_before_ms,
        status=filters.status,
        most=limit + 1,
    )
    data: list[MessageView] = []
    for row in rows[:limit]:
        data.append((yield from _message(db, row)))  # noqa: PERF401 - "yield from" has no place in a comprehension
    return Page(data=data, next_position=bytes(rows[limit - 1][0]).hex() if len(rows) > limit else None)


def _few_messages(
    db: Db, team: bytes, filters: MessageFilter, position: str | None, limit: int
) -> Script[Page[MessageView]]:
    """Those to one number, or with one reference: each is looked at, whatever else is asked for."""
    found: list[tuple[bytes, MessageView]] = []
    at = before(position)
    within = "[]" if filters.to is None else (yield from _all_spans(db, team, at))
    while True:
        if filters.to is not None:
            rows = yield from db.rows(
                "messages.sent_to", spans=within, mobile=filters.to, before=at, team=team, most=limit + 1
            )
        else:
            rows = yield from db.rows(
                "messages.of_reference", team=team, reference=filters.reference, before=at, most=limit + 1
            )
        for key, place in rows:
            row = yield from db.row("messages.view", id=key, team=team)
            if row is not None:
                view = yield from _message(db, row)
                if _is_wanted(view, filters):
                    found.append((bytes(place), view))
        if len(found) > limit or len(rows) <= limit:
            break
        at = bytes(rows[-1][1])
    more = len(found) > limit
    return Page(data=[view for _, view in found[:limit]], next_position=found[limit - 1][0].hex() if more else None)


def _all_spans(db: Db, team: bytes, at: bytes) -> Script[str]:
    """Of all messages of the team that are older than the id ``at``."""
    oldest = yield from db.row("messages.oldest", team=team)
    newest = yield from db.row("messages.newest", team=team)
    if oldest is None or newest is None:
        return "[]"
    last = min(at, bytes(newest[0]))
    return spans(int.from_bytes(bytes(oldest[0])[:6]), int.from_bytes(last[:6]))


def _is_wanted(view: MessageView, filters: MessageFilter) -> bool:
    created_ms = to_ms(view.created_at)
    return (
        filters.reference in (None, view.reference)
        and filters.status in (None, view.status)
        and (filters.created_after_ms is None or created_ms > filters.created_after_ms)
        and (filters.created_before_ms is None or created_ms < filters.created_before_ms)
    )


def _message(db: Db, row: Row) -> Script[MessageView]:
    counts: dict[RecipientStatus, int] = {
        status: row[_COUNTS_AT + index] for index, status in enumerate(STATUSES) if row[_COUNTS_AT + index]
    }
    submissions = yield from db.rows("submissions.of_message", message=row[0])
    return MessageView(
        id=MessageId("msg_" + bytes(row[0]).hex()),
        status=message_status(counts),
        text=row[1],
        # A text that was accepted has a character at least.
        erased=not row[1],
        to_count=row[2],
        segments=row[3],
        units=row[2] * row[3],
        refused=_REFUSED.decode(row[4]),
        counts=counts,
        reference=row[5],
        metadata=_METADATA.decode(row[6]),
        extension=row[7],
        category=row[8],
        on_unconfirmed=row[9],
        created_at=instant(row[10]),
        send_at=instant_or_none(row[11]),
        expires_at=instant(row[12]),
        submissions=[_submission(found) for found in submissions],
    )


def _submission(row: Row) -> SubmissionView:
    own = bytes(row[0]).hex()
    return SubmissionView(
        id=SubmissionId("sub_" + own),
        task_id=row[1] or own,
        account_id=AccountId("acct_" + bytes(row[2]).hex()),
        status=row[3],
        code=row[4],
        provider_message=row[5],
        # It was not sent the last time. Whether its account takes nothing at all, only the process that sends knows.
        waiting_for="account" if row[3] == "queued" and row[6] and not row[7] else None,
    )


def recipients(
    db: Db, team: bytes, message_id: bytes, position: str | None, limit: int
) -> Script[Page[RecipientView] | None]:
    """In the order of their submissions, then numbers. A position is "<submission hex>:<mobile>"."""
    known = yield from db.row("messages.exists", id=message_id, team=team)
    if known is None:
        return None
    after_submission, _, after_mobile = (position or ":0").partition(":")
    rows = yield from db.rows(
        "recipients.page",
        message=message_id,
        submission=bytes.fromhex(after_submission),
        mobile=int(after_mobile),
        most=limit + 1,
    )
    data: list[RecipientView] = []
    for row in rows[:limit]:
        data.append((yield from _recipient(db, row, known[0])))  # noqa: PERF401 - as above
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(data=data, next_position=None if last is None else f"{bytes(last[0]).hex()}:{last[1]}")


def _recipient(db: Db, row: Row, segments: int) -> Script[RecipientView]:
    (submission, mobile, own, reason, provider_status, final_ms) = row[:6]
    (shared, shared_reason, code, submitted_ms, shared_final_ms, since_ms) = row[6:]
    reports = yield from db.rows("reports.of_recipient", submission=submission, mobile=mobile)
    views = [
        ReportView(source=source, status=status, time=time, received_at=instant(received_ms))
        for source, status, time, received_ms in reports
    ]
    status: RecipientStatus = STATUSES[own - 1] if own else shared
    if status == "no_report":
        views.append(ReportView(source="sweep", status=NO_REPORT, time=None, received_at=instant(since_ms)))
    failed = not own and status == "failed"
    return RecipientView(
        # Below zero: an ordinal in the place of an erased number.
        to=str(mobile) if mobile > 0 else ERASED,
        status=status,
        final=status in FINAL,
        reason=reason if own else shared_reason,
        provider_status=provider_status if own else (code if failed else None),
        submitted_at=instant_or_none(submitted_ms),
        final_at=instant_or_none(final_ms if own else shared_final_ms),
        segments=segments,
        reports=views,
    )


def _inbound(row: Row) -> InboundView:
    return InboundView(
        id=InboundId("in_" + bytes(row[0]).hex()),
        from_=row[1],
        to_extension=row[2],
        text=row[3],
        erased=row[1] == ERASED,
        received_at=instant(row[4]),
        occurred_at=instant_or_none(row[5]),
        matched_by=row[6],
        message_id=None if row[7] is None else MessageId("msg_" + bytes(row[7]).hex()),
    )


def inbound(db: Db, team: bytes, inbound_id: bytes) -> Script[InboundView | None]:
    """One received message."""
    row = yield from db.row("inbound.view", id=inbound_id, team=team)
    return None if row is None else _inbound(row)


def inbound_list(db: Db, team: bytes, position: str | None, limit: int) -> Script[Page[InboundView]]:
    """Newest first."""
    rows = yield from db.rows("inbound.list", team=team, before=before(position), most=limit + 1)
    return Page(
        data=[_inbound(row) for row in rows[:limit]],
        next_position=bytes(rows[limit - 1][0]).hex() if len(rows) > limit else None,
    )
