"""What a circuit breaker can be, and what is shown of one."""

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from relay.domain.accounts import CodeClass
from relay.domain.ids import AccountId

BreakerState = Literal["closed", "open", "half_open", "slow_start"]
"""``closed``: all goes through; ``open``: nothing does, for a time; ``half_open``: one probe; ``slow_start``: ever more
at once, with every success."""

BREAKER_STATES: Final[tuple[BreakerState, ...]] = ("closed", "open", "half_open", "slow_start")

OpenReason = Literal[CodeClass, "not_sent"]
"""Why it opened: the class of a refusal of the whole account, or too many submissions that were not sent."""

WaitingFor = Literal["account"]
"""What a submission waits for besides its turn: an account that can take it."""


class AccountHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The circuit breaker of a provider account in the process that answers, and what waits for the account."""

    account_id: AccountId
    disabled: Annotated[bool, Meta(description="Nothing is sent over it, whatever its breaker says.")]
    state: BreakerState
    reason: Annotated[OpenReason | None, Meta(description="Why the breaker opened last; null while it is closed.")]
    since: Annotated[datetime, Meta(description="Since when it is in this state.")]
    next_probe_at: Annotated[datetime | None, Meta(description="When it is tried again; null unless it is open.")]
    waiting: Annotated[int, Meta(description="Submissions that are due on it, counted up to 10,000.")]
