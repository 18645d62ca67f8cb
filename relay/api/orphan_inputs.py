"""What the platform team may send of orphans."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from relay.api.inputs import END, refuse, wrong
from relay.api.lists import read_cursor
from relay.domain.ids import MessageId, SubmissionId, TeamId
from relay.domain.provider import BodyKind
from relay.services.requests import OrphanAssignment, OrphanBatch

_ID: Final = rf"[0-9a-f]{{32}}{END}"
AccountIdText = Annotated[str, Meta(pattern=rf"^acct_{_ID}")]
BATCH: Final = "orphan batches"
"""The name that its cursors are bound to."""


class OrphanAssignmentInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose an orphan is, one of these: `team_id` for an inbound message; `message_id` or `submission_id` for a report,
    whose number must be among the recipients."""

    team_id: Annotated[str, Meta(pattern=rf"^team_{_ID}")] | None = None
    message_id: Annotated[str, Meta(pattern=rf"^msg_{_ID}")] | None = None
    submission_id: Annotated[str, Meta(pattern=rf"^sub_{_ID}")] | None = None


class OrphanBatchInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which open orphans to match again."""

    kind: BodyKind | None = None
    account_id: AccountIdText | None = None
    limit: Annotated[int, Meta(ge=1, le=200, description="At most so many in this call.")] = 100
    cursor: Annotated[str | None, Meta(description="The `next_cursor` of the call before.")] = None


def orphan_assignment(wanted: OrphanAssignmentInput) -> OrphanAssignment:
    """The request in a body. Raises BodyInvalid unless one id is there."""
    given = [name for name in wanted.__struct_fields__ if getattr(wanted, name) is not None]
    if not given:
        raise refuse(wrong("", "Give one of team_id, message_id and submission_id."))
    if len(given) > 1:
        raise refuse(*(wrong(f"/{name}", "Give one of them only.") for name in given[1:]))
    return OrphanAssignment(
        team_id=None if wanted.team_id is None else TeamId(wanted.team_id),
        message_id=None if wanted.message_id is None else MessageId(wanted.message_id),
        submission_id=None if wanted.submission_id is None else SubmissionId(wanted.submission_id),
    )


def orphan_batch(wanted: OrphanBatchInput) -> OrphanBatch:
    """The request in a body. Raises QueryInvalid for a cursor of something else."""
    return OrphanBatch(
        kind=wanted.kind,
        account_id=wanted.account_id,
        position=read_cursor(BATCH, wanted.cursor),
        limit=wanted.limit,
    )
