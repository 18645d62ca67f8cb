"""What the core needs of the outside. Adapters implement these; the services know nothing else.

Every method of ``Store`` is one transaction: true and durable (fsynced) when it returns, or it raised
``StoreUnavailable`` and nothing happened.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, Literal, Protocol, TypeVar

import msgspec

from relay.domain.accounts import Account, BalanceView
from relay.domain.audit import AuditEntry, AuditView
from relay.domain.endpoints import (
    AttemptErrorClass,
    AttemptOutcome,
    DeliveryDetail,
    DeliveryStatus,
    DeliveryView,
    DeliveryWork,
    Endpoint,
    EndpointView,
)
from relay.domain.erasure import ErasureStage
from relay.domain.events import EventType
from relay.domain.ids import AccountId, EndpointId, MessageId, RawId, TeamId
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
from relay.domain.states import RecipientStatus
from relay.domain.teams import KeyView, Principal, RecipientLimit, Team

T = TypeVar("T")

MaySend = Callable[[], bool]
"""Asked right before the first byte of a request is written, which may be long after the call began. False: nothing is
written, and the call comes to "not sent", ``lease``."""


def always() -> bool:
    """``MaySend`` for what is nobody else's."""
    return True


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


class PostResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one webhook POST came to. ``status`` None when no answer came (then ``error`` says why); ``answer`` is the
    first 4 KiB of the body; ``retry_after_s`` from the answer's Retry-After, either form."""

    status: int | None
    error: AttemptErrorClass | None
    answer: bytes
    duration_ms: int
    retry_after_s: float | None


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


class Idempotency(msgspec.Struct, frozen=True, kw_only=True):
    """One use of an Idempotency-Key. ``scope`` is the team's id or ``admin``; ``fingerprint`` a hash of the request;
    ``status`` and ``answer`` are what a replay gets."""

    scope: str
    key: str
    fingerprint: bytes
    status: int
    answer: bytes
    created_ms: int


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """``units`` per ``day`` (ISO date in the quota's time zone), which ends in ``ends_in_s``."""

    day: str
    units: int
    ends_in_s: float


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The same request was answered before: this status, these bytes."""

    status: int
    answer: bytes


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """It is stored now."""


class StoredEffects(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction set going: deliveries leased to this process, to be started now; and, to be counted,
    recipients and segments that came to each status, and events."""

    deliveries: tuple[DeliveryWork, ...]
    recipients_by_status: dict[RecipientStatus, int]
    segments_by_status: dict[RecipientStatus, int]
    events_by_type: dict[EventType, int]


class FinishedSubmission(msgspec.Struct, frozen=True, kw_only=True):
    """``fenced``: the claim was no longer ours, nothing changed. ``status`` is the submission's afterwards."""

    fenced: bool
    status: RecipientStatus
    message_id: MessageId
    retry_due_ms: int | None
    effects: StoredEffects


class ReceivedBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a body of reports or inbound messages did. ``results`` counts rows: ``applied`` ``repeated`` ``conflict``
    ``noted`` (not final) ``orphaned`` for reports, ``matched`` ``twin`` ``orphaned`` for inbound."""

    raw_id: RawId
    results: dict[str, int]
    quarantined: bool
    effects: StoredEffects


class PendingRaw(msgspec.Struct, frozen=True, kw_only=True):
    """A raw body that was stored but not yet applied."""

    id: RawId
    account_id: AccountId
    raw: RawBody


class ReadReports(msgspec.Struct, frozen=True, kw_only=True):
    """A body and the reports in it."""

    item: PendingRaw
    reading: Reading[ReportRow]


class ReadInbound(msgspec.Struct, frozen=True, kw_only=True):
    """A body and the inbound messages in it."""

    item: PendingRaw
    reading: Reading[InboundRow]


ReadBody = ReadReports | ReadInbound


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One finished attempt, to be stored. ``next_due_ms`` only with outcome ``retry``; ``pause_until_ms`` pauses the
    whole endpoint."""

    at_ms: int
    duration_ms: int
    status: int | None
    error: AttemptErrorClass | None
    answer: bytes
    outcome: AttemptOutcome
    next_due_ms: int | None
    pause_until_ms: int | None


class FinishedDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """``fenced``: the claim was no longer ours. ``disabled``: this attempt switched the endpoint off."""

    fenced: bool
    disabled: bool
    effects: StoredEffects


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What one sweep did; call again while ``more``."""

    expired: int
    lapsed: int
    told_unconfirmed: int
    no_report: int
    more: bool
    settled: tuple[MessageId, ...]
    effects: StoredEffects


class Retired(msgspec.Struct, frozen=True, kw_only=True):
    """What one batch of a kind did. ``more``: call again. ``overdue_ms``: when the oldest row came that should be gone
    and is not, as far as this batch tells; None when all are."""

    rows: int
    more: bool
    overdue_ms: int | None


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """What one batch of an erasure did. ``left_open``: rows that hold the number and must stay as they are for now,
    because they are not final or not applied. ``next_position`` None: the stage has ended."""

    erased: int
    left_open: int
    next_position: str | None


HintTopic = Literal["events", "deliveries", "submissions", "settled"]
"""``events`` were stored; ``deliveries`` or ``submissions`` wait for whoever has room; a message was ``settled``."""


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


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list, with the position after its last row (None when there is no more)."""

    data: list[T]
    next_position: str | None


class MessageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages to list; None leaves a thing open. ``created_after`` is exclusive, ``created_before`` too."""

    status: str | None = None
    reference: str | None = None
    to: int | None = None
    created_after_ms: int | None = None
    created_before_ms: int | None = None


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key to be stored: its view and the SHA-256 of its secret."""

    view: KeyView
    hash: bytes


class NewEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint to be stored: its view with the headers in clear, and its signing secret."""

    team_id: TeamId
    view: EndpointView
    secret: str


class QueueDepth(msgspec.Struct, frozen=True, kw_only=True):
    """How much waits in one queue, and how long the oldest row has been due (0 when none is)."""

    queue: str
    depth: int
    oldest_due_age_s: float


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a replica stands after a beat. ``now_ms`` by the database's clock; ``replicas``: the ids of all that live,
    sorted; ``leads``: whether it has the duty that only one may have."""

    now_ms: int
    replicas: tuple[bytes, ...]
    leads: bool


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """So much work of one account (submissions) or endpoint (deliveries) is leased by one replica."""

    key: AccountId | EndpointId
    replica: bytes
    number: int


class Store(Protocol):
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
        idempotency: Idempotency | None,
    ) -> Stored | Replay:
        """Store idempotency key, quota use, message, submissions and recipients. Submissions of status ``submitting``
        are stored as leased under ``claim``, the others as waiting. ``limit`` caps what one number may get of the
        message's category. Raises QuotaExceeded, RecipientLimitExceeded, IdempotencyKeyReused, or BodyInvalid when the
        extension leads to another team; then nothing is stored."""

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
        self, work: SubmissionWork, outcome: SendOutcome, *, now_ms: int, retry_due_ms: int, resend: bool
    ) -> FinishedSubmission:
        """Store what became of a submission. NotSent is queued again, due at ``retry_due_ms``; so is Unconfirmed when
        ``resend`` (the caller's or the account's choice); unless a report has shown that it arrived: then it is
        ``submitted``."""

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

    # -- audit -------------------------------------------------------------------------------------------------------

    async def add_audit(self, entry: AuditEntry, idempotency: Idempotency | None) -> Stored | Replay:
        """Add an entry."""

    async def audit(self, *, position: str | None, limit: int) -> Page[AuditView]:
        """Newest first."""

    # -- platform ----------------------------------------------------------------------------------------------------

    async def create_account(
        self, account: Account, *, callback_token: str, idempotency: Idempotency | None
    ) -> Stored | Replay:
        """Store an account, its password sealed, its callback token hashed. Raises AlreadyExists for a taken name."""

    async def accounts(self) -> list[Account]:
        """All of them, oldest first, credentials in clear."""

    async def callback_tokens(self) -> dict[bytes, AccountId]:
        """SHA-256 of every live callback token, and whose it is."""

    async def keep_balance(self, account_id: AccountId, balance: Balance, now_ms: int) -> None:
        """Remember the last known balance."""

    async def balances(self, account_ids: tuple[AccountId, ...]) -> list[BalanceView]:
        """Last known balances of these accounts, in this order."""

    async def create_team(self, team: Team, idempotency: Idempotency | None) -> Stored | Replay:
        """Store a team. Raises AlreadyExists for a taken name or a taken extension."""

    async def team(self, team_id: str) -> Team | None:
        """One team."""

    async def teams(self, *, position: str | None, limit: int) -> Page[Team]:
        """Newest first."""

    async def create_key(self, new: NewKey, idempotency: Idempotency | None) -> Stored | Replay:
        """Store a key."""

    async def key(self, key_id: str) -> KeyView | None:
        """One key."""

    async def keys(self, *, team_id: str | None, position: str | None, limit: int) -> Page[KeyView]:
        """Newest first."""

    async def find_principal(self, key_hash: bytes) -> Principal | None:
        """Who has the key with this hash; None when nobody, or when it was revoked. Expiry is the caller's to check."""


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
