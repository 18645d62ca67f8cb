"""What the platform team may send of teams."""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from relay.api.inputs import END, Extension, Name, refuse, repeated, wrong
from relay.domain.errors import FieldError
from relay.domain.ids import AccountId
from relay.domain.states import Category
from relay.domain.teams import AccountPolicy, RecipientLimit
from relay.services.requests import LimitPatch, TeamPatch, TeamRequest

_ID: Final = rf"[0-9a-f]{{32}}{END}"
_MOST_PER_NUMBER: Final = 1_000_000
_LIMITS_ARE: Final = (
    "Messages to one number, per category. A team that says nothing of `otp` has 1 a minute, 5 an hour, 10 a day; what "
    "it says counts as a whole, and `{}` is no limit."
)
_LIMITS_CHANGE: Final = (
    "Merged with the limits that hold, also by default. Null for a category takes back what the team said of it; null "
    "for each of its three limits is no limit."
)

AccountRef = Annotated[str, Meta(pattern=rf"^acct_{_ID}")]
_Signature = Annotated[
    str,
    Meta(
        pattern=rf"^【[^【】\s]([^【】\r\n]{{0,28}}[^【】\s])?】{END}",
        examples=["【示例】"],
        extra={"expected": "1 to 30 characters in full-width brackets, like 【示例】"},
    ),
]
_SIGNATURE: Final = Meta(
    description="Brackets included. Put in front of every text that does not begin with it; a text with another "
    "`【…】` at its beginning or its end is refused, unless there is no letter in it, as in a code or a price. Null: "
    "the team writes its own."
)
_Accounts = Annotated[
    list[AccountRef], Meta(max_length=100, description="Accounts in order of preference; empty: all.")
]
_Extensions = Annotated[
    list[Extension],
    Meta(
        max_length=1000,
        description="Leased to this team alone, on the accounts that it uses; as wide as these say.",
    ),
]
_Units = Annotated[int, Meta(ge=0, le=10**12)]
_UNITS: Final = Meta(description="Segments x numbers of one day; null: no limit.")
_PerSecond = Annotated[float, Meta(gt=0, le=10_000)]
_PER_SECOND: Final = Meta(description="API calls per second, over all replicas; null: no limit.")
_Policy = Annotated[
    AccountPolicy, Meta(description="`order`: the first account that can take it; `weight`: by weights.")
]
_Window = Annotated[
    int, Meta(ge=0, le=86_400, description="Seconds in which the same text does not go to the same number again.")
]


class TeamInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A team."""

    name: Name
    signature: Annotated[_Signature | None, _SIGNATURE] = None
    accounts: _Accounts = []
    extensions: _Extensions = []
    quota_units_per_day: Annotated[_Units | None, _UNITS] = None
    requests_per_s: Annotated[_PerSecond | None, _PER_SECOND] = None
    recipient_limits: Annotated[dict[Category, RecipientLimit], Meta(description=_LIMITS_ARE)] = {}
    account_policy: _Policy = "order"
    dedupe_window_s: _Window = 0


class TeamPatchInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes of a team (RFC 7396): what is left out stays, lists are replaced as a whole."""

    name: Name | UnsetType = UNSET
    signature: Annotated[_Signature | UnsetType | None, _SIGNATURE] = UNSET
    accounts: _Accounts | UnsetType = UNSET
    extensions: _Extensions | UnsetType = UNSET
    quota_units_per_day: Annotated[_Units | UnsetType | None, _UNITS] = UNSET
    requests_per_s: Annotated[_PerSecond | UnsetType | None, _PER_SECOND] = UNSET
    recipient_limits: Annotated[dict[Category, LimitPatch | None] | UnsetType, Meta(description=_LIMITS_CHANGE)] = UNSET
    account_policy: _Policy | UnsetType = UNSET
    dedupe_window_s: _Window | UnsetType = UNSET


def team_request(wanted: TeamInput) -> TeamRequest:
    """The request in a body. Raises BodyInvalid for doubles and for limits below 1."""
    _check(wanted.accounts, wanted.extensions, wanted.recipient_limits)
    return TeamRequest(
        name=wanted.name,
        signature=wanted.signature,
        accounts=[AccountId(account) for account in wanted.accounts],
        extensions=wanted.extensions,
        quota_units_per_day=wanted.quota_units_per_day,
        requests_per_s=wanted.requests_per_s,
        recipient_limits=wanted.recipient_limits,
        account_policy=wanted.account_policy,
        dedupe_window_s=wanted.dedupe_window_s,
    )


def team_patch(wanted: TeamPatchInput) -> TeamPatch:
    """The change in a body. Raises BodyInvalid as ``team_request``."""
    accounts, extensions, limits = wanted.accounts, wanted.extensions, wanted.recipient_limits
    _check(
        [] if accounts is UNSET else accounts,
        [] if extensions is UNSET else extensions,
        {} if limits is UNSET else limits,
    )
    return TeamPatch(
        name=wanted.name,
        signature=wanted.signature,
        accounts=UNSET if accounts is UNSET else [AccountId(account) for account in accounts],
        extensions=extensions,
        quota_units_per_day=wanted.quota_units_per_day,
        requests_per_s=wanted.requests_per_s,
        recipient_limits=limits,
        account_policy=wanted.account_policy,
        dedupe_window_s=wanted.dedupe_window_s,
    )


def _check(
    accounts: list[str], extensions: list[str], limits: Mapping[Category, RecipientLimit | LimitPatch | None]
) -> None:
    errors: list[FieldError] = repeated("accounts", accounts) + repeated("extensions", extensions)
    for category, limit in limits.items():
        for name in () if limit is None else limit.__struct_fields__:
            value = getattr(limit, name)
            if isinstance(value, int) and not 1 <= value <= _MOST_PER_NUMBER:
                errors.append(
                    wrong(f"/recipient_limits/{category}/{name}", f"Expected int from 1 to {_MOST_PER_NUMBER}.")
                )
    if errors:
        raise refuse(*errors)
