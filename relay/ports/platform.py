"""What the platform team administers, as the store keeps it; parts of ``relay.ports.Store``."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from relay.domain.accounts import Account, BalanceView, CallbackToken
from relay.domain.audit import AuditEntry, AuditFilter, AuditView
from relay.domain.extensions import ExtensionView, Held
from relay.domain.ids import AccountId, EndpointId, KeyId, TeamId
from relay.domain.keys import KeyView
from relay.domain.provider import Balance
from relay.domain.quotas import QuotaDay
from relay.domain.suppressions import Suppression
from relay.domain.teams import Principal, Team
from relay.ports.values import Idempotency, NewKey, Page, Replay, Stored, StoredEffects


class AccountStore(Protocol):
    """Provider accounts and their callback tokens."""

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


class BalanceStore(Protocol):
    """Balances of provider accounts."""

    async def keep_balance(self, account: Account, balance: Balance, now_ms: int) -> StoredEffects:
        """Remember it: the last one, and one in ten minutes for eight days. When a prepaid account falls to its
        ``low_balance``, every team that may use it gets ``balance.low``, once until it was above it again."""

    async def balances(self, account_ids: tuple[AccountId, ...]) -> list[BalanceView]:
        """Last known balances of these accounts, in this order."""

    async def all_balances(self) -> list[BalanceView]:
        """Last known balances of all accounts, oldest account first."""


class TeamStore(Protocol):
    """Teams. A team that was deleted is not there any more."""

    async def create_team(self, team: Team, *, entry: AuditEntry, idempotency: Idempotency | None) -> Stored | Replay:
        """Store a team. Raises AlreadyExists for a taken name or a taken extension."""

    async def update_team(self, before: Team, after: Team, *, day: QuotaDay, entry: AuditEntry) -> bool:
        """Store ``after`` with the next version, its leases changed as its extensions and accounts are. With its first
        quota, what was accepted since ``day`` began counts. False: it is not ``before`` any more, and nothing was done.
        Raises AlreadyExists as above."""

    async def delete_team(self, team: Team, *, now_ms: int, entry: AuditEntry) -> list[EndpointId] | None:
        """Delete it as it is in ``team``: its keys are revoked, its extensions free, its endpoints deleted (they are
        answered); its messages stay for as long as those of others. None: it is not ``team`` any more, and nothing was
        done. Raises InUse while any of its messages is not final."""

    async def team(self, team_id: str) -> Team | None:
        """One team."""

    async def teams(self, *, position: str | None, limit: int) -> Page[Team]:
        """Newest first."""

    async def units_used(self, team_id: TeamId, day: QuotaDay, *, counted: bool) -> int:
        """Units of that day: as counted, for a team with a quota, or else added up of all its messages."""


class ExtensionStore(Protocol):
    """Extensions that teams have leased."""

    async def lease_extension(
        self, view: ExtensionView, *, entry: AuditEntry, idempotency: Idempotency | None
    ) -> Stored | Replay:
        """Lease it on these accounts, too. Raises AlreadyExists when somebody has leased it on one of them."""

    async def release_extension(
        self, team_id: TeamId, extension: str, account_id: AccountId | None, *, entry: AuditEntry
    ) -> bool:
        """Give it back on this account, or wherever the team has it. False: it has not."""

    async def extensions(
        self,
        *,
        team_id: str | None,
        account_id: AccountId | None,
        extension: str | None,
        position: str | None,
        limit: int,
    ) -> Page[ExtensionView]:
        """Those of this team, that hold on this account, of these digits; None: of any. Lowest first, as texts."""

    async def taken_extensions(self, digits: int, held: Held) -> set[str]:
        """Those of so many digits that are leased on any of these accounts."""


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


class SuppressionStore(Protocol):
    """Opt-outs: at most one for a team and a number."""

    async def add_suppression(
        self, suppression: Suppression, *, entry: AuditEntry, idempotency: Idempotency | None
    ) -> Stored | Replay:
        """Add one. Raises AlreadyExists when the number has opted out before; then nothing is stored."""

    async def add_suppressions(
        self,
        suppressions: Sequence[Suppression],
        *,
        entry: AuditEntry,
        idempotency: Idempotency | None,
        render: Callable[[int], bytes],
    ) -> int | Replay:
        """Add those of one team that are not there yet; how many. No two have the same number. ``render`` makes the
        answer that is kept with ``idempotency`` out of that count, and may be called several times; the entry gets the
        count, as ``added``."""

    async def remove_suppression(self, suppression_id: str, *, entry: AuditEntry) -> bool:
        """False when there is none."""

    async def suppression(self, suppression_id: str) -> Suppression | None:
        """One, of whichever team."""

    async def suppression_of(self, team_id: TeamId, mobile: int) -> Suppression | None:
        """Whether and how a number has opted out of a team's marketing."""

    async def suppressions(
        self, *, team_id: str | None, mobile: int | None, position: str | None, limit: int
    ) -> Page[Suppression]:
        """Newest first; of one team, of one number, of both, or all."""
