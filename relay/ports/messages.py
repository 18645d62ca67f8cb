"""Messages on their way out, as the store keeps them; a part of ``relay.ports.Store``."""

from typing import Protocol

from relay.domain.ids import AccountId, TeamId
from relay.domain.messages import MessageDraft, MessageView, RecipientView, SubmissionWork
from relay.domain.provider import SendOutcome
from relay.domain.teams import RecipientLimit
from relay.ports.values import FinishedSubmission, Idempotency, MessageFilter, Page, Quota, Replay, Stored, Trimmed


class MessageStore(Protocol):
    """Messages, their submissions, and their recipients."""

    async def accept(
        self,
        draft: MessageDraft,
        *,
        claim: bytes,
        lease_until_ms: int,
        quota: Quota | None,
        limit: RecipientLimit | None,
        repeat_window_ms: int = 0,
        idempotency: Idempotency | None,
    ) -> Stored | Replay:
        """Store idempotency key, quota use, message, submissions and recipients. Submissions of status ``submitting``
        are stored as leased under ``claim``, the others as waiting. Raises Withheld with every number that may not get
        it: that has opted out, and this is marketing; that got the same text within ``repeat_window_ms`` (0: it may);
        that has had of this category what ``limit`` allows. Raises QuotaExceeded, IdempotencyKeyReused, or BodyInvalid
        when the extension leads to another team. Whatever it raises, nothing is stored."""

    async def keep_answer(self, idempotency: Idempotency) -> None:
        """Replace the answer that a replay gets."""

    async def find_replay(self, scope: str, key: str, fingerprint: bytes) -> Replay | None:
        """What this key was answered before. Raises IdempotencyKeyReused when it was used with another request."""

    async def claim_submissions(
        self, account_id: AccountId, limit: int, *, claim: bytes, now_ms: int, lease_until_ms: int
    ) -> list[SubmissionWork]:
        """Mark up to ``limit`` due submissions of the account ``submitting``, urgent categories first, then oldest."""

    async def next_submission_due_ms(self, account_id: AccountId) -> int | None:
        """When the account's next waiting submission is due; None when none waits."""

    async def finish_submission(
        self,
        work: SubmissionWork,
        outcome: SendOutcome,
        *,
        now_ms: int,
        retry_due_ms: int,
        resend: bool,
        move_to: AccountId | None = None,
    ) -> FinishedSubmission:
        """Store what became of a submission. NotSent is queued again, due at ``retry_due_ms``, and over ``move_to``
        when no attempt of it may have reached the provider; so is Unconfirmed when ``resend`` (the caller's or the
        account's choice), but over the same account; unless a report has shown that it arrived: then it is
        ``submitted``."""

    async def suppressed(self, team_id: TeamId, mobiles: list[int]) -> list[int]:
        """Those of the numbers that have opted out of the team's marketing."""

    async def withhold_suppressed(self, work: SubmissionWork, now_ms: int) -> Trimmed:
        """Before its first byte is written: the numbers that have opted out since it was accepted end as ``failed``,
        with their events and their quota, unless it may have been sent already."""

    async def message(self, team_id: TeamId, message_id: str) -> MessageView | None:
        """One message."""

    async def messages(
        self, team_id: TeamId, filters: MessageFilter, *, position: str | None, limit: int
    ) -> Page[MessageView]:
        """Newest first."""

    async def recipients(
        self, team_id: TeamId, message_id: str, *, position: str | None, limit: int
    ) -> Page[RecipientView] | None:
        """Recipients in the order of their submissions, then numbers; None when there is no such message."""
