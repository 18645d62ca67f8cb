"""Orphans: assigned, matched again, dismissed. Each comes to its end once."""

import msgspec

from relay.domain.errors import AlreadySettled, BodyInvalid, FieldError, NotFound
from relay.domain.ids import InboundId, MessageId, SubmissionId, TeamId, raw_bytes
from relay.domain.numbers import read_mask, read_mobile
from relay.domain.orphans import OrphanReprocessed, OrphanResolution, OrphanView
from relay.domain.provider import InboundRow, RawBody, ReportRow
from relay.domain.suppressions import OptOutWords
from relay.domain.times import instant, ms_or_none, to_ms
from relay.ports import Replay, Telling, Told
from relay.store.script import Db, Script
from relay.store.scripts import adopt, inbound, reports
from relay.store.scripts import telling as told
from relay.store.scripts.emit import Effects, SubmissionRow, find_submission
from relay.store.scripts.orphan_views import orphan
from relay.store.sealing import KeyRing


def assign_inbound(
    db: Db,
    ring: KeyRing,
    orphan_id: str,
    team_id: TeamId,
    now_ms: int,
    telling: Telling[OrphanView],
    words: OptOutWords,
) -> Script[Told[OrphanView] | Replay]:
    """It becomes an inbound message of this team."""
    replay = yield from told.begin(db, ring, telling)
    if replay is not None:
        return replay
    view = yield from _open(db, orphan_id)
    if view.kind != "mo":
        raise _invalid("/team_id", "a report belongs to a message: say message_id or submission_id")
    effects = Effects()
    row = _inbound_row(view, words)
    match = yield from inbound.assigned_to(db, raw_bytes(team_id), _raw(view), row)
    inbound_id = yield from _become_inbound(db, effects, view, row, match, now_ms)
    resolution = OrphanResolution(
        how="assigned", team_id=team_id, inbound_id=inbound_id, message_id=_message_id(match.message)
    )
    view = yield from _settle(db, view, resolution, now_ms)
    return (yield from told.end(db, ring, telling, view, effects))


def assign_report(
    db: Db,
    ring: KeyRing,
    orphan_id: str,
    submissions: list[bytes],
    pointer: str,
    now_ms: int,
    telling: Telling[OrphanView],
) -> Script[Told[OrphanView] | Replay]:
    """It is applied to the one of these submissions that has its number."""
    replay = yield from told.begin(db, ring, telling)
    if replay is not None:
        return replay
    view = yield from _open(db, orphan_id)
    if view.kind != "report":
        raise _invalid(pointer, "an inbound message belongs to a team: say team_id")
    effects = Effects()
    for key in submissions:
        submission = yield from find_submission(db, key)
        # The provider of one account does not report of what went over another.
        if submission is None or submission.account != raw_bytes(view.account_id):
            continue
        result = yield from _report_to(db, effects, view, submission, submission.id.hex(), now_ms)
        if result is not None:
            resolution = OrphanResolution(how="assigned", message_id=submission.message_id, result=result)
            view = yield from _settle(db, view, resolution, now_ms)
            return (yield from told.end(db, ring, telling, view, effects))
    raise _invalid(pointer, "the number is none of its recipients that went over this account")


def reprocess(
    db: Db, ring: KeyRing, orphan_id: str, now_ms: int, telling: Telling[OrphanReprocessed], words: OptOutWords
) -> Script[Told[OrphanReprocessed] | Replay]:
    """Match it by the usual rules."""
    replay = yield from told.begin(db, ring, telling)
    if replay is not None:
        return replay
    view = yield from _open(db, orphan_id)
    effects = Effects()
    if view.kind == "report":
        resolution = yield from _rematch_report(db, effects, view, now_ms)
    else:
        resolution = yield from _rematch_inbound(db, effects, view, _inbound_row(view, words), now_ms)
    if resolution is not None:
        view = yield from _settle(db, view, resolution, now_ms)
    outcome = OrphanReprocessed(matched=resolution is not None, orphan=view)
    return (yield from told.end(db, ring, telling, outcome, effects))


def dismiss(
    db: Db, ring: KeyRing, orphan_id: str, now_ms: int, telling: Telling[OrphanView]
) -> Script[Told[OrphanView] | Replay]:
    """It is nobody's."""
    replay = yield from told.begin(db, ring, telling)
    if replay is not None:
        return replay
    view = yield from orphan(db, orphan_id)
    if view is None:
        raise NotFound("There is no such orphan.")
    view = yield from _settle(db, view, OrphanResolution(how="dismissed"), now_ms)
    return (yield from told.end(db, ring, telling, view, Effects()))


# -- how -------------------------------------------------------------------------------------------------------------


def _open(db: Db, orphan_id: str) -> Script[OrphanView]:
    view = yield from orphan(db, orphan_id)
    if view is None:
        raise NotFound("There is no such orphan.")
    if view.resolution is not None:
        raise _settled(view)
    if view.erased:
        raise AlreadySettled("Its number was erased, and with it what it said.")
    return view


def _settled(view: OrphanView) -> AlreadySettled:
    how = view.resolution
    assert how is not None  # noqa: S101 - it was looked at by whoever calls
    whose = how.message_id or how.team_id
    return AlreadySettled(f"The orphan was {how.how} already{f', to {whose}' if whose is not None else ''}.")


def _settle(db: Db, view: OrphanView, resolution: OrphanResolution, now_ms: int) -> Script[OrphanView]:
    settled = yield from db.run(
        "orphans.settle",
        now_ms=now_ms,
        resolution=msgspec.json.encode(resolution).decode(),
        id=raw_bytes(view.id),
    )
    if not settled:
        # Somebody was faster; what this transaction did is undone.
        raise _settled((yield from orphan(db, view.id)) or view)
    return msgspec.structs.replace(view, status="resolved", resolved_at=instant(now_ms), resolution=resolution)


def _rematch_report(db: Db, effects: Effects, view: OrphanView, now_ms: int) -> Script[OrphanResolution | None]:
    if view.task_id is None:
        return None
    submission = yield from reports.submission_of_task(db, raw_bytes(view.account_id), view.task_id)
    if submission is None:
        return None
    result = yield from _report_to(db, effects, view, submission, view.task_id, now_ms)
    return None if result is None else OrphanResolution(how="matched", message_id=submission.message_id, result=result)


def _rematch_inbound(
    db: Db, effects: Effects, view: OrphanView, row: InboundRow, now_ms: int
) -> Script[OrphanResolution | None]:
    match = yield from inbound.match_of(db, raw_bytes(view.account_id), _raw(view), row)
    if match is None:
        return None
    inbound_id = yield from _become_inbound(db, effects, view, row, match, now_ms)
    return OrphanResolution(
        how="matched",
        team_id=TeamId("team_" + match.team.hex()),
        inbound_id=inbound_id,
        message_id=_message_id(match.message),
    )


def _become_inbound(
    db: Db, effects: Effects, view: OrphanView, row: InboundRow, match: inbound.Match, now_ms: int
) -> Script[InboundId]:
    account = raw_bytes(view.account_id)
    return (yield from inbound.store_inbound(db, effects, account, view.raw_id, _raw(view), row, match, now_ms))


def _report_to(
    db: Db, effects: Effects, view: OrphanView, submission: SubmissionRow, task: str, now_ms: int
) -> Script[str | None]:
    report = (_report_row(view, task), view.source, to_ms(view.received_at))
    return (yield from reports.apply_to(db, effects, submission, task, [report], now_ms))[0]


def _report_row(view: OrphanView, task: str) -> ReportRow:
    return adopt.report_row(
        task,
        mobile_text=view.number,
        raw_status=view.provider_status or "",
        raw_time=view.provider_time,
        occurred_ms=ms_or_none(view.occurred_at),
    )


def _inbound_row(view: OrphanView, words: OptOutWords) -> InboundRow:
    mobile = read_mobile(view.number)
    return InboundRow(
        mobile_text=view.number,
        mobile=mobile,
        mask=None if mobile is not None else read_mask(view.number),
        text=view.text or "",
        extension=view.to_extension,
        raw_time=view.provider_time,
        occurred_ms=ms_or_none(view.occurred_at),
        opt_out=words.find(view.text or ""),
    )


def _raw(view: OrphanView) -> RawBody:
    """The body that it came in, as far as matching asks for it."""
    return RawBody(
        kind=view.kind,
        source=view.source,
        content_type="",
        query=b"",
        body=b"",
        received_ms=to_ms(view.received_at),
    )


def _message_id(key: bytes | None) -> MessageId | None:
    return None if key is None else MessageId("msg_" + key.hex())


def _invalid(pointer: str, detail: str) -> BodyInvalid:
    return BodyInvalid("The orphan cannot be assigned so.", errors=(FieldError(pointer=pointer, detail=detail),))


def submissions_of(db: Db, to: MessageId | SubmissionId) -> Script[list[bytes]]:
    """The submission, or those of the message."""
    if to.startswith("sub_"):
        return [raw_bytes(to)]
    rows = yield from db.rows("submissions.of_message", message=raw_bytes(to))
    return [bytes(row[0]) for row in rows]
