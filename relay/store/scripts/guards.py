"""What keeps a message from single numbers: opt-outs, texts that they have just got, and limits per number.

Decision: whoever accepts is told which numbers those are and tries again without them, because the answer that is
stored beside the message must name them, and they are known here first. All are found in one go, so that the second
try is the last but where somebody has opted out in between.
"""

from relay.domain.errors import Withheld, WithheldWhy
from relay.domain.ids import first_id, id_ms, raw_bytes
from relay.domain.messages import MessageDraft
from relay.domain.teams import RecipientLimit
from relay.domain.times import SECOND_MS
from relay.store.script import Db, Script
from relay.store.scripts.numbers import in_parts
from relay.store.scripts.spans import spans
from relay.store.scripts.suppressions import suppressed


def check(db: Db, draft: MessageDraft, *, limit: RecipientLimit | None, repeat_window_ms: int) -> Script[None]:
    """Raises Withheld. Each number is named with the first reason that holds, in the order of ``WithheldWhy``."""
    team = raw_bytes(draft.team_id)
    numbers = [mobile for submission in draft.submissions for mobile in submission.mobiles]
    withheld: dict[int, WithheldWhy] = {}
    if draft.category == "marketing":
        withheld |= dict.fromkeys((yield from suppressed(db, team, numbers)), "suppressed")
    if repeat_window_ms:
        rest = [mobile for mobile in numbers if mobile not in withheld]
        withheld |= dict.fromkeys((yield from _repeated(db, team, draft, rest, repeat_window_ms)), "repeated")
    waits_ms: dict[int, int] = {}
    if limit is not None:
        rest = [mobile for mobile in numbers if mobile not in withheld]
        waits_ms = yield from _over(db, team, draft, rest, limit)
        withheld |= dict.fromkeys(waits_ms, "recipient_limit")
    if withheld:
        again_ms = min(waits_ms.values(), default=None)
        raise Withheld(withheld, retry_after_s=None if again_ms is None else again_ms / SECOND_MS)


def _repeated(db: Db, team: bytes, draft: MessageDraft, numbers: list[int], window_ms: int) -> Script[list[int]]:
    """Those to which this text went within the window, or is to go.

    Decision: what counts is when a message goes out and not only when it was accepted, so that the same reminder may
    be scheduled for every day of a week; and of the messages that a test key sent only test keys know.
    """
    since_ms = draft.created_ms - window_ms
    asked = in_parts(
        numbers,
        spans=spans(since_ms, draft.created_ms),
        since_id=first_id(since_ms),
        team=team,
        mode=draft.mode,
        text=draft.text,
        due_ms=max(draft.send_at_ms or 0, draft.created_ms),
        window_ms=window_ms,
    )
    rows = yield from db.each("recipients.repeated", asked)
    return [row[0] for row in rows]


def _over(
    db: Db, team: bytes, draft: MessageDraft, numbers: list[int], limit: RecipientLimit
) -> Script[dict[int, int]]:
    """Those that have had all that they may, and in how many milliseconds each may have more. What a test key sent
    reached nobody: it counts for test keys alone, so that no trial keeps a code from its owner."""
    windows = limit.spans_ms
    if not windows:
        return {}
    now_ms = draft.created_ms
    since_ms = now_ms - max(span_ms for _, span_ms in windows)
    asked = in_parts(
        numbers,
        spans=spans(since_ms, now_ms),
        since_id=first_id(since_ms),
        team=team,
        mode=draft.mode,
        category=draft.category,
    )
    rows = yield from db.each("recipients.recent_sends", asked)
    sent_ms: dict[int, list[int]] = {}
    for mobile, submission in rows:
        sent_ms.setdefault(mobile, []).append(id_ms(bytes(submission)))
    waits_ms = {mobile: _wait_ms(sorted(times), windows, now_ms) for mobile, times in sent_ms.items()}
    return {mobile: wait_ms for mobile, wait_ms in waits_ms.items() if wait_ms > 0}


def _wait_ms(times: list[int], windows: list[tuple[int, int]], now_ms: int) -> int:
    """How long until every window has room, 0 when it has: a window of ``most`` is full until the ``most``-th latest
    falls out of it."""
    frees_ms = [times[-most] + span_ms for most, span_ms in windows if len(times) >= most]
    return max(0, *(at_ms - now_ms for at_ms in frees_ms)) if frees_ms else 0
