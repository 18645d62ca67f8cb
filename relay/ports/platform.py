"""What the platform team administers, as the store keeps it; parts of ``relay.ports.Store``."""

from typing import Protocol

from relay.domain.accounts import Account, BalanceView, CallbackToken
from relay.domain.audit import AuditEntry, AuditView
from relay.domain.ids import AccountId
from relay.domain.provider import Balance
from relay.domain.teams import KeyView, Principal, Team
from relay.ports.values import Idempotency, NewKey, Page, Replay, Stored


class AccountStore(Protocol):
    """Provider accounts, their callback tokens and balances."""

    async def create_account(
        self, account: Account, *, callback_token: str, entry: AuditEntry, idempotency: Idempotency | None
    ) -> Stored | Replay:
        """Store an account, its password sealed, its callback token hashed. Raises AlreadyExists for a taken name."""

    async def change_account(
        self, account: Account, *, entry: AuditEntry, idempotency: Idempotency | None = None
    ) -> Stored | Replay:
        """Write all of the account over its version ``account.version``, which is counted up. Raises AlreadyExists for
        a taken name, PreconditionFailed when it has another version, or is gone."""

    async def delete_account(
        self, account_id: AccountId, *, version: int | None, entry: AuditEntry, now_ms: int
    ) -> None:
        """Whatever of it could be used goes, and its name is free; what was sent by it still names it. Raises NotFound,
        PreconditionFailed when its version is not ``version`` (None: any), and InUse while a team names it, an
        extension is leased on it, a message of it is not final, or it takes traffic."""

    async def forget_expired(self, now_ms: int) -> None:
        """Fall-back credentials and callback tokens whose time is over are erased."""

    async def accounts(self) -> list[Account]:
        """All of them, oldest first, credentials in clear."""

    async def account(self, account_id: AccountId) -> Account | None:
        """One of them, credentials in clear."""

    async def callback_tokens(self) -> dict[bytes, CallbackToken]:
        """Every callback token by its SHA-256; one whose time is over may still be among them."""

    async def callback_tokens_of(self, account_id: AccountId) -> dict[bytes, CallbackToken]:
        """Those of one account, oldest first."""

    async def rotate_callback_token(
        self,
        account_id: AccountId,
        token: str,
        *,
        now_ms: int,
        expires_ms: int,
        entry: AuditEntry,
        idempotency: Idempotency | None,
    ) -> Stored | Replay:
        """Add a token. The newest of the others ends at ``expires_ms`` at the latest, all older ones at once: two are
        live at most. Raises NotFound."""

    async def revoke_callback_token(self, account_id: AccountId, token_id: str, *, entry: AuditEntry) -> bool:
        """End the token of this id (see ``token_view``) at once. False when the account has none."""

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

    async def key(self, key_id: str) -> KeyView | None:
        """One key."""

    async def keys(self, *, team_id: str | None, position: str | None, limit: int) -> Page[KeyView]:
        """Newest first."""

    async def find_principal(self, key_hash: bytes) -> Principal | None:
        """Who has the key with this hash; None when nobody, or when it was revoked. Expiry is the caller's to check."""


class AuditStore(Protocol):
    """The audit."""

    async def add_audit(self, entry: AuditEntry, idempotency: Idempotency | None) -> Stored | Replay:
        """Add an entry."""

    async def audit(self, *, position: str | None, limit: int) -> Page[AuditView]:
        """Newest first."""
