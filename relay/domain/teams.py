"""Teams, and who calls for them."""

import hashlib
from datetime import datetime
from typing import Final, Literal

import msgspec

from relay.domain.ids import AccountId, KeyId, TeamId
from relay.domain.states import Category
from relay.domain.times import DAY_MS, HOUR_MS, MINUTE_MS, instant

Scope = Literal["messages:send", "messages:read", "events:read", "webhooks:manage", "balance:read", "admin"]
Mode = Literal["live", "test"]
AccountPolicy = Literal["order", "weight"]
"""``order``: the first account that can take it; ``weight``: by chance, in proportion to the accounts' weights."""

TEAM_SCOPES: Final[tuple[Scope, ...]] = (
    "messages:send",
    "messages:read",
    "events:read",
    "webhooks:manage",
    "balance:read",
)


class RecipientLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most this many messages of one category to one number, in any minute, hour or day; null is no limit."""

    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None

    @property
    def spans_ms(self) -> list[tuple[int, int]]:
        """(at most, in so many milliseconds), for each that is limited."""
        spans = ((self.per_minute, MINUTE_MS), (self.per_hour, HOUR_MS), (self.per_day, DAY_MS))
        return [(most, span_ms) for most, span_ms in spans if most is not None]


DEFAULT_LIMITS: Final[dict[Category, RecipientLimit]] = {
    "otp": RecipientLimit(per_minute=1, per_hour=5, per_day=10),
}
"""What holds for a category of which a team says nothing: codes that anybody can have sent to any number, by a form on
a public page, are what SMS pumping lives on."""


class Team(msgspec.Struct, frozen=True, kw_only=True):
    """One in-house team. ``signature`` includes its brackets; ``accounts`` in order of preference, empty = all;
    ``extensions`` are leased digits without leading zero; ``quota_units_per_day`` in segments x numbers. A text that
    went to a number within ``dedupe_window_s`` does not go there again; 0: it may. ``recipient_limits`` are the team's
    own: see ``limits``.
    ``version`` counts changes from 1."""

    id: TeamId
    name: str
    signature: str | None
    accounts: tuple[AccountId, ...]
    extensions: tuple[str, ...]
    quota_units_per_day: int | None
    requests_per_s: float | None
    recipient_limits: dict[Category, RecipientLimit]
    created_ms: int
    account_policy: AccountPolicy = "order"
    dedupe_window_s: int = 0
    version: int = 1

    @property
    def limits(self) -> dict[Category, RecipientLimit]:
        """What holds per category: the team's own limit as a whole, which may be no limit at all, or the default."""
        return DEFAULT_LIMITS | self.recipient_limits


class TeamView(msgspec.Struct, frozen=True, kw_only=True):
    """A team as the platform team sees it. `recipient_limits` are those that hold, by default or by its own choice; a
    category that is not there has none."""

    id: TeamId
    name: str
    signature: str | None
    accounts: list[AccountId]
    extensions: list[str]
    quota_units_per_day: int | None
    requests_per_s: float | None
    recipient_limits: dict[Category, RecipientLimit]
    account_policy: AccountPolicy
    dedupe_window_s: int
    created_at: datetime


def view_of(team: Team) -> TeamView:
    """What the platform team sees of a team."""
    return TeamView(
        id=team.id,
        name=team.name,
        signature=team.signature,
        accounts=list(team.accounts),
        extensions=list(team.extensions),
        quota_units_per_day=team.quota_units_per_day,
        requests_per_s=team.requests_per_s,
        recipient_limits=team.limits,
        account_policy=team.account_policy,
        dedupe_window_s=team.dedupe_window_s,
        created_at=instant(team.created_ms),
    )


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls: a key, and the team it belongs to (None: the platform)."""

    key_id: KeyId
    team: Team | None
    scopes: frozenset[Scope]
    mode: Mode
    expires_ms: int | None


def hash_secret(text: str) -> bytes:
    """SHA-256 of a key or of a callback token: all that is kept. 256 random bits need no slow hash."""
    return hashlib.sha256(text.encode()).digest()
