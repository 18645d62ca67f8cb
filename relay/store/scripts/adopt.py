"""Reports that came before we knew whose they are."""

from typing import Final

from relay.domain.ids import first_id
from relay.domain.numbers import read_mask, read_mobile
from relay.domain.provider import ReportRow
from relay.domain.times import MINUTE_MS
from relay.store.script import Db, Row, Script
from relay.store.scripts.emit import Effects, SubmissionRow, find_submission
from relay.store.scripts.reports import apply_to

LATE_MS: Final = 10 * MINUTE_MS
"""How long after it came an orphan may still find its submission by itself; the two commits lie seconds apart."""


def adopt_orphans(db: Db, effects: Effects, submission: SubmissionRow, task: str, now_ms: int) -> Script[None]:
    """Apply the reports that came under ``task`` before we knew that it names this submission."""
    orphans = yield from db.rows("orphans.of_task", account=submission.account, task_id=task)
    reports = [(_report(task, orphan), orphan[1], orphan[6]) for orphan in orphans]
    results = yield from apply_to(db, effects, submission, task, reports, now_ms)
    for orphan, result in zip(orphans, results, strict=True):
        if result is not None:
            yield from db.put("orphans.resolve", id=orphan[0], now_ms=now_ms)


def _report(task: str, orphan: Row) -> ReportRow:
    _, _, mobile_text, raw_status, raw_time, occurred_ms, _, _ = orphan
    return report_row(task, mobile_text=mobile_text, raw_status=raw_status, raw_time=raw_time, occurred_ms=occurred_ms)


def report_row(
    task: str | None, *, mobile_text: str, raw_status: str, raw_time: str | None, occurred_ms: int | None
) -> ReportRow:
    """The report that became an orphan."""
    mobile = read_mobile(mobile_text)
    return ReportRow(
        task_id=task,
        mobile_text=mobile_text,
        mobile=mobile,
        mask=None if mobile is not None else read_mask(mobile_text),
        raw_status=raw_status,
        raw_time=raw_time,
        occurred_ms=occurred_ms,
    )


def adopt_late(db: Db, effects: Effects, now_ms: int, limit: int) -> Script[None]:
    """Adopt what came while another process stored whose it is: neither could see the other's rows."""
    rows = yield from db.rows("orphans.adoptable", since_id=first_id(now_ms - LATE_MS), most=limit)
    for submission_id, task in sorted({(bytes(row[0]), row[1]) for row in rows}):
        submission = yield from find_submission(db, submission_id)
        if submission is not None:
            yield from adopt_orphans(db, effects, submission, task, now_ms)
