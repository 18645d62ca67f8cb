"""Applying delivery reports: one report, one state change, one event, however often and by whichever way it comes."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from relay.domain.events import TYPE_OF_STATUS, EventType, RecipientChange
from relay.domain.ids import AccountId, RawId, is_task_id, raw_bytes
from relay.domain.numbers import Mask, mask_of
from relay.domain.provider import RawBody, Reading, ReportRow
from relay.domain.reports import Meaning, meaning_of
from relay.domain.states import FINAL, STATUSES, UPGRADABLE, RecipientStatus, ReportSource
from relay.domain.times import instant
from relay.ports import ReceivedBody, StoredEffects
from relay.store.script import Db, Script
from relay.store.scripts import raw as raws
from relay.store.scripts.emit import Effects, Move, SubmissionRow, find_submissions, move, settle

_CODE = {status: index + 1 for index, status in enumerate(STATUSES)}
MANY: Final = 16
"""From so many rows of one submission on, all its recipients are read at once."""


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
    account = raw_bytes(account_id)
    if not (yield from raws.begin(db, account, raw_id, raw, reading)):
        return raws.received(raw_id, {}, quarantined=False, effects=effects_of(effects))
    results = yield from apply_rows(db, effects, account, raw_id, raw, reading.rows, raw.received_ms)
    return raws.received(raw_id, results, quarantined=reading.unreadable > 0, effects=effects_of(effects))


def apply_rows(
    db: Db, effects: Effects, account: bytes, raw_id: RawId, raw: RawBody, rows: Sequence[ReportRow], now_ms: int
) -> Script[dict[str, int]]:
    """What these rows of a body say becomes state and events; how many did what."""
    results: Counter[str] = Counter()
    named = yield from _look_up(db, account, rows)
    groups: dict[tuple[bytes, EventType, RecipientStatus], _Group] = {}
    for row in rows:
        found = _find(row, named)
        if found is None:
            yield from _orphan(db, account, raw_id, raw, row)
            results["orphaned"] += 1
            continue
        result = yield from _apply(db, effects, found, raw.source, raw.received_ms, named, groups)
        results[result] += 1
    yield from _finish(db, effects, named, groups, now_ms)
    return dict(results)


class _Group(msgspec.Struct, kw_only=True):
    """Recipients of one message that come to the same status in this commit."""

    submission: SubmissionRow
    event_type: EventType
    deltas: Counter[RecipientStatus]
    recipients: list[RecipientChange]


class _Named(msgspec.Struct, frozen=True, kw_only=True):
    """What the rows of a body name. Two tasks may name one submission (ours and the provider's): they share one working
    copy. ``statuses``: what each number is of which a row speaks, by submission. ``by_mask``: all numbers of those of
    which a masked row speaks. ``closed``: how many recipients of each a report has spoken of for the first time."""

    by_task: dict[str, SubmissionRow]
    statuses: dict[bytes, dict[int, int]] = msgspec.field(default_factory=dict)
    by_mask: dict[bytes, dict[Mask, int]] = msgspec.field(default_factory=dict)
    closed: Counter[bytes] = msgspec.field(default_factory=Counter)


def _look_up(db: Db, account: bytes, rows: Sequence[ReportRow]) -> Script[_Named]:
    """All that the rows name, in a few questions: a pull may bring 10,000 rows of as many messages."""
    tasks = list(dict.fromkeys(row.task_id for row in rows if row.task_id is not None))
    named = _Named(by_task=(yield from _find_submissions(db, account, tasks)))
    yield from _read_recipients(db, named, rows)
    return named


def _find_submissions(db: Db, account: bytes, tasks: Sequence[str]) -> Script[dict[str, SubmissionRow]]:
    own = yield from find_submissions(db, [bytes.fromhex(task) for task in tasks if is_task_id(task)])
    by_id = {row.id: row for row in own if row.account == account or _may_have_moved(row)}
    by_task = {row.id.hex(): row for row in by_id.values()}
    theirs = [{"task_id": task, "account": account} for task in tasks if task not in by_task]
    ids: dict[str, bytes] = {}
    for task, submission in (yield from db.each("submissions.find_by_task", theirs)):
        ids.setdefault(task, bytes(submission))
    more = yield from find_submissions(db, [key for key in dict.fromkeys(ids.values()) if key not in by_id])
    by_id.update((row.id, row) for row in more)
    by_task.update((task, by_id[key]) for task, key in ids.items())
    return by_task


def _may_have_moved(row: SubmissionRow) -> bool:
    """Whether it may have been tried over another account than it has now: what comes from there is proof as well."""
    return row.attempt > (0 if row.status == "queued" else 1)


def _read_recipients(db: Db, named: _Named, rows: Sequence[ReportRow]) -> Script[None]:
    of_known = [(named.by_task[row.task_id].id, row) for row in rows if row.task_id in named.by_task]
    masked = dict.fromkeys(key for key, row in of_known if row.mobile is None and row.mask is not None)
    counts = Counter(key for key, _ in of_known)
    whole = dict.fromkeys(key for key, _ in of_known if key in masked or counts[key] >= MANY)
    single = dict.fromkeys((key, row.mobile) for key, row in of_known if key not in whole and row.mobile is not None)
    found = yield from db.each("recipients.statuses", [{"submission": key} for key in whole])
    found += yield from db.each("recipients.find", [{"submission": key, "mobile": mobile} for key, mobile in single])
    for submission, mobile, status in found:
        named.statuses.setdefault(bytes(submission), {})[mobile] = status
    for key in masked:
        # No two numbers of a submission share a mask (relay/domain/chunks.py).
        named.by_mask[key] = {mask_of(mobile): mobile for mobile in named.statuses.get(key, {})}


def _find(row: ReportRow, named: _Named) -> _Found | None:
    submission = None if row.task_id is None else named.by_task.get(row.task_id)
    if submission is None:
        return None
    mobile = row.mobile
    if mobile is None and row.mask is not None:
        mobile = named.by_mask[submission.id].get(row.mask)
    own_status = None if mobile is None else named.statuses.get(submission.id, {}).get(mobile)
    if mobile is None or own_status is None:
        return None
    return _Found(
        submission=submission, mobile=mobile, own_status=own_status, row=row, meaning=meaning_of(row.raw_status)
    )


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
        named.statuses[submission.id][found.mobile] = _CODE[after]
        if not found.own_status:
            named.closed[submission.id] += 1
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


def _finish(
    db: Db,
    effects: Effects,
    named: _Named,
    groups: dict[tuple[bytes, EventType, RecipientStatus], _Group],
    received_ms: int,
) -> Script[None]:
    # Once for all: PostgreSQL walks over all versions of a row that its own transaction has made.
    for submission, closed in named.closed.items():
        yield from db.put("submissions.close_some", id=submission, closed=closed)
    moves = [
        Move(
            row=group.submission,
            deltas={status: number for status, number in group.deltas.items() if number},
            told=[(group.event_type, group.recipients)],
            occurred_at=max(change.occurred_at for change in group.recipients),
        )
        for group in groups.values()
    ]
    yield from move(db, effects, moves, received_ms)


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


def apply_to(
    db: Db,
    effects: Effects,
    submission: SubmissionRow,
    task: str,
    reports: Sequence[tuple[ReportRow, ReportSource, int]],
    now_ms: int,
) -> Script[list[str | None]]:
    """Apply reports, each with its source and when it came, to the one submission that their ``task`` names. What each
    did; None for a number that is none of its recipients."""
    named = _Named(by_task={task: submission})
    yield from _read_recipients(db, named, [row for row, _, _ in reports])
    groups: dict[tuple[bytes, EventType, RecipientStatus], _Group] = {}
    results: list[str | None] = []
    for row, source, received_ms in reports:
        found = _find(row, named)
        if found is None:
            results.append(None)
        else:
            results.append((yield from _apply(db, effects, found, source, received_ms, named, groups)))
    yield from _finish(db, effects, named, groups, now_ms)
    return results


def submission_of_task(db: Db, account: bytes, task: str) -> Script[SubmissionRow | None]:
    """Which submission of the account goes by this name, ours or the provider's."""
    return (yield from _find_submissions(db, account, [task])).get(task)


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
