"""Provider accounts: whose credentials a submission uses, within which limits."""

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec

from relay.domain.ids import AccountId
from relay.domain.times import instant, instant_or_none

PwdCase = Literal["lower", "upper"]
CodeClass = Literal["auth", "balance", "ip", "content", "recipient", "throttled", "busy", "duplicate", "other"]
CodeScope = Literal["account", "task"]

SANDBOX_URL: Final = "embedded:sandbox"
"""``base_url`` of the account that the sandbox inside this process serves."""


class CodeRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one refusal code of the provider means.

    ``code_class`` is the normalised reason; ``retryable`` submissions are tried again with the same taskId;
    ``scope`` says whether the account or only this task is refused. No code but "00" is documented: the table is per
    account, and an unlisted code is a definite refusal, not retryable.
    """

    code_class: Annotated[CodeClass, msgspec.Meta(description="Normalised reason.")] = msgspec.field(name="class")
    retryable: bool = False
    scope: CodeScope = "task"


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What a call to the provider proves itself with: the account's name there, and the MD5 of its password."""

    account: str
    password_md5: str

    def __repr__(self) -> str:
        """Without any of it."""
        return "Credentials()"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One account at the provider, with its credentials in clear: lives in memory only, never encoded.

    ``password_md5`` is 32 hex digits, sent in the case of ``pwd_case``; ``password_ref`` says where the password is
    read from (``file:…``, ``env:…``); ``fallback`` are the credentials before, good until ``fallback_until_ms``. Rates
    are per second, times in seconds. At ``low_balance`` (SMS) a prepaid account's teams are told. Extensions leased
    on the account have ``extension_digits``; None: any number. ``version`` counts changes from 1.
    """

    id: AccountId
    name: str
    base_url: str
    account: str
    password_md5: str
    pwd_case: PwdCase
    max_mobiles: int
    requests_per_s: float
    connections: int
    timeout_s: float
    pull_reports: bool
    pull_inbound: bool
    pull_interval_s: float
    callback_allow: tuple[str, ...]
    callback_proxies: int
    weight: int
    task_id_dedup: bool
    codes: dict[str, CodeRule]
    sandbox: bool
    disabled: bool
    created_ms: int
    low_balance: int | None = None
    extension_digits: int | None = None
    password_ref: str | None = None
    fallback: Credentials | None = None
    fallback_until_ms: int | None = None
    version: int = 1

    def __repr__(self) -> str:
        """Without the credentials."""
        return f"Account({self.id})"

    @property
    def credentials(self) -> Credentials:
        """What its calls use."""
        return Credentials(account=self.account, password_md5=self.password_md5)

    def with_credentials(self, credentials: Credentials) -> "Account":
        """The same account, whose calls use these."""
        return msgspec.structs.replace(self, account=credentials.account, password_md5=credentials.password_md5)

    def live_fallback(self, now_ms: int) -> Credentials | None:
        """The credentials before, while their time lasts."""
        until_ms = self.fallback_until_ms
        return self.fallback if until_ms is not None and now_ms < until_ms else None


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """A provider account as the platform team sees it: everything but its credentials."""

    id: AccountId
    name: str
    base_url: str
    account: str
    pwd_case: PwdCase
    max_mobiles: int
    requests_per_s: float
    connections: int
    timeout_s: float
    pull_reports: bool
    pull_inbound: bool
    pull_interval_s: float
    callback_allow: list[str]
    callback_proxies: int
    weight: int
    task_id_dedup: bool
    codes: dict[str, CodeRule]
    low_balance: int | None
    extension_digits: int | None
    sandbox: bool
    disabled: bool
    created_at: datetime
    password_ref: Annotated[str | None, msgspec.Meta(description="Where the password is read from.")]
    fallback_until: Annotated[
        datetime | None, msgspec.Meta(description="How long the credentials before the last rotation are a fall-back.")
    ]


class CallbackToken(msgspec.Struct, frozen=True, kw_only=True):
    """One live callback token, of which only the hash is known; dead from ``expires_ms`` on."""

    account_id: AccountId
    created_ms: int
    expires_ms: int | None = None

    def is_live(self, now_ms: int) -> bool:
        """Whether callbacks may still come by it."""
        return self.expires_ms is None or now_ms < self.expires_ms


class CallbackTokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A callback token as the platform team sees it. `id` is made of its hash and says nothing about the token."""

    id: Annotated[str, msgspec.Meta(examples=["9f86d081884c7d65"])]
    created_at: datetime
    expires_at: datetime | None


TOKEN_ID_BYTES: Final = 8
"""How much of a token's hash names it."""


def token_view(token_hash: bytes, token: CallbackToken) -> CallbackTokenView:
    """What may be shown of a token."""
    return CallbackTokenView(
        id=token_hash[:TOKEN_ID_BYTES].hex(),
        created_at=instant(token.created_ms),
        expires_at=instant_or_none(token.expires_ms),
    )


class BalanceView(msgspec.Struct, frozen=True, kw_only=True):
    """The last known balance of one account: a decimal number of SMS, null while it was never read. Of a prepaid
    account it is what is left; of a postpaid one it may be negative, and it never runs out. `days_left`: how long it
    lasts at the rate of the last seven days; null for a postpaid account, and while too little is known."""

    account_id: AccountId
    account_name: str
    balance: str | None
    prepaid: bool | None
    days_left: float | None
    as_of: datetime | None


def view_of(account: Account) -> AccountView:
    """What may be shown of an account."""
    return AccountView(
        id=account.id,
        name=account.name,
        base_url=account.base_url,
        account=account.account,
        pwd_case=account.pwd_case,
        max_mobiles=account.max_mobiles,
        requests_per_s=account.requests_per_s,
        connections=account.connections,
        timeout_s=account.timeout_s,
        pull_reports=account.pull_reports,
        pull_inbound=account.pull_inbound,
        pull_interval_s=account.pull_interval_s,
        callback_allow=list(account.callback_allow),
        callback_proxies=account.callback_proxies,
        weight=account.weight,
        task_id_dedup=account.task_id_dedup,
        codes=account.codes,
        low_balance=account.low_balance,
        extension_digits=account.extension_digits,
        sandbox=account.sandbox,
        disabled=account.disabled,
        created_at=instant(account.created_ms),
        password_ref=account.password_ref,
        fallback_until=instant_or_none(account.fallback_until_ms),
    )
