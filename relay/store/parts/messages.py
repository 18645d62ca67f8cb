"""Messages in the store."""

from relay.domain.ids import AccountId, TeamId, raw_bytes
from relay.domain.messages import MessageDraft, MessageView, RecipientView, SubmissionWork
from relay.domain.provider import SendOutcome
from relay.domain.teams import RecipientLimit
from relay.ports import FinishedSubmission, Idempotency, MessageFilter, Page, Quota, Replay, Stored, Trimmed
from relay.store import turns
from relay.store.parts.part import Part
from relay.store.scripts import accept as accepting
from relay.store.scripts import idempotency as keys
from relay.store.scripts import submit, suppressions, views, withhold


class MessagesPart(Part):
    """See ``relay.ports.messages.MessageStore``."""

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
        return await self._driver.write(
            lambda db: accepting.accept(
                db,
                self._ring,
                draft,
                claim=claim,
                lease_until_ms=lease_until_ms,
                quota=quota,
                limit=limit,
                repeat_window_ms=repeat_window_ms,
                idempotency=idempotency,
            ),
            turns.accept(
                draft,
                limited=limit is not None,
                repeats=repeat_window_ms > 0,
                quota=quota,
                idempotency=idempotency,
            ),
        )

    async def keep_answer(self, idempotency: Idempotency) -> None:
        await self._driver.write(lambda db: keys.keep_answer(db, self._ring, idempotency))

    async def find_replay(self, scope: str, key: str, fingerprint: bytes) -> Replay | None:
        return await self._driver.read(lambda db: keys.find(db, self._ring, scope, key, fingerprint))

    async def claim_submissions(
        self, account_id: AccountId, limit: int, *, claim: bytes, now_ms: int, lease_until_ms: int
    ) -> list[SubmissionWork]:
        return await self._driver.write(
            lambda db: submit.claim(db, account_id, limit, claim=claim, now_ms=now_ms, lease_until_ms=lease_until_ms),
            turns.CLAIM,
        )

    async def next_submission_due_ms(self, account_id: AccountId) -> int | None:
        return await self._driver.read(lambda db: submit.next_due_ms(db, account_id))

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
        return await self._driver.write(
            lambda db: submit.finish(
                db, work, outcome, now_ms=now_ms, retry_due_ms=retry_due_ms, resend=resend, move_to=move_to
            ),
            turns.finish_submission(work, outcome),
        )

    async def suppressed(self, team_id: TeamId, mobiles: list[int]) -> list[int]:
        return await self._driver.read(lambda db: suppressions.suppressed(db, raw_bytes(team_id), mobiles))

    async def withhold_suppressed(self, work: SubmissionWork, now_ms: int) -> Trimmed:
        return await self._driver.write(lambda db: withhold.withhold(db, work, now_ms), turns.withhold(work))

    async def message(self, team_id: TeamId, message_id: str) -> MessageView | None:
        return await self._driver.read(lambda db: views.message(db, raw_bytes(team_id), raw_bytes(message_id)))

    async def messages(
        self, team_id: TeamId, filters: MessageFilter, *, position: str | None, limit: int
    ) -> Page[MessageView]:
        return await self._driver.read(lambda db: views.messages(db, raw_bytes(team_id), filters, position, limit))

    async def recipients(
        self, team_id: TeamId, message_id: str, *, position: str | None, limit: int
    ) -> Page[RecipientView] | None:
        return await self._driver.read(
            lambda db: views.recipients(db, raw_bytes(team_id), raw_bytes(message_id), position, limit)
        )
