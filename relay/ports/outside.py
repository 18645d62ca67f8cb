"""What the core needs beside the store: time, chance, secrets, the provider, who gets webhooks, other replicas."""

from typing import Protocol

from relay.domain.accounts import Account
from relay.domain.endpoints import Endpoint
from relay.domain.messages import SubmissionWork
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
from relay.ports.values import HintTopic, MaySend, PostResult, always


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
