"""Applying delivery reports: one report, one state change, one event, however often and by whichever way it comes."""

from collections import Counter
from typing import Final

import msgspec

from relay.domain.events import TYPE_OF_STATUS, EventType, RecipientChange
from relay.domain.ids import AccountId, RawId, first_id, is_task_id, raw_bytes
from relay.domain.numbers import Mask, mask_of, read_mask, read_mobile
from relay.domain.provider import RawBody, Reading, ReportRow
from relay.domain.reports import Meaning, meaning_of
from relay.domain.states import FINAL, STATUSES, UPGRADABLE, RecipientStatus, ReportSource
from relay.domain.times import MINUTE_MS, instant
from relay.ports import ReceivedBody, StoredEffects
from relay.store.script import Db, Script
from relay.store.scripts import raw as raws
from relay.store.scripts.emit import Effects, SubmissionRow, find_submission, move, settle

_CODE = {status: index + 1 for index, status in enumerate(STATUSES)}
LATE_MS: Final = 10 * MINUTE_MS
"""How long after it came an orphan may still find its submission by itself; the two commits lie seconds apart."""
MANY: Final = 16
"""From so many rows of one task on, all its recipients are read at once."""


class _Found(msgspec.Struct, kw_only=True):
    """A report with the recipient that it names. ``status`` is what the recipient is before it."""

    submission: SubmissionRow
    mobile: int
    own_status: int
    row: ReportRow
    meaning: Meaning

    @property
    def status(self) -> RecipientStatus:
        """The recipient's status: its own, or its submission's while no report has spoken of it."""
        return STATUSES[self.own_status - 1] if self.own_status else self.submission.status


def receive(
    db: Db, account_id: AccountId, raw_id: RawId, raw: RawBody, reading: Reading[ReportRow]
) -> Script[ReceivedBody]:
    """See ``relay.ports.Store.receive_reports``."""
    effects = Effects()
    results: Counter[str] = Counter()
    quarantined = reading.unreadable > 0
    account = raw_bytes(account_id)
    empty = not reading.rows and not quarantined and raw.source == "pull"
    if not (yield from raws.begin(db, account, raw_id, raw, quarantined=quarantined, empty=empty)):
        return raws.received(raw_id, {}, quarantined=False, effects=effects_of(effects))
    named = _Named(rows=Counter(row.task_id for row in reading.rows))
    groups: dict[tuple[bytes, EventType, RecipientStatus], _Group] = {}
    for row in reading.rows:
        found = yield from _find(db, account, row, named)
        if found is None:
            yield from _orphan(db, account, raw_id, raw, row)
            results["orphaned"] += 1
            continue
        result = yield from _apply(db, effects, found, raw.source, raw.received_ms, named, groups)
        results[result] += 1
    yield from _emit_groups(db, effects, groups, raw.received_ms)
    return raws.received(raw_id, dict(results), quarantined=quarantined, effects=effects_of(effects))


class _Group(msgspec.Struct, kw_only=True):
    """Recipients of one message that come to the same status in this commit."""

    submission: SubmissionRow
    event_type: EventType
    deltas: Counter[RecipientStatus]
    recipients: list[RecipientChange]


class _Named(msgspec.Struct, frozen=True, kw_only=True):
    """The submissions that a body names. Two tasks may name one (ours and the provider's): they must share one working
    copy. ``rows``: how many rows name a task. ``by_mask``: the numbers of those of which a masked row has spoken.
    ``statuses``: of those of which many rows speak, what each number is."""

    rows: Counter[str | None]
    by_task: dict[str, SubmissionRow | None] = msgspec.field(default_factory=dict)
    by_id: dict[bytes, SubmissionRow] = msgspec.field(default_factory=dict)
    by_mask: dict[bytes, dict[Mask, int]] = msgspec.field(default_factory=dict)
    statuses: dict[bytes, dict[int, int]] = msgspec.field(default_factory=dict)

    def changed(self, submission: bytes, mobile: int, status: int) -> None:
        """What was read of this number is so no longer."""
        if submission in self.statuses:
            self.statuses[submission][mobile] = status


def _find(db: Db, account: bytes, row: ReportRow, named: _Named) -> Script[_Found | None]:
    task = row.task_id
    if task is None:
        return None
    if task not in named.by_task:
        known = yield from _find_submission(db, account, task)
        named.by_task[task] = None if known is None else named.by_id.setdefault(known.id, known)
    submission = named.by_task[task]
    if submission is None:
        return None
    mobile = row.mobile
    if mobile is None and row.mask is not None:
        mobile = yield from _unmask(db, named, submission, row.mask)
    if mobile is None:
        return None
    own_status = yield from _own_status(db, named, submission, task, mobile)
    if own_status is None:
        return None
    return _Found(
        submission=submission, mobile=mobile, own_status=own_status, row=row, meaning=meaning_of(row.raw_status)
    )


def _own_status(db: Db, named: _Named, submission: SubmissionRow, task: str, mobile: int) -> Script[int | None]:
    if named.rows[task] < MANY:
        recipient = yield from db.row("recipients.find", submission=submission.id, mobile=mobile)
        return None if recipient is None else int(recipient[1])
    statuses = named.statuses.get(submission.id)
    if statuses is None:
        rows = yield from db.rows("recipients.statuses", submission=submission.id)
        statuses = named.statuses[submission.id] = {row[0]: row[1] for row in rows}
    return statuses.get(mobile)


def _unmask(db: Db, named: _Named, submission: SubmissionRow, mask: Mask) -> Script[int | None]:
    numbers = named.by_mask.get(submission.id)
    if numbers is None:
        # All at once: a pull may name each of 3,000, and to look for each mask would be to read them all each time.
        rows = yield from db.rows("recipients.mobiles", submission=submission.id)
        # No two numbers of a submission share a mask (relay/domain/chunks.py).
        numbers = {mask_of(mobile): mobile for (mobile,) in rows}
        named.by_mask[submission.id] = numbers
    return numbers.get(mask)


def _find_submission(db: Db, account: bytes, task: str) -> Script[SubmissionRow | None]:
    if is_task_id(task):
        own = yield from find_submission(db, bytes.fromhex(task))
        if own is not None and own.account == account:
            return own
    row = yield from db.row("submissions.find_by_task", task_id=task, account=account)
    return None if row is None else (yield from find_submission(db, bytes(row[0])))


def _apply(
    db: Db,
    effects: Effects,
    found: _Found,
    source: ReportSource,
    received_ms: int,
    named: _Named,
    groups: dict[tuple[bytes, EventType, RecipientStatus], _Group],
) -> Script[str]:
    submission, row, meaning = found.submission, found.row, found.meaning
    if submission.status == "queued":
        # It waits to be sent again, but the report proves that it arrived: it must not go out a second time.
        yield from settle(db, effects, submission, "submitted", now_ms=received_ms)
    before = found.status
    result = _judge(before, meaning)
    if result == "conflict" and (yield from _is_told(db, found)):
        result = "repeated"
    yield from db.put(
        "reports.insert",
        submission=submission.id,
        mobile=found.mobile,
        source=source,
        raw_status=row.raw_status,
        raw_time=row.raw_time,
        received_ms=received_ms,
    )
    after = meaning.status
    if after is None or result == "repeated":
        return result
    occurred_ms = row.occurred_ms or received_ms
    if result == "conflict":
        group = _group(groups, submission, "message.report_conflict", after)
    else:
        yield from db.put(
            "recipients.set_status",
            submission=submission.id,
            mobile=found.mobile,
            status=_CODE[after],
            reason=meaning.reason,
            provider_status=row.raw_status,
            final_ms=occurred_ms,
        )
        named.changed(submission.id, found.mobile, _CODE[after])
        if not found.own_status:
            yield from db.put("submissions.close_one", id=submission.id)
            submission.n_open -= 1
        group = _group(groups, submission, TYPE_OF_STATUS[after], after)
        group.deltas[before] -= 1
        group.deltas[after] += 1
    group.recipients.append(
        RecipientChange(
            to=str(found.mobile),
            status=after,
            reason=meaning.reason,
            provider_status=row.raw_status,
            final=after in FINAL,
            occurred_at=instant(occurred_ms),
        )
    )
    return result


def _judge(before: RecipientStatus, meaning: Meaning) -> str:
    if meaning.status is None:
        return "noted"
    if before in UPGRADABLE:
        return "applied"
    return "repeated" if before == meaning.status else "conflict"


def _is_told(db: Db, found: _Found) -> Script[bool]:
    """True when an earlier report has contradicted in the same way: by what it means, because a pull has other words
    for it than a push."""
    rows = yield from db.rows("reports.words", submission=found.submission.id, mobile=found.mobile)
    return any(meaning_of(word).status == found.meaning.status for (word,) in rows)


def _group(
    groups: dict[tuple[bytes, EventType, RecipientStatus], _Group],
    submission: SubmissionRow,
    event_type: EventType,
    status: RecipientStatus,
) -> _Group:
    key = (submission.message, event_type, status)
    group = groups.get(key)
    if group is None:
        group = _Group(submission=submission, event_type=event_type, deltas=Counter(), recipients=[])
        groups[key] = group
    return group


def _emit_groups(
    db: Db,
    effects: Effects,
    groups: dict[tuple[bytes, EventType, RecipientStatus], _Group],
    received_ms: int,
) -> Script[None]:
    for group in groups.values():
        occurred = max(change.occurred_at for change in group.recipients)
        yield from move(
            db,
            effects,
            group.submission,
            {status: number for status, number in group.deltas.items() if number},
            [(group.event_type, group.recipients)],
            occurred_at=occurred,
            received_ms=received_ms,
        )


def _orphan(db: Db, account: bytes, raw_id: RawId, raw: RawBody, row: ReportRow) -> Script[None]:
    yield from db.put(
        "orphans.insert",
        id=raw_bytes(db.new_id("orph_")),
        account=account,
        kind="report",
        source=raw.source,
        task_id=row.task_id,
        mobile_text=row.mobile_text,
        content=row.raw_status,
        extension=None,
        raw_time=row.raw_time,
        occurred_ms=row.occurred_ms,
        received_ms=raw.received_ms,
        raw=raw_bytes(raw_id),
    )


def adopt_orphans(db: Db, effects: Effects, submission: SubmissionRow, task: str, now_ms: int) -> Script[None]:
    """Apply the reports that came under ``task`` before we knew that it names this submission."""
    orphans = yield from db.rows("orphans.of_task", account=submission.account, task_id=task)
    named = _Named(rows=Counter({task: len(orphans)}), by_task={task: submission})
    groups: dict[tuple[bytes, EventType, RecipientStatus], _Group] = {}
    for orphan, source, mobile_text, raw_status, raw_time, occurred_ms, received_ms, _ in orphans:
        mobile = read_mobile(mobile_text)
        row = ReportRow(
            task_id=task,
            mobile_text=mobile_text,
            mobile=mobile,
            mask=None if mobile is not None else read_mask(mobile_text),
            raw_status=raw_status,
            raw_time=raw_time,
            occurred_ms=occurred_ms,
        )
        found = yield from _find(db, submission.account, row, named)
        if found is None:
            continue
        yield from _apply(db, effects, found, source, received_ms, named, groups)
        yield from db.put("orphans.resolve", id=orphan, now_ms=now_ms)
    yield from _emit_groups(db, effects, groups, now_ms)


def adopt_late(db: Db, effects: Effects, now_ms: int, limit: int) -> Script[None]:
    """Adopt what came while another process stored whose it is: neither could see the other's rows."""
    rows = yield from db.rows("orphans.adoptable", since_id=first_id(now_ms - LATE_MS), most=limit)
    for submission_id, task in sorted({(bytes(row[0]), row[1]) for row in rows}):
        submission = yield from find_submission(db, submission_id)
        if submission is not None:
            yield from adopt_orphans(db, effects, submission, task, now_ms)


def have_come(db: Db, submission: SubmissionRow) -> Script[bool]:
    """True when the provider has spoken of any number of this submission, which proves that it arrived."""
    return (yield from db.row("reports.first_of", submission=submission.id)) is not None


def effects_of(effects: Effects) -> StoredEffects:
    """As the port names them."""
    return StoredEffects(
        deliveries=tuple(effects.deliveries),
        recipients_by_status=effects.recipients_by_status,
        segments_by_status=effects.segments_by_status,
        events_by_type=effects.events_by_type,
    )
