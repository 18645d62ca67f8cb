"""What the platform team may send of provider accounts."""

import ipaddress
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from relay.api.inputs import END, Name, Number, refuse, wrong
from relay.domain.accounts import AccountView, CodeRule, PwdCase
from relay.domain.errors import FieldError
from relay.domain.numbers import read_mobile
from relay.services.admin.account_requests import AccountChanges, CodeChange, DedupCheck, NewCredentials
from relay.services.requests import AccountRequest

BaseUrl = Annotated[
    str,
    Meta(
        max_length=2048,
        pattern=rf"^(https?://[^\s?#@]+|embedded:sandbox){END}",
        description="The provider's address, without `/api/v1`; `embedded:sandbox` is the sandbox in this process.",
        examples=["https://sms.example.com"],
        extra={"expected": "an address that begins with https:// or http://, without a query"},
    ),
]
ProviderAccount = Annotated[str, Meta(min_length=1, max_length=64, description="The account's name at the provider.")]
Password = Annotated[
    Annotated[str, Meta(min_length=1, max_length=128)] | None, Meta(description="The interface password.")
]
PasswordMd5 = Annotated[
    Annotated[str, Meta(pattern=rf"^[0-9a-fA-F]{{32}}{END}")] | None, Meta(description="Its MD5, 32 hex digits.")
]
PasswordRef = Annotated[
    Annotated[str, Meta(pattern=rf"^(file:/\S{{1,1024}}|env:[A-Za-z_][A-Za-z0-9_]{{0,127}}){END}")] | None,
    Meta(
        description="Where the gateway reads the password, again whenever it changes: `file:` with an absolute path, "
        "or `env:` with a variable's name.",
        examples=["file:/run/secrets/sms-password"],
    ),
]
MaxMobiles = Annotated[int, Meta(ge=1, le=3000, description="Numbers of one upstream call.")]
RequestsPerS = Annotated[float, Meta(gt=0, le=10_000, description="Upstream calls per second.")]
Connections = Annotated[int, Meta(ge=1, le=1000, description="Upstream connections at once.")]
TimeoutS = Annotated[float, Meta(ge=1, le=300, description="Seconds that one upstream call may take.")]
PullReports = Annotated[bool, Meta(description="Whether reports are pulled.")]
PullInbound = Annotated[bool, Meta(description="Whether inbound messages are pulled.")]
PullIntervalS = Annotated[
    float, Meta(ge=1, le=86_400, description="Seconds between two pulls of reports; three times it for `mo`.")
]
CallbackAllow = Annotated[
    list[Annotated[str, Meta(max_length=64, examples=["203.0.113.0/24"])]],
    Meta(max_length=100, description="Addresses and networks that callbacks may come from; empty: all."),
]
CallbackProxies = Annotated[
    int,
    Meta(
        ge=0,
        le=10,
        description="Trusted proxies in front of the gateway, each of which appends to X-Forwarded-For: the client is "
        "so many entries from its right end. 0: the other end of the connection.",
    ),
]
Weight = Annotated[int, Meta(ge=0, le=1000, description="Share of the traffic among accounts.")]
TaskIdDedup = Annotated[bool, Meta(description="Whether the provider drops a second submission with the same taskId.")]
Code = Annotated[str, Meta(min_length=1, max_length=32, pattern=rf"^(?!0{{1,2}}{END})")]
LowBalance = Annotated[
    Annotated[int, Meta(ge=0, le=10**12)] | None,
    Meta(description="A prepaid account with so many SMS left, or fewer, is told of by `balance.low`; null: never."),
]
ExtensionDigits = Annotated[
    Annotated[int, Meta(ge=1, le=20)] | None,
    Meta(description="How long extensions on this account are; null: of any length."),
]
_MOST_CODES: Final = 500


class AccountInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider account. Exactly one of `password`, `password_md5` and `password_ref`; the first two are never shown
    again."""

    name: Name
    base_url: BaseUrl
    account: ProviderAccount
    password: Password = None
    password_md5: PasswordMd5 = None
    password_ref: PasswordRef = None
    pwd_case: Annotated[PwdCase, Meta(description="In which case the MD5 is sent.")] = "lower"  # noqa: S105 - no password
    max_mobiles: MaxMobiles = 3000
    requests_per_s: RequestsPerS = 10.0
    connections: Connections = 20
    timeout_s: TimeoutS = 30.0
    pull_reports: PullReports = True
    pull_inbound: PullInbound = True
    pull_interval_s: PullIntervalS = 10.0
    callback_allow: CallbackAllow = []
    callback_proxies: CallbackProxies = 0
    weight: Weight = 1
    task_id_dedup: TaskIdDedup = False
    codes: Annotated[
        dict[Code, CodeRule],
        Meta(
            max_length=_MOST_CODES,
            description="What the provider's refusal codes mean; `00` is success and no refusal.",
        ),
    ] = {}
    low_balance: LowBalance = None
    extension_digits: ExtensionDigits = None


class AccountPatchInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes of an account (RFC 7396): what is left out stays. Credentials are changed by `rotate-credentials`.
    Within seconds every replica does as it says."""

    name: Name | UnsetType = UNSET
    base_url: BaseUrl | UnsetType = UNSET
    pwd_case: PwdCase | UnsetType = UNSET
    max_mobiles: MaxMobiles | UnsetType = UNSET
    requests_per_s: RequestsPerS | UnsetType = UNSET
    connections: Connections | UnsetType = UNSET
    timeout_s: TimeoutS | UnsetType = UNSET
    pull_reports: PullReports | UnsetType = UNSET
    pull_inbound: PullInbound | UnsetType = UNSET
    pull_interval_s: PullIntervalS | UnsetType = UNSET
    callback_allow: CallbackAllow | UnsetType = UNSET
    callback_proxies: CallbackProxies | UnsetType = UNSET
    weight: Weight | UnsetType = UNSET
    task_id_dedup: TaskIdDedup | UnsetType = UNSET
    codes: Annotated[
        Annotated[dict[Code, CodeChange | None], Meta(max_length=_MOST_CODES)] | UnsetType | None,
        Meta(description="Merged into the table: null takes a code's rule away, null for all of it every rule."),
    ] = UNSET
    low_balance: LowBalance | UnsetType = UNSET
    extension_digits: ExtensionDigits | UnsetType = UNSET
    disabled: Annotated[
        bool | UnsetType,
        Meta(
            description="A disabled account sends and pulls nothing; what waits for it goes to the team's other "
            "accounts, or waits on. Callbacks are taken."
        ),
    ] = UNSET


class CredentialsInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Other credentials. Exactly one of `password`, `password_md5` and `password_ref`."""

    password: Password = None
    password_md5: PasswordMd5 = None
    password_ref: PasswordRef = None
    account: Annotated[ProviderAccount | None, Meta(description="Another name at the provider; null: as it is.")] = None
    fallback_s: Annotated[
        int,
        Meta(
            ge=0,
            le=604_800,
            description="Seconds in which the credentials before are used where the new ones are refused.",
        ),
    ] = 3600


class TokenRotationInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a callback token is replaced."""

    overlap_s: Annotated[
        int, Meta(ge=0, le=2_592_000, description="Seconds in which callbacks by the token before are still taken.")
    ] = 86_400


class DedupInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One text, sent twice with one taskId: it costs up to two SMS."""

    number: Number
    text: Annotated[
        str, Meta(min_length=1, max_length=500, description="With the signature that the provider wants.")
    ] = "【Relay】taskId test 测试"


class ProbeInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to ask besides the balance."""

    check_dedup: Annotated[
        DedupInput | None, Meta(description="Whether the provider drops a second send with the same taskId.")
    ] = None


class CallbackUrls(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses to register with the provider. They hold a secret."""

    report: str
    mo: str


class AccountCreated(AccountView, frozen=True, kw_only=True):
    """The account, and this once its callback addresses."""

    callback_urls: CallbackUrls


class CallbackUrlsRotated(msgspec.Struct, frozen=True, kw_only=True):
    """The new callback addresses, shown this once, and until when those before are good at the latest."""

    callback_urls: CallbackUrls
    others_expire_at: datetime


def account_request(wanted: AccountInput) -> AccountRequest:
    """The request in a body. Raises BodyInvalid for a missing or double password and for addresses that are none."""
    errors = _address_errors(wanted.callback_allow) + _password_errors(wanted)
    if errors:
        raise refuse(*errors)
    return msgspec.convert(wanted, AccountRequest, from_attributes=True)


def account_changes(wanted: AccountPatchInput) -> AccountChanges:
    """The changes in a body. Raises BodyInvalid for addresses that are none."""
    if isinstance(wanted.callback_allow, list) and (errors := _address_errors(wanted.callback_allow)):
        raise refuse(*errors)
    return AccountChanges(**{name: getattr(wanted, name) for name in AccountChanges.__struct_fields__})


def new_credentials(wanted: CredentialsInput) -> NewCredentials:
    """The credentials in a body. Raises BodyInvalid for a missing or double password."""
    if errors := _password_errors(wanted):
        raise refuse(*errors)
    return msgspec.convert(wanted, NewCredentials, from_attributes=True)


def dedup_check(wanted: DedupInput | None) -> DedupCheck | None:
    """What is to be sent twice. Raises BodyInvalid for a number that is none."""
    if wanted is None:
        return None
    mobile = read_mobile(wanted.number)
    if mobile is None:
        raise refuse(wrong("/check_dedup/number", "Expected a mainland mobile number."))
    return DedupCheck(mobile=mobile, text=wanted.text)


def _password_errors(wanted: AccountInput | CredentialsInput) -> list[FieldError]:
    given = (wanted.password, wanted.password_md5, wanted.password_ref)
    if sum(one is not None for one in given) == 1:
        return []
    return [wrong("/password", "Exactly one of password, password_md5 and password_ref is required.")]


def _address_errors(texts: list[str]) -> list[FieldError]:
    return [
        wrong(f"/callback_allow/{index}", "Expected an IP address or a network such as 203.0.113.0/24.")
        for index, text in enumerate(texts)
        if not _is_network(text)
    ]


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
