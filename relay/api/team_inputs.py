"""What the platform team may send of teams."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from relay.api.inputs import END, Extension, Name, refuse, repeated, wrong
from relay.domain.ids import AccountId
from relay.domain.states import Category
from relay.domain.teams import AccountPolicy, RecipientLimit
from relay.services.requests import TeamRequest

_ID: Final = rf"[0-9a-f]{{32}}{END}"
_LIMITS: Final = (
    "Messages to one number, per category. A team that says nothing of `otp` has 1 a minute, 5 an hour, 10 a day; what "
    "it says counts as a whole, and `{}` is no limit."
)


class TeamInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A team."""

    name: Name
    signature: Annotated[
        Annotated[str, Meta(pattern=rf"^【[^【】\s]([^【】\r\n]{{0,28}}[^【】\s])?】{END}", examples=["【示例】"])]
        | None,
        Meta(
            description="Brackets included. Put in front of every text that does not begin with it; a text with "
            "another `【…】` at its beginning or its end is refused. Null: the team writes its own."
        ),
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
    recipient_limits: Annotated[dict[Category, RecipientLimit], Meta(description=_LIMITS)] = {}
    account_policy: Annotated[
        AccountPolicy,
        Meta(description="`order`: the first account that can take it; `weight`: by weights."),
    ] = "order"
    dedupe_window_s: Annotated[
        int, Meta(ge=0, le=86_400, description="Seconds in which the same text does not go to the same number again.")
    ] = 0


def team_request(wanted: TeamInput) -> TeamRequest:
    """The request in a body. Raises BodyInvalid for doubles and for limits below 1."""
    errors = repeated("accounts", wanted.accounts) + repeated("extensions", wanted.extensions)
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
        account_policy=wanted.account_policy,
        dedupe_window_s=wanted.dedupe_window_s,
    )
