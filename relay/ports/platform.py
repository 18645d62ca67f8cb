"""What the platform team administers, as the store keeps it; parts of ``relay.ports.Store``."""

from collections.abc import Mapping
from typing import Protocol

from relay.domain.accounts import Account, BalanceView
from relay.domain.audit import AuditEntry, AuditFilter, AuditView
from relay.domain.ids import AccountId, KeyId
from relay.domain.keys import KeyView
from relay.domain.provider import Balance
from relay.domain.teams import Principal, Team
from relay.ports.values import Idempotency, NewKey, Page, Replay, Stored


class AccountStore(Protocol):
    """Provider accounts, their callback tokens and balances."""

    async def create_account(
        self, account: Account, *, callback_token: str, entry: AuditEntry, idempotency: Idempotency | None
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


class TeamStore(Protocol):
    """Teams and their extensions."""

    async def create_team(self, team: Team, *, entry: AuditEntry, idempotency: Idempotency | None) -> Stored | Replay:
        """Store a team. Raises AlreadyExists for a taken name or a taken extension."""

    async def team(self, team_id: str) -> Team | None:
        """One team."""

    async def teams(self, *, position: str | None, limit: int) -> Page[Team]:
        """Newest first."""


class KeyStore(Protocol):
    """API keys."""

    async def create_key(self, new: NewKey, *, entry: AuditEntry, idempotency: Idempotency | None) -> Stored | Replay:
        """Store a key."""

    async def change_key(
        self,
        before: KeyView,
        after: KeyView,
        *,
        successor: NewKey | None = None,
        entry: AuditEntry,
        idempotency: Idempotency | None = None,
    ) -> Stored | Replay | None:
        """Store name, expiry and revocation of ``after``, and its ``successor`` with them. None, and nothing is stored,
        when the key is no longer as ``before``."""

    async def key(self, key_id: str) -> KeyView | None:
        """One key."""

    async def find_key(self, key_hash: bytes) -> KeyView | None:
        """The key with this hash, whatever became of it."""

    async def keys(
        self, *, team_id: str | None, position: str | None, limit: int, include_revoked: bool = False
    ) -> Page[KeyView]:
        """Newest first."""

    async def note_key_uses(self, uses: Mapping[KeyId, int]) -> None:
        """When keys were used last, in ms; an earlier time than is known changes nothing."""

    async def find_principal(self, key_hash: bytes) -> Principal | None:
        """Who has the key with this hash; None when nobody, or when it was revoked. Expiry is the caller's to check."""


class AuditStore(Protocol):
    """The audit."""

    async def add_audit(self, entry: AuditEntry, idempotency: Idempotency | None) -> Stored | Replay:
        """Add an entry."""

    async def audit(self, filters: AuditFilter, *, position: str | None, limit: int) -> Page[AuditView]:
        """Newest first."""

    async def audit_from(self, filters: AuditFilter, *, position: str | None, limit: int) -> Page[AuditView]:
        """Oldest first; ``position`` is 32 hex digits, those of an entry's id: what comes after it."""
