"""What callers ask for, already checked for shape; the API decodes into these, the CLI builds them."""

import msgspec

from relay.domain.accounts import CodeRule, PwdCase
from relay.domain.ids import AccountId, MessageId, SubmissionId, TeamId
from relay.domain.provider import BodyKind
from relay.domain.states import Category, OnUnconfirmed
from relay.domain.teams import AccountPolicy, Mode, RecipientLimit, Scope


class SendRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Send ``text`` to the numbers in ``to`` (as written by the caller). Times in milliseconds since 1970."""

    to: list[str]
    text: str
    extension: str | None = None
    reference: str | None = None
    metadata: dict[str, str] = {}
    category: Category = "notice"
    on_unconfirmed: OnUnconfirmed = "hold"
    send_at_ms: int | None = None
    expires_ms: int | None = None


class EndpointRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Create a webhook endpoint."""

    url: str
    event_types: list[str] = []
    extensions: list[str] = []
    description: str | None = None
    headers: dict[str, str] = {}
    max_in_flight: int = 16


class AccountRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Create a provider account. Exactly one of ``password``, ``password_md5`` and ``password_ref``."""

    name: str
    base_url: str
    account: str
    password: str | None = None
    password_md5: str | None = None
    password_ref: str | None = None
    pwd_case: PwdCase = "lower"  # noqa: S105 - a case, no password
    max_mobiles: int = 3000
    requests_per_s: float = 10.0
    connections: int = 20
    timeout_s: float = 30.0
    pull_reports: bool = True
    pull_inbound: bool = True
    pull_interval_s: float = 10.0
    callback_allow: list[str] = []
    callback_proxies: int = 0
    weight: int = 1
    task_id_dedup: bool = False
    codes: dict[str, CodeRule] = {}
    low_balance: int | None = None
    extension_digits: int | None = None


class TeamRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Create a team."""

    name: str
    signature: str | None = None
    accounts: list[AccountId] = []
    extensions: list[str] = []
    quota_units_per_day: int | None = None
    requests_per_s: float | None = None
    recipient_limits: dict[Category, RecipientLimit] = {}
    account_policy: AccountPolicy = "order"
    dedupe_window_s: int = 0


class LimitPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Change a limit per number; what is left out stays."""

    per_minute: int | msgspec.UnsetType | None = msgspec.UNSET
    per_hour: int | msgspec.UnsetType | None = msgspec.UNSET
    per_day: int | msgspec.UnsetType | None = msgspec.UNSET


class TeamPatch(msgspec.Struct, frozen=True, kw_only=True):
    """Change a team; what is left out stays. Lists are replaced as a whole; ``recipient_limits`` are merged, and None
    for a category takes back what the team said of it."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    signature: str | msgspec.UnsetType | None = msgspec.UNSET
    accounts: list[AccountId] | msgspec.UnsetType = msgspec.UNSET
    extensions: list[str] | msgspec.UnsetType = msgspec.UNSET
    quota_units_per_day: int | msgspec.UnsetType | None = msgspec.UNSET
    requests_per_s: float | msgspec.UnsetType | None = msgspec.UNSET
    recipient_limits: dict[Category, LimitPatch | None] | msgspec.UnsetType = msgspec.UNSET
    account_policy: AccountPolicy | msgspec.UnsetType = msgspec.UNSET
    dedupe_window_s: int | msgspec.UnsetType = msgspec.UNSET


class LeaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Lease an extension to a team: the lowest free one (None), on all its accounts (None)."""

    team_id: TeamId
    account_id: AccountId | None = None
    extension: str | None = None


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Create an API key. ``team_id`` None only with the scope ``admin``."""

    team_id: TeamId | None
    scopes: list[Scope]
    mode: Mode = "live"
    expires_ms: int | None = None
    name: str | None = None


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be changed of a key; UNSET stays as it is, None clears."""

    name: str | msgspec.UnsetType | None = msgspec.UNSET
    expires_ms: int | msgspec.UnsetType | None = msgspec.UNSET


class KeyRotation(msgspec.Struct, frozen=True, kw_only=True):
    """A new key in place of an old one, which goes on for ``overlap_s``. ``expires_ms`` of the new one; None: never."""

    overlap_s: int
    expires_ms: int | msgspec.UnsetType | None = msgspec.UNSET


class OrphanAssignment(msgspec.Struct, frozen=True, kw_only=True):
    """Whose an orphan is. ``team_id`` for an inbound message, one of the others for a report."""

    team_id: TeamId | None = None
    message_id: MessageId | None = None
    submission_id: SubmissionId | None = None


class OrphanBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Which open orphans to match again, newest first: so many behind ``position``."""

    kind: BodyKind | None = None
    account_id: str | None = None
    position: str | None = None
    limit: int = 100
