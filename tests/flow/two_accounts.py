"""A world whose team has two accounts, for tests of what one of them cannot send."""

import contextlib
import json
import sqlite3
from typing import Any

from relay.provider.sandbox import Sandbox, SandboxSettings
from relay.services.breaker import FIRST_S, JITTER
from tests.flow.clocks import MovableClock
from tests.flow.conftest import OpenWorld
from tests.flow.world import THROTTLED, Limits, World
from tests.loopback import free_port

MOBILE = "13800131234"
OTHERS = [f"1380013{number}" for number in range(2000, 2010)]
NO_MONEY, NO_MONEY_FOR_NOW = "03", "13"
CODES = {
    "07": {"class": "duplicate"},
    NO_MONEY: {"class": "balance", "scope": "account"},
    NO_MONEY_FOR_NOW: {"class": "balance", "retryable": True, "scope": "account"},
    THROTTLED: {"class": "throttled", "retryable": True},
}
COOLED_S = FIRST_S * (1 + JITTER)


def silent() -> Sandbox:
    """A provider whose own reports come in ten minutes."""
    return Sandbox(SandboxSettings(report_delay_ms=600_000))


class Two:
    """A team with two accounts, "a" before "b", at one provider."""

    def __init__(self, world: World, clock: MovableClock) -> None:
        self.world = world
        self.clock = clock
        self.ids: dict[str, str] = {}
        self.names: dict[str, str] = {}

    async def start(self, *, dead: bool = False, only: str = "ab", policy: str = "order") -> None:
        """``dead``: nobody listens where "a" is."""
        for name in "ab":
            made = await self.world.add_account(name, name, Limits())
            self.ids[name], self.names[made["id"]] = made["id"], name
            await self.change(name, codes=CODES)
        if dead:
            await self.change("a", base_url=f"http://127.0.0.1:{free_port()}")
        _, self.api = await self.world.add_team(
            "shop", accounts=[self.ids[name] for name in only], account_policy=policy
        )
        self.world.api = self.api

    async def change(self, name: str, **changes: object) -> None:
        """The account is another one now, and the gateway has seen it. Nobody told it so: its version is the same."""
        with contextlib.closing(sqlite3.connect(self.world.directory / "relay.db")) as connection, connection:
            for what, value in changes.items():
                if what in ("base_url", "disabled"):
                    sql = f"UPDATE accounts SET {what} = ? WHERE name = ?"  # noqa: S608 - one of two words
                    connection.execute(sql, (value, name))
                else:
                    sql = "UPDATE accounts SET settings = json_set(settings, ?, json(?)) WHERE name = ?"
                    connection.execute(sql, (f"$.{what}", json.dumps(value), name))
        await self.world.gateway.accounts.refresh()

    async def send(self, mobile: str = MOBILE, **more: Any) -> dict[str, Any]:
        return await self.world.send(mobile, **more)

    def refuse(self, name: str, code: str, times: int | None = 1) -> None:
        """The account's next sends are refused."""
        self.world.fault(call="send", account=name, refuse={"code": code, "message": "no"}, times=times)

    async def state(self, name: str) -> str:
        answer = await self.world.admin.get(f"/v1/admin/accounts/{self.ids[name]}/health")
        assert answer.status_code == 200, answer.text
        state: str = answer.json()["state"]
        return state

    async def when(self, message: dict[str, Any], status: str) -> dict[str, Any]:
        return await self.world.message_when(message["id"], status)

    def account_of(self, message: dict[str, Any]) -> str:
        (submission,) = message["submissions"]
        return self.names[submission["account_id"]]

    @property
    def booked(self) -> list[tuple[str, str]]:
        """What the provider booked: for which account, to whom."""
        return [(record.account, record.mobiles[0]) for record in self.world.sends]


@contextlib.asynccontextmanager
async def two(worlds: OpenWorld, **how: Any) -> Any:
    """A world with two accounts."""
    clock = MovableClock()
    async with worlds(sandbox=silent(), clock=clock, limits=Limits(timeout_s=2.0)) as world:
        made = Two(world, clock)
        await made.start(**how)
        yield made
