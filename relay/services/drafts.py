"""A message that is about to be stored, as others see it."""

from relay.domain.ids import task_id
from relay.domain.messages import MessageDraft, MessageView, SubmissionDraft, SubmissionView, SubmissionWork
from relay.domain.states import RecipientStatus, message_status
from relay.domain.times import instant, instant_or_none


def work_of(draft: MessageDraft, submission: SubmissionDraft, claim: bytes, lease_until_ms: int) -> SubmissionWork:
    """What the submit worker gets of a submission that starts at once."""
    return SubmissionWork(
        id=submission.id,
        message_id=draft.id,
        team_id=draft.team_id,
        account_id=submission.account_id,
        text=draft.text,
        extension=draft.extension,
        mobiles=submission.mobiles,
        attempt=1,
        claim=claim,
        lease_until_ms=lease_until_ms,
        category=draft.category,
        on_unconfirmed=draft.on_unconfirmed,
        accepted_ms=draft.created_ms,
    )


def view_of(draft: MessageDraft) -> MessageView:
    """What the team is told: the same as it reads later, as long as nothing has happened."""
    counts: dict[RecipientStatus, int] = {}
    for submission in draft.submissions:
        counts[submission.status] = counts.get(submission.status, 0) + len(submission.mobiles)
    return MessageView(
        id=draft.id,
        status=message_status(counts),
        text=draft.text,
        erased=False,
        to_count=draft.to_count,
        segments=draft.segments,
        units=draft.units,
        refused=draft.refused,
        counts=counts,
        reference=draft.reference,
        metadata=draft.metadata,
        extension=draft.extension,
        category=draft.category,
        on_unconfirmed=draft.on_unconfirmed,
        created_at=instant(draft.created_ms),
        send_at=instant_or_none(draft.send_at_ms),
        expires_at=instant(draft.expires_ms),
        submissions=[
            SubmissionView(
                id=submission.id,
                task_id=task_id(submission.id),
                account_id=submission.account_id,
                status=submission.status,
                code=None,
                provider_message=None,
                waiting_for=None,
            )
            for submission in draft.submissions
        ],
    )
