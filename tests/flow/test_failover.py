"""Several accounts: what one cannot send another does, what may have been sent nobody sends again, what none can take
waits in sight."""

from functools import partial

import pytest

from relay.domain.times import instant
from tests.flow.clocks import MovableClock
from tests.flow.conftest import Log, OpenWorld
from tests.flow.opening import joined
from tests.flow.two_accounts import COOLED_S, MOBILE, NO_MONEY, NO_MONEY_FOR_NOW, OTHERS, Two, silent, two
from tests.flow.world import THROTTLED, until, until_shown


async def test_what_one_account_cannot_be_reached_for_goes_out_over_the_other_with_its_task_id(
    worlds: OpenWorld, log: Log
) -> None:
    async with two(worlds, dead=True) as made:
        message = await made.send()
        task = message["submissions"][0]["task_id"]

        message = await made.when(message, "submitted")

        assert (made.account_of(message), message["submissions"][0]["task_id"]) == ("b", task)
        assert [(record.account, record.task_id) for record in made.world.sends] == [("b", task)]
        lines = await log.when("submission.attempted", 2)
        assert [(made.names[line["account_id"]], line["outcome"]) for line in lines] == [
            ("a", "not_sent"),
            ("b", "accepted"),
        ]
        assert lines[0]["moved_to"] == made.ids["b"]
        await until_shown(
            lambda: made.world.metric("relay_failovers_total", **{"from": "a", "to": "b"}), lambda number: number == 1
        )
        await made.world.report(task, MOBILE)
        await made.when(message, "delivered")


@pytest.mark.parametrize("code", [THROTTLED, NO_MONEY_FOR_NOW])
async def test_a_refusal_that_may_be_retried_is_retried_over_the_other_account(code: str, worlds: OpenWorld) -> None:
    async with two(worlds) as made:
        made.refuse("a", code)

        message = await made.when(await made.send(), "submitted")

        assert made.booked == [("b", MOBILE)]
        assert made.account_of(message) == "b"
        # Only the refusal of the whole account closes it.
        assert await made.state("a") == ("closed" if code == THROTTLED else "open")


async def test_a_definite_refusal_fails_the_message_and_one_of_the_account_spares_the_next(worlds: OpenWorld) -> None:
    async with two(worlds) as made:
        made.refuse("a", NO_MONEY, times=None)

        failed = await made.when(await made.send(), "failed")
        spared = await made.when(await made.send(OTHERS[0]), "submitted")

        assert (failed["submissions"][0]["code"], made.account_of(failed)) == (NO_MONEY, "a")
        assert made.account_of(spared) == "b"
        assert await made.state("a") == "open"
        assert await made.world.metric("relay_account_breaker", account="a", state="open") == 1
        assert await made.world.metric("relay_account_breaker", account="a", state="closed") == 0
        assert await made.world.metric("relay_account_breaker_openings_total", account="a", reason="balance") == 1


@pytest.mark.parametrize("drop", ["after_read", "hold"])
async def test_what_may_have_arrived_goes_to_nobody_else(drop: str, worlds: OpenWorld) -> None:
    async with two(worlds) as made:
        await made.change("a", timeout_s=2.0)
        made.world.fault(call="send", account="a", drop=drop, accept=True)
        held = await made.when(await made.send(), "unconfirmed")

        made.world.fault(call="send", account="a", drop=drop, accept=True)
        resent = await made.when(await made.send(OTHERS[0], on_unconfirmed="resend"), "submitted")

        assert (made.account_of(held), made.account_of(resent)) == ("a", "a")
        assert {account for account, _ in made.booked} == {"a"}


async def test_what_no_account_takes_waits_in_sight_and_goes_out_once_one_works_again(
    worlds: OpenWorld, log: Log
) -> None:
    async with two(worlds, only="a") as made:
        made.refuse("a", NO_MONEY)
        await made.when(await made.send(), "failed")

        waiting = await made.send(OTHERS[0])

        assert (waiting["status"], waiting["submissions"][0]["waiting_for"]) == ("queued", "account")
        shown = await made.world.message(waiting["id"])
        assert (shown["status"], shown["submissions"][0]["waiting_for"]) == ("queued", "account")
        listed = [row async for row in made.world.pages("/v1/messages", status="queued")]
        assert [row["submissions"][0]["waiting_for"] for row in listed] == ["account"]
        await until_shown(
            lambda: made.world.metric("relay_account_waiting_submissions", account="a"), lambda number: number == 1
        )
        assert made.booked == []

        made.clock.move(COOLED_S)
        done = await made.when(waiting, "submitted")
        assert done["submissions"][0]["waiting_for"] is None
        # The balance was the probe, and no message.
        assert made.world.counts["calls_queryBalance"] >= 1
        assert made.booked == [("a", OTHERS[0])]
        assert (await log.when("account.breaker_opened"))[0]["reason"] == "balance"
        assert await made.world.metric("relay_account_waiting_submissions", account="a") == 0


async def test_an_account_without_money_takes_no_message_until_it_has_some(worlds: OpenWorld, log: Log) -> None:
    async with two(worlds, only="a") as made:
        made.refuse("a", NO_MONEY)
        await made.when(await made.send(), "failed")
        made.world.fault(call="queryBalance", account="a", refuse={"code": NO_MONEY}, times=None)
        waiting = await made.send(OTHERS[0])

        for asked in (1, 2):
            made.clock.move(COOLED_S * 5)
            await until(lambda: len(log.of("account.breaker_opened")), partial(int.__lt__, asked))
            assert made.booked == []
        made.world.provider.sandbox.faults.clear()
        made.clock.move(COOLED_S * 5)

        await made.when(waiting, "submitted")


async def test_what_waits_for_an_account_ends_when_its_time_is_over(worlds: OpenWorld) -> None:
    async with two(worlds, only="a") as made:
        await made.change("a", disabled=1)
        waiting = await made.send(expires_at=in_s(made.clock, 60))
        assert waiting["submissions"][0]["waiting_for"] == "account"

        made.clock.move(61)

        failed = await made.when(waiting, "failed")
        (recipient,) = await made.world.recipients(waiting["id"])
        assert (recipient["status"], recipient["reason"]) == ("failed", "expired")
        assert failed["submissions"][0]["waiting_for"] is None
        assert made.booked == []


async def test_what_waits_at_a_disabled_account_moves_and_nothing_more_goes_out_over_it(worlds: OpenWorld) -> None:
    async with two(worlds) as made:
        await made.change("a", connections=1)
        made.world.fault(call="send", account="a", delay_ms=300)
        first = await made.send()
        queued = [await made.send(mobile) for mobile in OTHERS]
        assert {made.account_of(message) for message in queued} == {"a"}

        await made.change("a", disabled=1)

        for message in queued:
            await made.when(message, "submitted")
        await made.when(first, "submitted")
        assert sorted(made.booked) == [("a", MOBILE), *[("b", mobile) for mobile in OTHERS]]


async def test_what_waits_at_an_account_that_breaks_moves_to_the_other(worlds: OpenWorld, log: Log) -> None:
    async with two(worlds) as made:
        await made.change("b", disabled=1)
        made.refuse("a", NO_MONEY, times=None)
        await made.when(await made.send(), "failed")
        waiting = [await made.send(mobile) for mobile in OTHERS]

        await made.change("b", disabled=0)

        for message in waiting:
            assert made.account_of(await made.when(message, "submitted")) == "b"
        assert sorted(made.booked) == [("b", mobile) for mobile in OTHERS]
        await until(
            lambda: sum(line["submissions"] for line in log.of("submissions.moved")), lambda moved: moved == len(OTHERS)
        )


async def test_an_account_that_cannot_be_reached_is_left_alone_and_comes_back_by_one_probe(worlds: OpenWorld) -> None:
    async with two(worlds, dead=True) as made:
        for mobile in OTHERS[:5]:
            await made.when(await made.send(mobile), "submitted")
        assert await made.state("a") == "open"
        await made.when(await made.send(OTHERS[5]), "submitted")
        assert await made.world.metric("relay_upstream_requests_total", account="a", call="send") == 5

        await made.change("a", base_url=made.world.provider.url)
        made.clock.move(COOLED_S)
        assert await made.state("a") == "half_open"
        probe = await made.when(await made.send(OTHERS[6]), "submitted")

        assert made.account_of(probe) == "a"
        assert await made.state("a") == "slow_start"
        for mobile in OTHERS[7:]:
            assert made.account_of(await made.when(await made.send(mobile), "submitted")) == "a"


async def test_each_replica_finds_out_by_itself_and_what_waits_goes_out_once(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with (
        worlds(sandbox=silent(), clock=clock, replicas=True, replica_ttl_s=2) as world,
        joined(world, replica_ttl_s=2) as beside,
    ):
        made = Two(world, clock)
        await made.start()
        await beside.gateway.accounts.refresh()
        beside.api = made.api
        await made.change("a", disabled=1)
        await made.change("b", disabled=1)
        await beside.gateway.accounts.refresh()
        sent = [await made.send(mobile) for mobile in OTHERS]

        await made.change("b", disabled=0)
        await beside.gateway.accounts.refresh()

        for message in sent:
            await made.when(message, "submitted")
        assert sorted(made.booked) == [("b", mobile) for mobile in OTHERS]


def in_s(clock: MovableClock, seconds: float) -> str:
    """So many seconds from now, as the API reads it."""
    return instant(clock.now_ms() + int(seconds * 1000)).isoformat().replace("+00:00", "Z")
