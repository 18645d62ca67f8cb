"""What the platform team may send: accounts, teams, keys, numbers to erase."""

import ipaddress
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from relay.api.inputs import END, Extension, Instant, Number, moment_ms, refuse, wrong
from relay.domain.accounts import AccountView, CodeRule, PwdCase
from relay.domain.errors import FieldError
from relay.domain.ids import AccountId, TeamId
from relay.domain.numbers import read_mobile
from relay.domain.states import Category
from relay.domain.teams import KeyView, Mode, RecipientLimit, Scope
from relay.domain.times import LATEST_MS
from relay.services.requests import AccountRequest, KeyRequest, TeamRequest

Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"\S")]
_ID: Final = rf"[0-9a-f]{{32}}{END}"


class AccountInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider account. Exactly one of `password` and `password_md5`; neither is ever shown again."""

    name: Name
    base_url: Annotated[
        str,
        Meta(
            max_length=2048,
            pattern=rf"^(https?://[^\s?#@]+|embedded:sandbox){END}",
            description="The provider's address, without `/api/v1`; `embedded:sandbox` is the sandbox in this process.",
            examples=["https://sms.example.com"],
        ),
    ]
    account: Annotated[str, Meta(min_length=1, max_length=64, description="The name of the account at the provider.")]
    password: Annotated[
        Annotated[str, Meta(min_length=1, max_length=128)] | None, Meta(description="The interface password.")
    ] = None
    password_md5: Annotated[
        Annotated[str, Meta(pattern=rf"^[0-9a-fA-F]{{32}}{END}")] | None, Meta(description="Its MD5, 32 hex digits.")
    ] = None
    pwd_case: Annotated[PwdCase, Meta(description="In which case the MD5 is sent.")] = "lower"  # noqa: S105 - no password
    max_mobiles: Annotated[int, Meta(ge=1, le=3000, description="Numbers of one upstream call.")] = 3000
    requests_per_s: Annotated[float, Meta(gt=0, le=10_000, description="Upstream calls per second.")] = 10.0
    connections: Annotated[int, Meta(ge=1, le=1000, description="Upstream connections at once.")] = 20
    timeout_s: Annotated[float, Meta(ge=1, le=300, description="Seconds that one upstream call may take.")] = 30.0
    pull_reports: Annotated[bool, Meta(description="Whether reports are pulled.")] = True
    pull_inbound: Annotated[bool, Meta(description="Whether inbound messages are pulled.")] = True
    pull_interval_s: Annotated[
        float, Meta(ge=1, le=86_400, description="Seconds between two pulls of reports; three times it for `mo`.")
    ] = 10.0
    callback_allow: Annotated[
        list[Annotated[str, Meta(max_length=64, examples=["203.0.113.0/24"])]],
        Meta(max_length=100, description="Addresses and networks that callbacks may come from; empty: all."),
    ] = []
    callback_proxies: Annotated[
        int, Meta(ge=0, le=10, description="Trusted proxies in front of the gateway, for X-Forwarded-For.")
    ] = 0
    weight: Annotated[int, Meta(ge=0, le=1000, description="Share of the traffic among accounts.")] = 1
    task_id_dedup: Annotated[
        bool, Meta(description="Whether the provider drops a second submission with the same taskId.")
    ] = False
    codes: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=32, pattern=rf"^(?!0{{1,2}}{END})")], CodeRule],
        Meta(max_length=500, description="What the provider's refusal codes mean; `00` is success and no refusal."),
    ] = {}


class TeamInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A team."""

    name: Name
    signature: Annotated[
        Annotated[str, Meta(pattern=rf"^【[^【】]{{1,30}}】{END}", examples=["【示例】"])] | None,
        Meta(description="Put in front of every text, brackets included."),
    ] = None
    accounts: Annotated[
        list[Annotated[str, Meta(pattern=rf"^acct_{_ID}")]],
        Meta(max_length=100, description="Accounts in order of preference; empty: all."),
    ] = []
    extensions: Annotated[list[Extension], Meta(max_length=1000, description="Leased to this team alone.")] = []
    quota_units_per_day: Annotated[
        Annotated[int, Meta(ge=0, le=10**12)] | None, Meta(description="Segments x numbers of one day; null: no limit.")
    ] = None
    requests_per_s: Annotated[
        Annotated[float, Meta(gt=0, le=10_000)] | None, Meta(description="API calls per second; null: no limit.")
    ] = None
    recipient_limits: Annotated[
        dict[Category, RecipientLimit], Meta(description="Messages to one number, per category.")
    ] = {}


class KeyInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An API key. The scope `admin` makes a platform key: it stands alone and without a team."""

    team_id: Annotated[str, Meta(pattern=rf"^team_{_ID}")] | None = None
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=16)]
    mode: Annotated[Mode, Meta(description="What a `test` key sends is served by the sandbox account.")] = "live"
    expires_at: Annotated[Instant | None, Meta(description="Null: never.")] = None
    name: Name | None = None


class ErasureInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number that is to be erased wherever it stands."""

    number: Number


class CallbackUrls(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses to register with the provider. They hold a secret."""

    report: str
    mo: str


class AccountCreated(AccountView, frozen=True, kw_only=True):
    """The account, and this once its callback addresses."""

    callback_urls: CallbackUrls


class KeyCreated(KeyView, frozen=True, kw_only=True):
    """The key, and this once its secret."""

    secret: str


def account_request(wanted: AccountInput) -> AccountRequest:
    """The request in a body. Raises BodyInvalid for a missing or double password and for addresses that are none."""
    errors = [
        wrong(f"/callback_allow/{index}", "Expected an IP address or a network such as 203.0.113.0/24.")
        for index, text in enumerate(wanted.callback_allow)
        if not _is_network(text)
    ]
    if (wanted.password is None) == (wanted.password_md5 is None):
        errors.append(wrong("/password", "Exactly one of password and password_md5 is required."))
    if errors:
        raise refuse(*errors)
    return msgspec.convert(wanted, AccountRequest, from_attributes=True)


def team_request(wanted: TeamInput) -> TeamRequest:
    """The request in a body. Raises BodyInvalid for doubles and for limits below 1."""
    errors = _repeated("accounts", wanted.accounts) + _repeated("extensions", wanted.extensions)
    for category, limit in wanted.recipient_limits.items():
        for name in limit.__struct_fields__:
            value = getattr(limit, name)
            if value is not None and not 1 <= value <= 1_000_000:
                errors.append(wrong(f"/recipient_limits/{category}/{name}", "Expected int from 1 to 1000000."))
    if errors:
        raise refuse(*errors)
    return TeamRequest(
        name=wanted.name,
        signature=wanted.signature,
        accounts=[AccountId(account) for account in wanted.accounts],
        extensions=wanted.extensions,
        quota_units_per_day=wanted.quota_units_per_day,
        requests_per_s=wanted.requests_per_s,
        recipient_limits=wanted.recipient_limits,
    )


def key_request(wanted: KeyInput, now_ms: int) -> KeyRequest:
    """The request in a body. Raises BodyInvalid when scopes and team do not fit, or for an expiry that has passed."""
    expires_ms = moment_ms(wanted.expires_at)
    errors = _repeated("scopes", wanted.scopes)
    if "admin" in wanted.scopes and len(set(wanted.scopes)) > 1:
        errors.append(wrong("/scopes", "The scope admin stands alone."))
    if "admin" in wanted.scopes and wanted.team_id is not None:
        errors.append(wrong("/team_id", "A key with the scope admin belongs to no team."))
    if "admin" not in wanted.scopes and wanted.team_id is None:
        errors.append(wrong("/team_id", "This field is required for the scopes of a team."))
    if expires_ms is not None and not now_ms < expires_ms <= LATEST_MS:
        errors.append(wrong("/expires_at", "This time must be later than now."))
    if errors:
        raise refuse(*errors)
    return KeyRequest(
        team_id=None if wanted.team_id is None else TeamId(wanted.team_id),
        scopes=wanted.scopes,
        mode=wanted.mode,
        expires_ms=expires_ms,
        name=wanted.name,
    )


def erasure_number(wanted: ErasureInput) -> int:
    """The number in a body. Raises BodyInvalid when it is none."""
    mobile = read_mobile(wanted.number)
    if mobile is None:
        raise refuse(wrong("/number", "This is not a mobile number."))
    return mobile


def _repeated(field: str, values: list[str] | list[Scope]) -> list[FieldError]:
    seen: set[str] = set()
    errors: list[FieldError] = []
    for index, value in enumerate(values):
        if value in seen:
            errors.append(wrong(f"/{field}/{index}", "This is in the list already."))
        seen.add(value)
    return errors


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
