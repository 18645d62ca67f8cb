"""A clock that stands still until it is moved, and builders that several files of services and workers share."""

import asyncio
from collections.abc import Callable

from relay.domain.accounts import Account
from relay.domain.ids import AccountId, KeyId, TeamId
from relay.domain.teams import TEAM_SCOPES, Mode, Principal, Team
from relay.services.membership import Slots


class StillClock:
    """``ports.Clock``; ``sleep`` takes no time but is remembered, and lets others run."""

    def __init__(self) -> None:
        self.ms = 1_795_000_000_000
        self.slept: list[float] = []

    def now_ms(self) -> int:
        return self.ms

    def monotonic_s(self) -> float:
        return self.ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.move(seconds)
        await asyncio.sleep(0)

    def move(self, seconds: float) -> None:
        """So many seconds have passed."""
        self.ms += round(seconds * 1000)


class FixedEntropy:
    """``ports.Entropy`` without chance: ids count up, jitter is a half."""

    def __init__(self) -> None:
        self.made = 0

    def new_id(self, prefix: str) -> str:
        self.made += 1
        return f"{prefix}{self.made:032x}"

    def token(self, size_bytes: int) -> bytes:
        self.made += 1
        return self.made.to_bytes(size_bytes)

    def jitter(self) -> float:
        return 0.5


class Among:
    """``Members`` of one replica among others, as the test wants it."""

    shared = True

    def __init__(self) -> None:
        self.replicas = 1
        self.leading = True
        self.owning = True
        self.part: Callable[[int], int] = lambda limit: limit
        self.since_s = float("-inf")

    def claim(self) -> bytes:
        return b"replica1 a claim"

    def owns(self, claim: bytes) -> bool:
        return self.owning

    def leads(self) -> bool:
        return self.leading

    def slots(self, key: str, connections: int, starts: int) -> Slots:
        return Slots(self.part(connections), self.part(starts))

    def share(self, key: str, limit: int) -> int:
        return self.part(limit)

    def steady_since_s(self) -> float:
        return self.since_s


def account_of(
    number: int = 1, *, sandbox: bool = False, disabled: bool = False, task_id_dedup: bool = False
) -> Account:
    """A provider account; the number makes its id and its name."""
    return Account(
        id=AccountId(f"acct_{number:032x}"),
        name=f"account {number}",
        base_url="http://provider.test",
        account="name",
        password_md5="0" * 32,
        pwd_case="lower",
        max_mobiles=3000,
        requests_per_s=10.0,
        connections=2,
        timeout_s=30.0,
        pull_reports=True,
        pull_inbound=True,
        pull_interval_s=30.0,
        callback_allow=(),
        callback_proxies=0,
        weight=1,
        task_id_dedup=task_id_dedup,
        codes={},
        sandbox=sandbox,
        disabled=disabled,
        created_ms=0,
    )


def team_of(*, accounts: tuple[AccountId, ...] = (), requests_per_s: float | None = None) -> Team:
    """A team."""
    return Team(
        id=TeamId("team_" + "1" * 32),
        name="orders",
        signature=None,
        accounts=accounts,
        extensions=(),
        quota_units_per_day=None,
        requests_per_s=requests_per_s,
        recipient_limits={},
        created_ms=0,
    )


def principal_of(team: Team | None, mode: Mode = "live") -> Principal:
    """Somebody with a key of this team."""
    return Principal(
        key_id=KeyId("key_" + "1" * 32), team=team, scopes=frozenset(TEAM_SCOPES), mode=mode, expires_ms=None
    )
