"""What the platform team may send of provider accounts."""

import ipaddress
from typing import Annotated

import msgspec
from msgspec import Meta

from relay.api.inputs import END, Name, refuse, wrong
from relay.domain.accounts import AccountView, CodeRule, PwdCase
from relay.services.requests import AccountRequest


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
    low_balance: Annotated[
        Annotated[int, Meta(ge=0, le=10**12)] | None,
        Meta(description="A prepaid account with fewer SMS left is told of by `balance.low`; null: never."),
    ] = None
    extension_digits: Annotated[
        Annotated[int, Meta(ge=1, le=20)] | None,
        Meta(description="How long extensions on this account are; null: of any length."),
    ] = None


class CallbackUrls(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses to register with the provider. They hold a secret."""

    report: str
    mo: str


class AccountCreated(AccountView, frozen=True, kw_only=True):
    """The account, and this once its callback addresses."""

    callback_urls: CallbackUrls


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


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
