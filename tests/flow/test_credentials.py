"""Credentials change while messages are sent: none fails, none is sent twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import md5
from itertools import count
from pathlib import Path
from typing import Any

from tests.flow.clocks import MovableClock
from tests.flow.conftest import Log, OpenWorld
from tests.flow.opening import joined
from tests.flow.world import PASSWORD, Limits, World, until

MOBILE = "13800133000"
SENDERS = 3
NEW = "interface-password-New1"


def provider_has(world: World, password: str, *others: str) -> None:
    """The provider's administrator has set these passwords."""
    world.provider.sandbox.change_account("sandbox", {"password": password, "other_passwords": list(others)})


async def rotated(world: World, password: str, **more: Any) -> dict[str, Any]:
    """The platform team has said so here."""
    answer = await world.admin.post(
        f"/v1/admin/accounts/{world.account['id']}/rotate-credentials", json={"password": password, **more}
    )
    assert answer.status_code == 200, answer.text
    view: dict[str, Any] = answer.json()
    return view


@asynccontextmanager
async def load(*worlds: World) -> AsyncIterator[list[str]]:
    """Messages are sent all the time; their ids."""
    sent: list[str] = []
    numbers = count(13800133000)
    stopping = asyncio.Event()

    async def sender(world: World) -> None:
        while not stopping.is_set():
            sent.append((await world.send(str(next(numbers)), api=world.api))["id"])
            await asyncio.sleep(0.02)

    senders = [asyncio.create_task(sender(world)) for world in worlds for _ in range(SENDERS)]
    try:
        yield sent
    finally:
        stopping.set()
        await asyncio.gather(*senders)


async def more_sends(world: World, number: int = 15) -> None:
    """The provider has booked so many more."""
    least = len(world.sends) + number
    await until(lambda: len(world.sends) >= least)


async def all_delivered_once(world: World, sent: list[str]) -> None:
    """Every message came to its end, and the provider saw each of them once."""
    await until(lambda: world.rows("SELECT COUNT(*) FROM recipients WHERE final_ms IS NULL") == [(0,)])
    statuses = Counter([(await world.message(message_id))["status"] for message_id in sent])
    assert statuses == {"delivered": len(sent)}
    booked = Counter(record.task_id for record in world.sends)
    assert (len(booked), set(booked.values())) == (len(sent), {1})


async def test_rotation_under_load_loses_and_doubles_nothing(worlds: OpenWorld, log: Log) -> None:
    async with worlds() as world:
        async with load(world) as sent:
            await more_sends(world)
            # The provider takes both for a while, then the new one alone.
            provider_has(world, PASSWORD, NEW)
            await rotated(world, NEW)
            await more_sends(world)
            provider_has(world, NEW)
            await more_sends(world)
            # It changes at once, and here a moment later: what is refused meanwhile waits.
            provider_has(world, "the third")
            await until(lambda: log.of("credentials.refused"))
            await rotated(world, "the third")
            await more_sends(world)
            # Back at once, as an administrator does who has second thoughts: the fall-back is good.
            provider_has(world, NEW)
            await more_sends(world)
            await rotated(world, NEW)
            await more_sends(world)

        await all_delivered_once(world, sent)
        assert log.of("credentials.refused")[0]["good"] is None
        assert "fallback" in [line["good"] for line in log.of("credentials.refused")]


async def test_a_replica_that_knows_only_the_old_password_takes_the_new_one_up(worlds: OpenWorld, log: Log) -> None:
    async with worlds(replicas=True) as world, joined(world) as beside:
        await world.send(MOBILE, api=beside.api)
        await until(lambda: world.sends)
        provider_has(world, NEW)
        await rotated(world, NEW, fallback_s=0)
        known = beside.gateway.accounts.get(world.account["id"])
        assert known is not None
        assert known.password_md5 == md5(PASSWORD.encode(), usedforsecurity=False).hexdigest()

        message = await world.send("13800133001", api=beside.api, wait=10)

        assert message["submissions"][0]["status"] == "submitted"
        assert len(world.sends) == 2


async def test_a_password_in_a_file_is_taken_up_as_soon_as_it_is_needed(
    worlds: OpenWorld, log: Log, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    async with worlds(secret_dirs=tmp_path) as world:
        answer = await world.admin.post(
            f"/v1/admin/accounts/{world.account['id']}/rotate-credentials", json={"password_ref": f"file:{file}"}
        )
        assert (answer.status_code, answer.json()["password_ref"]) == (200, f"file:{file}")
        async with load(world) as sent:
            await more_sends(world)
            file.write_text(NEW)
            provider_has(world, NEW)
            await more_sends(world)
            # Away for a moment, as while it is being replaced: the last one is good.
            file.unlink()
            await world.gateway.accounts.refresh()
            await more_sends(world)

        await all_delivered_once(world, sent)
        assert list(world.gateway.accounts.unreadable.values()) == [
            "the file cannot be read: No such file or directory"
        ]


async def test_pulls_that_are_switched_off_stop_and_a_disabled_account_sends_nothing(worlds: OpenWorld) -> None:
    clock = MovableClock()
    limits = Limits(pull_reports=True, pull_interval_s=1.0)
    async with worlds(limits=limits, clock=clock, balance_interval_s=0.05) as world:
        path = f"/v1/admin/accounts/{world.account['id']}"
        codes = world.provider.sandbox.ledger.codes

        async def time_passes() -> None:
            clock.move(10)
            # The other loop that the clock has woken has done its work.
            least = codes["queryBalance", "00"] + 2
            await until(lambda: codes["queryBalance", "00"] >= least)

        await until(lambda: codes["report", "00"])
        assert (await world.admin.patch(path, json={"pull_reports": False})).status_code == 200
        await world.gateway.pull.idle()
        pulled = codes["report", "00"]
        await time_passes()
        assert codes["report", "00"] == pulled

        assert (await world.admin.post(f"{path}/disable")).json()["disabled"] is True
        waiting = await world.send(MOBILE)
        assert waiting["submissions"][0]["waiting_for"] == "account"
        assert world.sends == []

        await world.admin.patch(path, json={"disabled": False, "pull_reports": True})
        await world.message_when(waiting["id"], "delivered")
        clock.move(10)
        await until(lambda: codes["report", "00"] > pulled)
        # The interval counts from the last pull on, whatever it was then.
        await world.admin.patch(path, json={"pull_interval_s": 86_400})
        await world.gateway.pull.idle()
        pulled = codes["report", "00"]
        await time_passes()
        assert codes["report", "00"] == pulled
        await world.admin.patch(path, json={"pull_interval_s": 1})
        await until(lambda: codes["report", "00"] > pulled)
        await world.message_when((await world.send(MOBILE))["id"], "delivered")
