"""``ports.Store`` on top of a driver: every method names its script and whether it writes."""

from functools import partial
from typing import TypeVar

from relay.domain.endpoints import (
    DeliveryDetail,
    DeliveryStatus,
    DeliveryView,
    DeliveryWork,
    Endpoint,
    EndpointView,
)
from relay.domain.erasure import ErasureStage
from relay.domain.ids import AccountId, EndpointId, RawId, TeamId, raw_bytes
from relay.domain.messages import InboundView, MessageDraft, MessageView, RecipientView, SubmissionWork
from relay.domain.provider import InboundRow, RawBody, Reading, ReportRow, SendOutcome
from relay.domain.retention import RetentionKind
from relay.domain.teams import RecipientLimit
from relay.ports import (
    AttemptRecord,
    Erased,
    FinishedDelivery,
    FinishedSubmission,
    Held,
    Idempotency,
    MessageFilter,
    NewEndpoint,
    Page,
    PendingRaw,
    QueueDepth,
    Quota,
    ReadBody,
    ReceivedBody,
    Replay,
    Retired,
    Standing,
    Stored,
    Swept,
    Trimmed,
)
from relay.store import turns
from relay.store.parts.accounts import AccountsPart
from relay.store.parts.audit import AuditPart
from relay.store.parts.balances import BalancesPart
from relay.store.parts.extensions import ExtensionsPart
from relay.store.parts.keyring import KeyRingPart
from relay.store.parts.keys import KeysPart
from relay.store.parts.orphans import OrphansPart
from relay.store.parts.routing import RoutingPart
from relay.store.parts.suppressions import SuppressionsPart
from relay.store.parts.teams import TeamsPart
from relay.store.scripts import accept as accepting
from relay.store.scripts import (
    deliver,
    erase,
    health,
    inbound,
    replicas,
    reports,
    retention,
    submit,
    subscriptions,
    suppressions,
    views,
    withhold,
)
from relay.store.scripts import idempotency as keys
from relay.store.scripts import raw as raws
from relay.store.scripts import receive as receiving

T = TypeVar("T")


class ScriptStore(
    AccountsPart,
    BalancesPart,
    TeamsPart,
    ExtensionsPart,
    KeysPart,
    SuppressionsPart,
    OrphansPart,
    AuditPart,
    KeyRingPart,
    RoutingPart,
):
    """The store. See ``relay.ports.Store`` for what each method promises."""

    async def close(self) -> None:
        """Finish what is queued and let go of the database."""
        await self._driver.close()

    # -- life --------------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        await self._driver.read(health.check)

    async def recover(self, now_ms: int) -> int:
        return await self._driver.write(partial(submit.recover, now_ms=now_ms), turns.ALONE)

    async def beat(self, replica: bytes, *, name: str, ttl_ms: int, join: bool) -> Standing | None:
        return await self._driver.write(
            lambda db: replicas.beat(db, replica, name=name, ttl_ms=ttl_ms, join=join), turns.ALONE
        )

    async def leave(self, replica: bytes) -> None:
        await self._driver.write(lambda db: replicas.leave(db, replica), turns.ALONE)

    async def held(self) -> list[Held]:
        return await self._driver.read(replicas.held)

    async def queue_depths(self, now_ms: int) -> list[QueueDepth]:
        return await self._driver.read(partial(health.queue_depths, now_ms=now_ms))

    # -- messages ----------------------------------------------------------------------------------------------------

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

    async def sweep(
        self, now_ms: int, *, told_after_ms: int, no_report_after_ms: int, forget_keys_before_ms: int, limit: int
    ) -> Swept:
        return await self._driver.write(
            lambda db: submit.sweep(
                db,
                now_ms,
                told_after_ms=told_after_ms,
                no_report_after_ms=no_report_after_ms,
                forget_keys_before_ms=forget_keys_before_ms,
                limit=limit,
            ),
            turns.ALONE,
        )

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

    # -- callbacks and pulls -----------------------------------------------------------------------------------------

    async def store_raw(self, account_id: AccountId, raw: RawBody, raw_id: RawId) -> None:
        await self._driver.write(lambda db: raws.store(db, raw_bytes(account_id), raw_id, raw, "pending", None))

    async def pending_raw(self, limit: int) -> list[PendingRaw]:
        return await self._driver.read(lambda db: raws.pending(db, limit))

    async def receive_reports(
        self, account_id: AccountId, raw_id: RawId, raw: RawBody, reading: Reading[ReportRow]
    ) -> ReceivedBody:
        return await self._driver.write(
            lambda db: reports.receive(db, account_id, raw_id, raw, reading), turns.receive_reports(reading)
        )

    async def receive_inbound(
        self, account_id: AccountId, raw_id: RawId, raw: RawBody, reading: Reading[InboundRow]
    ) -> ReceivedBody:
        return await self._driver.write(
            lambda db: inbound.receive(db, account_id, raw_id, raw, reading), turns.receive_inbound(account_id, reading)
        )

    async def receive_in_turn(self, bodies: list[ReadBody]) -> list[ReceivedBody]:
        return await self._driver.write(lambda db: receiving.in_turn(db, bodies), turns.receive_in_turn(bodies))

    async def quarantine(self, account_id: AccountId, raw_id: RawId, raw: RawBody, why: str) -> None:
        await self._driver.write(lambda db: raws.quarantine(db, raw_bytes(account_id), raw_id, raw, why))

    async def inbound(self, team_id: TeamId, inbound_id: str) -> InboundView | None:
        return await self._driver.read(lambda db: views.inbound(db, raw_bytes(team_id), raw_bytes(inbound_id)))

    async def inbound_list(self, team_id: TeamId, *, position: str | None, limit: int) -> Page[InboundView]:
        return await self._driver.read(lambda db: views.inbound_list(db, raw_bytes(team_id), position, limit))

    # -- events and deliveries ---------------------------------------------------------------------------------------

    async def event(self, team_id: TeamId, event_id: str) -> bytes | None:
        return await self._driver.read(lambda db: subscriptions.event(db, raw_bytes(team_id), raw_bytes(event_id)))

    async def events(
        self, team_id: TeamId, *, position: str | None, limit: int, event_types: tuple[str, ...]
    ) -> Page[bytes]:
        return await self._driver.read(
            lambda db: subscriptions.events(db, raw_bytes(team_id), position, limit, event_types)
        )

    async def claim_deliveries(
        self, rooms: list[tuple[EndpointId, int]], *, claim: bytes, now_ms: int, lease_until_ms: int
    ) -> list[DeliveryWork]:
        return await self._driver.write(
            lambda db: deliver.claim(db, rooms, claim=claim, now_ms=now_ms, lease_until_ms=lease_until_ms),
            turns.CLAIM,
        )

    async def due_endpoints(self, now_ms: int) -> list[EndpointId]:
        return await self._driver.read(lambda db: deliver.due_endpoints(db, now_ms))

    async def next_delivery_due_ms(self, now_ms: int) -> int | None:
        return await self._driver.read(lambda db: deliver.next_due_ms(db, now_ms))

    async def finish_delivery(self, work: DeliveryWork, record: AttemptRecord) -> FinishedDelivery:
        return await self._driver.write(lambda db: deliver.finish(db, work, record), turns.finish_delivery(work))

    async def release_deliveries(self, works: list[DeliveryWork]) -> None:
        await self._driver.write(lambda db: deliver.release(db, works))

    async def delivery(self, team_id: TeamId, delivery_id: str) -> DeliveryDetail | None:
        return await self._driver.read(
            lambda db: subscriptions.delivery(db, raw_bytes(team_id), raw_bytes(delivery_id))
        )

    async def deliveries(
        self,
        team_id: TeamId,
        *,
        endpoint_id: str | None,
        event_id: str | None,
        status: DeliveryStatus | None,
        position: str | None,
        limit: int,
    ) -> Page[DeliveryView]:
        return await self._driver.read(
            lambda db: subscriptions.deliveries(
                db,
                raw_bytes(team_id),
                endpoint=None if endpoint_id is None else raw_bytes(endpoint_id),
                event=None if event_id is None else raw_bytes(event_id),
                status=status,
                position=position,
                limit=limit,
            )
        )

    # -- endpoints ---------------------------------------------------------------------------------------------------

    async def create_endpoint(self, new: NewEndpoint, idempotency: Idempotency | None) -> Stored | Replay:
        return await self._driver.write(lambda db: subscriptions.create_endpoint(db, self._ring, new, idempotency))

    async def endpoint_view(self, team_id: TeamId, endpoint_id: str) -> EndpointView | None:
        return await self._driver.read(
            lambda db: subscriptions.endpoint_view(db, self._ring, raw_bytes(team_id), raw_bytes(endpoint_id))
        )

    async def endpoint_views(self, team_id: TeamId, *, position: str | None, limit: int) -> Page[EndpointView]:
        return await self._driver.read(
            lambda db: subscriptions.endpoint_views(db, self._ring, raw_bytes(team_id), position, limit)
        )

    async def delete_endpoint(self, team_id: TeamId, endpoint_id: str, now_ms: int) -> bool:
        return await self._driver.write(
            lambda db: subscriptions.delete_endpoint(db, raw_bytes(team_id), raw_bytes(endpoint_id), now_ms)
        )

    async def load_endpoint(self, endpoint_id: EndpointId) -> Endpoint | None:
        return await self._driver.read(lambda db: subscriptions.load_endpoint(db, self._ring, raw_bytes(endpoint_id)))

    # -- what is old -------------------------------------------------------------------------------------------------

    async def retire(self, kind: RetentionKind, *, before_ms: int, now_ms: int, limit: int) -> Retired:
        # Alone: it locks many messages, or a whole table.
        return await self._driver.write(
            lambda db: retention.retire(db, kind, before_ms=before_ms, now_ms=now_ms, limit=limit), turns.ALONE
        )

    async def erase_number(
        self, stage: ErasureStage, mobile: int, *, position: str | None, now_ms: int, limit: int
    ) -> Erased:
        after = erase.read_position(stage, position)
        seen = await self._driver.read(lambda db: erase.look(db, stage, mobile, after, limit))
        struck = erase.Struck()
        if seen.keys:
            struck = await self._driver.write(
                lambda db: erase.strike(db, stage, mobile, seen.keys, now_ms), turns.ALONE
            )
        return Erased(erased=struck.erased, left_open=struck.left_open, next_position=erase.write_position(seen.last))
