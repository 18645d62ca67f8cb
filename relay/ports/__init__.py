"""What the core needs of the outside. Adapters implement these; the services know nothing else.

Every method of ``Store`` is one transaction: true and durable (fsynced) when it returns, or it raised
``StoreUnavailable`` and nothing happened.
"""

from collections.abc import Awaitable
from typing import Protocol

from relay.domain.accounts import Account
from relay.domain.endpoints import DeliveryDetail, DeliveryStatus, DeliveryView, DeliveryWork, Endpoint, EndpointView
from relay.domain.erasure import ErasureStage
from relay.domain.ids import AccountId, EndpointId, RawId, TeamId
from relay.domain.messages import InboundView, MessageDraft, MessageView, RecipientView, SubmissionWork
from relay.domain.provider import (
    Balance,
    BalanceUnknown,
    BodyKind,
    InboundRow,
    Pulled,
    PullFailed,
    RawBody,
    Reading,
    ReportRow,
    SendOutcome,
)
from relay.domain.retention import RetentionKind
from relay.domain.teams import RecipientLimit
from relay.ports.keyring import KeyRingStore, RingFile
from relay.ports.orphans import OrphanStore
from relay.ports.platform import (
    AccountStore,
    AuditStore,
    BalanceStore,
    ExtensionStore,
    KeyStore,
    SuppressionStore,
    TeamStore,
)
from relay.ports.routing import RoutingStore, Stranded
from relay.ports.values import (
    AttemptRecord,
    Erased,
    FinishedDelivery,
    FinishedSubmission,
    Held,
    HintTopic,
    Idempotency,
    MaySend,
    MessageFilter,
    NewEndpoint,
    NewKey,
    Page,
    PendingRaw,
    PostResult,
    QueueDepth,
    Quota,
    ReadBody,
    ReadInbound,
    ReadReports,
    ReceivedBody,
    Replay,
    Retired,
    SealedBatch,
    SealedPosition,
    SetAside,
    Standing,
    Stored,
    StoredEffects,
    Swept,
    Telling,
    Told,
    Trimmed,
    always,
)

__all__ = [
    "AccountStore",
    "AttemptRecord",
    "AuditStore",
    "BalanceStore",
    "Clock",
    "EgressPolicy",
    "Entropy",
    "Erased",
    "FinishedDelivery",
    "FinishedSubmission",
    "Held",
    "HintTopic",
    "Hints",
    "Idempotency",
    "KeyRingStore",
    "KeyStore",
    "MaySend",
    "MessageFilter",
    "NewEndpoint",
    "NewKey",
    "OrphanStore",
    "Page",
    "PendingRaw",
    "PostResult",
    "Poster",
    "Provider",
    "QueueDepth",
    "Quota",
    "ReadBody",
    "ReadInbound",
    "ReadReports",
    "ReceivedBody",
    "Replay",
    "Retired",
    "RingFile",
    "RoutingStore",
    "SealedBatch",
    "SealedPosition",
    "SecretReader",
    "SetAside",
    "Spool",
    "Standing",
    "Store",
    "Stored",
    "StoredEffects",
    "Straight",
    "Stranded",
    "SuppressionStore",
    "Swept",
    "TeamStore",
    "Telling",
    "Told",
    "Trimmed",
    "always",
]


class Clock(Protocol):
    """Time, so that tests can move it."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""

    def monotonic_s(self) -> float:
        """Seconds of a clock that never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return when ``seconds`` of this clock have passed."""


class Entropy(Protocol):
    """Randomness, so that tests can fix it."""

    def new_id(self, prefix: str) -> str:
        """``prefix`` + 32 hex digits of a new UUIDv7; later ids sort after earlier ones of this process."""

    def token(self, size_bytes: int) -> bytes:
        """Random bytes fit for secrets."""

    def jitter(self) -> float:
        """A random number in 0..1."""


class Provider(Protocol):
    """One kind of upstream API. Never raises for what an account's server does: that is an outcome."""

    async def send(self, account: Account, work: SubmissionWork, may_send: MaySend = always) -> SendOutcome:
        """Submit once."""

    async def pull(self, account: Account, kind: BodyKind, may_send: MaySend = always) -> Pulled | PullFailed:
        """Fetch waiting rows of ``report`` or ``mo``; what is returned is drained upstream."""

    async def balance(self, account: Account, may_send: MaySend = always) -> Balance | BalanceUnknown:
        """Ask for the balance."""

    def read_reports(self, raw: RawBody) -> Reading[ReportRow]:
        """Decode a pushed or pulled body of reports. Total: any bytes give a Reading."""

    def read_inbound(self, raw: RawBody) -> Reading[InboundRow]:
        """Decode a pushed or pulled body of inbound messages. Total: any bytes give a Reading."""


class SecretReader(Protocol):
    """Reads what a reference points at: ``file:/absolute/path`` or ``env:NAME``."""

    async def read(self, reference: str) -> str:
        """One line, without its end. Raises SecretUnreadable, which shows nothing of the content."""


class Poster(Protocol):
    """Sends signed webhooks."""

    async def post(
        self,
        endpoint: Endpoint,
        webhook_id: str,
        body: bytes,
        timestamp_s: int,
        timeout_s: float,
        may_send: MaySend = always,
    ) -> PostResult:
        """One signed POST, no redirect followed. Never raises for what the receiver does. Raises NothingSent ``lease``
        when ``may_send`` says no."""


class EgressPolicy(Protocol):
    """Which addresses webhooks may go to."""

    def check_url(self, url: str) -> None:
        """Raises EndpointRefused when the URL can never be allowed (scheme, credentials, literal address)."""


class Hints(Protocol):
    """What other replicas should look at soon. Only a hint: each of them looks by itself, too."""

    def tell(self, topic: HintTopic) -> None:
        """Returns at once, and never fails."""


class Straight(Protocol):
    """The deliver worker of this process, as the store sees it while it stores a delivery. Called from the store's own
    thread: it reads, never waits."""

    @property
    def claim(self) -> bytes:
        """What the delivery that is being stored is claimed with, if it is handed over."""

    def lease_until_ms(self, now_ms: int) -> int:
        """Until when a delivery that is handed over now is leased."""

    def takes(self, endpoint_id: EndpointId) -> bool:
        """Whether a delivery to this endpoint can be started by this process at once."""


class Store(
    AccountStore,
    BalanceStore,
    TeamStore,
    ExtensionStore,
    KeyStore,
    SuppressionStore,
    OrphanStore,
    AuditStore,
    KeyRingStore,
    RoutingStore,
    Protocol,
):
    """All that must be remembered. Lists are keyset pages; ``position`` is where the last page ended.

    ``team_id`` in a signature means: rows of other teams do not exist.
    """

    # -- life --------------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """Raises StoreUnavailable or SchemaMissing when the store cannot serve."""

    async def recover(self, now_ms: int) -> int:
        """For a store that only this process uses: every lease of a dead process ends. ``submitting`` becomes
        ``unconfirmed`` (with on_unconfirmed ``resend``: queued again; ``fail``: failed). The number of submissions."""

    async def beat(self, replica: bytes, *, name: str, ttl_ms: int, join: bool) -> Standing | None:
        """The replica (8 bytes, with which all its claims begin) lives for ``ttl_ms`` more, by the database's clock.
        None when it is not there, unless it is to ``join``: others have buried it.

        Buries those whose time is over: their ``submitting`` is for the next sweep, their deliveries are free, their
        duty is. A replica whose own time was over buries nobody. Then takes or renews the duty, when nobody else has
        it."""

    async def leave(self, replica: bytes) -> None:
        """The same end for this replica, at once."""

    async def held(self) -> list[Held]:
        """What is leased now, by all replicas."""

    async def queue_depths(self, now_ms: int) -> list[QueueDepth]:
        """Queues ``submissions``, ``deliveries``, ``raw``; each depth counted up to 10,000 and no further."""

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

    async def sweep(
        self, now_ms: int, *, told_after_ms: int, no_report_after_ms: int, forget_keys_before_ms: int, limit: int
    ) -> Swept:
        """End what waited too long: submissions past ``expires_at``; unconfirmed ones get their event after
        ``told_after_ms``; silent ones become ``no_report`` after ``no_report_after_ms``. Idempotency keys used before
        ``forget_keys_before_ms`` are forgotten. At most ``limit`` of each kind in one call."""

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

    # -- callbacks and pulls -----------------------------------------------------------------------------------------

    async def store_raw(self, account_id: AccountId, raw: RawBody, raw_id: RawId) -> None:
        """Keep a pulled body before anybody parses it. It is ``pending_raw`` until it was applied."""

    async def pending_raw(self, limit: int) -> list[PendingRaw]:
        """Bodies that were stored but not applied, oldest first."""

    async def receive_reports(
        self, account_id: AccountId, raw_id: RawId, raw: RawBody, reading: Reading[ReportRow]
    ) -> ReceivedBody:
        """Raw body, reports, recipient states, events and deliveries in one transaction. A ``raw_id`` that was applied
        before changes nothing."""

    async def receive_inbound(
        self, account_id: AccountId, raw_id: RawId, raw: RawBody, reading: Reading[InboundRow]
    ) -> ReceivedBody:
        """The same for inbound messages."""

    async def receive_in_turn(self, bodies: list[ReadBody]) -> list[ReceivedBody]:
        """What these two do, for each body in this order, all of it in one transaction."""

    async def quarantine(self, account_id: AccountId, raw_id: RawId, raw: RawBody, why: str) -> None:
        """Keep a body that cannot be applied."""

    async def inbound(self, team_id: TeamId, inbound_id: str) -> InboundView | None:
        """One received message."""

    async def inbound_list(self, team_id: TeamId, *, position: str | None, limit: int) -> Page[InboundView]:
        """Newest first."""

    # -- events and deliveries ---------------------------------------------------------------------------------------

    async def event(self, team_id: TeamId, event_id: str) -> bytes | None:
        """The payload bytes of an event."""

    async def events(
        self, team_id: TeamId, *, position: str | None, limit: int, event_types: tuple[str, ...]
    ) -> Page[bytes]:
        """Payloads in commit order, oldest first. ``next_position`` is always set, also behind the newest event."""

    async def claim_deliveries(
        self, rooms: list[tuple[EndpointId, int]], *, claim: bytes, now_ms: int, lease_until_ms: int
    ) -> list[DeliveryWork]:
        """Lease up to the stated number of due deliveries of each endpoint, oldest first."""

    async def due_endpoints(self, now_ms: int) -> list[EndpointId]:
        """Endpoints that are enabled, not paused, and have a due delivery that nobody has leased, or whose lease has
        ended."""

    async def next_delivery_due_ms(self, now_ms: int) -> int | None:
        """When the next delivery that is not yet due becomes due, or a lease or a pause ends; None when none will."""

    async def finish_delivery(self, work: DeliveryWork, record: AttemptRecord) -> FinishedDelivery:
        """Store the attempt and what follows: history, the next due time, or an endpoint switched off."""

    async def release_deliveries(self, works: list[DeliveryWork]) -> None:
        """Give back leases whose attempts are not made: each delivery that its claim still holds is due again for
        whoever claims it, as it was before."""

    async def delivery(self, team_id: TeamId, delivery_id: str) -> DeliveryDetail | None:
        """One delivery with its attempts."""

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
        """Newest first."""

    # -- endpoints ---------------------------------------------------------------------------------------------------

    async def create_endpoint(self, new: NewEndpoint, idempotency: Idempotency | None) -> Stored | Replay:
        """Store an endpoint."""

    async def endpoint_view(self, team_id: TeamId, endpoint_id: str) -> EndpointView | None:
        """One endpoint."""

    async def endpoint_views(self, team_id: TeamId, *, position: str | None, limit: int) -> Page[EndpointView]:
        """Newest first."""

    async def delete_endpoint(self, team_id: TeamId, endpoint_id: str, now_ms: int) -> bool:
        """Delete an endpoint; its pending deliveries end as ``discarded``. False when there is none."""

    async def load_endpoint(self, endpoint_id: EndpointId) -> Endpoint | None:
        """What the deliver worker needs, secrets in clear; None when it was deleted."""

    # -- what is old -------------------------------------------------------------------------------------------------

    async def retire(self, kind: RetentionKind, *, before_ms: int, now_ms: int, limit: int) -> Retired:
        """Delete or erase what of this kind is older than ``before_ms``, about ``limit`` rows of it, where a partition
        goes as a whole; what is not final, not applied or still needed stays. Raises nothing for what is locked by
        others: that goes at another time."""

    async def erase_number(
        self, stage: ErasureStage, mobile: int, *, position: str | None, now_ms: int, limit: int
    ) -> Erased:
        """Erase the number from the next ``limit`` rows of this stage. Two transactions: one looks beside the writer,
        one reads again and erases. In place of a recipient's number comes an ordinal that reads "erased"."""


class Spool(Protocol):
    """Where bodies go while the store cannot be written."""

    @property
    def waiting(self) -> bool:
        """Bodies wait in it, or are being written: what comes now goes behind them."""

    async def turn(self, within_s: float) -> bool:
        """Whether what comes now may go to the store, because nothing waits. While a replay gets on and few bodies are
        left, its end is waited for, up to ``within_s``: otherwise, as long as others come all the time, the spool would
        never be empty."""

    def append(self, item: PendingRaw) -> Awaitable[None]:
        """Its place in the order is that of the call; it is on disk when what is returned is done. That raises
        SpoolUnavailable when even this fails."""
