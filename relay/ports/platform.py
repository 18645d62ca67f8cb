"""What the platform team administers, as the store keeps it; parts of ``relay.ports.Store``."""

from typing import Protocol

from relay.domain.accounts import Account, BalanceView
from relay.domain.audit import AuditEntry, AuditView
from relay.domain.ids import AccountId
from relay.domain.keyring import KeyRingStanding
from relay.domain.provider import Balance
from relay.domain.teams import KeyView, Principal, Team
from relay.ports.values import Idempotency, NewKey, Page, Replay, SealedBatch, SealedPosition, Stored


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


class KeyRingStore(Protocol):
    """The key ring that seals the secrets in the store."""

    async def admit_key_ring(self) -> None:
        """This process's ring is the one of the database, and each of its keys is known there from now on. Raises
        KeyRingError when it lacks a key that sealed something, or has another one under the same id."""

    async def follow_key_ring(self) -> bool:
        """Take the ring that the file holds now, once it was found to be the one of the database; whether it changed.
        Raises KeyRingError, and what was used before is used on."""

    async def key_ring(self) -> KeyRingStanding:
        """This process's keys, those that the database knows, and those of the running gateways."""

    async def tell_key_ring(self, holder: bytes, name: str) -> None:
        """This process (8 bytes) lives, and has its keys; to be told again within 30 seconds."""

    async def leave_key_ring(self, holder: bytes) -> None:
        """It ends."""

    async def activate_key(self, key_id: str, entry: AuditEntry) -> bool:
        """Remember that this key seals; False, and no entry, when that was known."""

    async def forget_key(self, key_id: str, entry: AuditEntry | None) -> None:
        """The database does not need this key any more."""

    async def count_sealed(self, position: SealedPosition | None, limit: int) -> SealedBatch:
        """Look at the next ``limit`` sealed values."""

    async def reseal(self, position: SealedPosition | None, limit: int) -> SealedBatch:
        """The same, and seal with the active key what another one had sealed. Two transactions: one looks beside the
        writer, one changes only what is still as it was."""


class RingFile(Protocol):
    """The file of the key ring. Every change is whole and on disk when it returns, or raises KeyRingError when the file
    cannot be written here."""

    def add(self) -> str:
        """A new key, which opens and does not seal; its id."""

    def activate(self, key_id: str) -> None:
        """This key seals."""

    def remove(self, key_id: str) -> None:
        """The key is not there any more."""
