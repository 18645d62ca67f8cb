"""A store with one team and one account in it, and short words for what is done to it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from relay.domain.accounts import Account
from relay.domain.endpoints import DeliveryWork
from relay.domain.ids import AccountId, EndpointId, TeamId
from relay.domain.messages import MessageDraft, MessageView, RecipientView, SubmissionWork
from relay.domain.provider import BodySource, InboundRow, ReportRow, SendOutcome
from relay.domain.states import FINAL, RecipientStatus
from relay.domain.teams import RecipientLimit, Team
from relay.domain.times import HOUR_MS, MINUTE_MS, SECOND_MS
from relay.ports import (
    FinishedSubmission,
    Idempotency,
    NewEndpoint,
    Quota,
    ReceivedBody,
    Replay,
    Store,
    Stored,
    StoredEffects,
    Swept,
)
from tests.store import builders
from tests.store.builders import CLAIM, LEASE_MS, NOW_MS, entry

RETRY_MS: Final = NOW_MS + 500
TOLD_AFTER_MS: Final = 15 * MINUTE_MS
NO_REPORT_AFTER_MS: Final = 72 * HOUR_MS
NO_EFFECTS: Final = StoredEffects(deliveries=(), recipients_by_status={}, segments_by_status={}, events_by_type={})

Told = tuple[str, int, list[tuple[str, str, str | None, str | None]]]
"""An event of a message: type, sequence, and (to, status, reason, provider_status) per recipient."""


class AllStraight:
    """A deliver worker that takes whatever it is offered of the endpoints named."""

    claim = b"straight"

    def __init__(self) -> None:
        self.endpoints: set[EndpointId] = set()

    def lease_until_ms(self, now_ms: int) -> int:
        return now_ms + LEASE_MS

    def takes(self, endpoint_id: EndpointId) -> bool:
        return endpoint_id in self.endpoints


class World:
    """Everything is done by the methods of the port."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.team: Team = builders.team(name="orders")
        self.account: Account = builders.account(name="first")

    async def start(self) -> None:
        """Store the team and the account."""
        await self.store.create_team(self.team, entry=entry(), idempotency=None)
        await self.store.create_account(self.account, callback_token="token", entry=entry(), idempotency=None)

    async def add_account(self) -> AccountId:
        """Store another account."""
        account = builders.account()
        await self.store.create_account(account, callback_token=account.id, entry=entry(), idempotency=None)
        return account.id

    async def accept(
        self,
        *chunks: Sequence[int],
        status: RecipientStatus = "submitting",
        due_ms: int = NOW_MS,
        account_id: AccountId | None = None,
        team_id: TeamId | None = None,
        **changes: Any,
    ) -> MessageDraft:
        """Store a message of these chunks."""
        message = self.draft(*chunks, status=status, due_ms=due_ms, account_id=account_id, team_id=team_id, **changes)
        assert await self.try_accept(message) == Stored()
        return message

    def draft(
        self,
        *chunks: Sequence[int],
        status: RecipientStatus = "submitting",
        due_ms: int = NOW_MS,
        account_id: AccountId | None = None,
        team_id: TeamId | None = None,
        **changes: Any,
    ) -> MessageDraft:
        """A message of these chunks."""
        parts = [
            builders.submission(
                chunk,
                account_id or self.account.id,
                status=status,
                due_ms=due_ms,
                at_ms=changes.get("created_ms", NOW_MS),
            )
            for chunk in chunks
        ]
        return builders.draft(team_id or self.team.id, parts, **changes)

    async def try_accept(
        self,
        message: MessageDraft,
        *,
        quota: Quota | None = None,
        limit: RecipientLimit | None = None,
        repeat_window_ms: int = 0,
        idempotency: Idempotency | None = None,
    ) -> Stored | Replay:
        """Accept, leased to the test for a minute."""
        return await self.store.accept(
            message,
            claim=CLAIM,
            lease_until_ms=message.created_ms + LEASE_MS,
            quota=quota,
            limit=limit,
            repeat_window_ms=repeat_window_ms,
            idempotency=idempotency,
        )

    async def claim(
        self, limit: int = 10, *, now_ms: int = NOW_MS, claim: bytes = CLAIM, account_id: AccountId | None = None
    ) -> list[SubmissionWork]:
        """Claim due submissions."""
        return await self.store.claim_submissions(
            account_id or self.account.id, limit, claim=claim, now_ms=now_ms, lease_until_ms=now_ms + LEASE_MS
        )

    async def finish(
        self,
        work: SubmissionWork,
        outcome: SendOutcome,
        *,
        now_ms: int = NOW_MS,
        retry_due_ms: int = RETRY_MS,
        resend: bool | None = None,
        move_to: AccountId | None = None,
    ) -> FinishedSubmission:
        """Store an outcome; resent when the message says so, unless told."""
        return await self.store.finish_submission(
            work,
            outcome,
            now_ms=now_ms,
            retry_due_ms=retry_due_ms,
            resend=work.on_unconfirmed == "resend" if resend is None else resend,
            move_to=move_to,
        )

    async def report(
        self,
        *rows: ReportRow,
        source: BodySource = "push",
        now_ms: int = NOW_MS + SECOND_MS,
        account_id: AccountId | None = None,
    ) -> ReceivedBody:
        """One body of reports."""
        raw = builders.raw_body("report", source, received_ms=now_ms)
        return await self.store.receive_reports(
            account_id or self.account.id, builders.raw_id(), raw, builders.reading(rows)
        )

    async def hear(
        self,
        *rows: InboundRow,
        source: BodySource = "push",
        now_ms: int = NOW_MS,
        account_id: AccountId | None = None,
    ) -> dict[str, int]:
        """One body of inbound messages; what its rows did."""
        raw = builders.raw_body("mo", source, received_ms=now_ms)
        received = await self.store.receive_inbound(
            account_id or self.account.id, builders.raw_id(), raw, builders.reading(rows)
        )
        return received.results

    async def sweep(self, now_ms: int, *, limit: int = 100, forget_keys_before_ms: int = 0) -> Swept:
        """End what waited too long."""
        return await self.store.sweep(
            now_ms,
            told_after_ms=TOLD_AFTER_MS,
            no_report_after_ms=NO_REPORT_AFTER_MS,
            forget_keys_before_ms=forget_keys_before_ms,
            limit=limit,
        )

    async def endpoint(self, **changes: Any) -> NewEndpoint:
        """Add an endpoint to the team."""
        new = builders.endpoint(changes.pop("team_id", self.team.id), **changes)
        await self.store.create_endpoint(new, None)
        return new

    async def lease(
        self, *rooms: tuple[NewEndpoint, int], now_ms: int = NOW_MS, claim: bytes = CLAIM
    ) -> list[DeliveryWork]:
        """Claim due deliveries."""
        return await self.store.claim_deliveries(
            [(new.view.id, room) for new, room in rooms], claim=claim, now_ms=now_ms, lease_until_ms=now_ms + LEASE_MS
        )

    # -- looking -----------------------------------------------------------------------------------------------------

    async def view(self, message: MessageDraft) -> MessageView:
        """The message as its team sees it."""
        view = await self.store.message(message.team_id, message.id)
        assert view is not None
        return view

    async def counts(self, message: MessageDraft) -> dict[RecipientStatus, int]:
        """Recipients per status."""
        return (await self.view(message)).counts

    async def recipients(self, message: MessageDraft, limit: int = 1000) -> list[RecipientView]:
        """All of them, page by page."""
        found: list[RecipientView] = []
        position: str | None = None
        while True:
            page = await self.store.recipients(message.team_id, message.id, position=position, limit=limit)
            assert page is not None
            found += page.data
            position = page.next_position
            if position is None:
                return found

    async def statuses(self, message: MessageDraft) -> dict[str, str]:
        """Number by number."""
        return {recipient.to: recipient.status for recipient in await self.recipients(message)}

    async def events(self, team_id: TeamId | None = None) -> list[dict[str, Any]]:
        """Every event of the team, decoded, in commit order."""
        found: list[dict[str, Any]] = []
        position: str | None = None
        while True:
            page = await self.store.events(team_id or self.team.id, position=position, limit=100, event_types=())
            found += [msgspec.json.decode(payload) for payload in page.data]
            position = page.next_position
            if len(page.data) < 100:
                return found

    async def told(self, message: MessageDraft) -> list[Told]:
        """The events of one message."""
        return [
            (
                event["type"],
                event["data"]["sequence"],
                [
                    (change["to"], change["status"], change["reason"], change["provider_status"])
                    for change in event["data"]["recipients"]
                ],
            )
            for event in await self.events(message.team_id)
            if event["data"].get("message_id") == message.id
        ]

    async def check_books(self, message: MessageDraft) -> None:
        """The promises that hold after whatever happened: counts, what is listed, and what was told agree."""
        view = await self.view(message)
        recipients = await self.recipients(message, limit=3)
        assert sum(view.counts.values()) == message.to_count
        assert view.counts == dict(Counter(recipient.status for recipient in recipients))
        told = await self.told(message)
        assert [sequence for _, sequence, _ in told] == list(range(1, len(told) + 1))
        finals: dict[str, list[str]] = {recipient.to: [] for recipient in recipients}
        for event_type, _, changes in told:
            for to, status, _, _ in changes:
                if status in FINAL and event_type != "message.report_conflict":
                    finals[to].append(status)
        for recipient in recipients:
            assert recipient.final == (recipient.status in FINAL)
            expected = [recipient.status] if recipient.final else []
            # no_report is the one final status that a report may still replace.
            assert finals[recipient.to] in (expected, ["no_report", *expected])
