"""When each script may run among others, on an engine with several writers: what it locks, and where it stands.

Within a commit: first what settles messages, whose locks are taken at its beginning; then what claims; last what
accepts, which nobody else can see yet, so that none of its many rows has to be written before the others may read.
"""

from typing import Final

from relay.domain.ids import AccountId, is_task_id, raw_bytes
from relay.domain.messages import MessageDraft, SubmissionWork
from relay.domain.provider import InboundRow, Reading, ReportRow
from relay.store.script import Turn

_CLAIM: Final = 1
_ACCEPT: Final = 2

CLAIM: Final = Turn(place=_CLAIM)
ALONE: Final = Turn(alone=True)
"""It looks at rows of everybody, or others wait for the rows that it has: then for it alone, not for its neighbours."""


def accept(draft: MessageDraft, *, limited: bool) -> Turn:
    """``limited``: its numbers are counted, and whoever counts must see what others have just added."""
    locks = (f"numbers:{draft.team_id}:{draft.category}",) if limited else ()
    return Turn(place=_ACCEPT, locks=locks, weight=draft.to_count + 4)


def finish_submission(work: SubmissionWork) -> Turn:
    """Its message is its own."""
    return Turn(submissions=(raw_bytes(work.id),))


def receive_reports(reading: Reading[ReportRow]) -> Turn:
    """The messages that it names by our own taskIds; others are locked when they are found."""
    tasks = {row.task_id for row in reading.rows if row.task_id is not None and is_task_id(row.task_id)}
    return Turn(submissions=tuple(map(bytes.fromhex, tasks)), weight=1 + 3 * len(reading.rows))


def receive_inbound(account_id: AccountId, reading: Reading[InboundRow]) -> Turn:
    """One at a time for an account: the pushed and the pulled copy of one message must see each other."""
    return Turn(locks=(f"inbound:{account_id}",), weight=1 + 3 * len(reading.rows))
