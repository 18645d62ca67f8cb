"""Pulls: what is pulled exists nowhere else any more."""

import msgspec

from relay.domain.accounts import Account
from relay.domain.ids import AccountId, RawId
from relay.domain.messages import SubmissionWork
from relay.domain.provider import (
    Accepted,
    Balance,
    BodyKind,
    InboundRow,
    Pulled,
    RawBody,
    Reading,
    ReportRow,
    SendOutcome,
)
from relay.ports import MaySend, always
from relay.provider.sandbox import Fault, Sandbox, SandboxSettings
from relay.system import SystemEntropy
from tests.flow.clocks import MovableClock
from tests.flow.conftest import OpenWorld
from tests.flow.opening import reopened
from tests.flow.world import Limits, World, as_json, until, until_shown

PULLS = Limits(pull_reports=True, pull_inbound=True, pull_interval_s=1.0, pushes=False)
MOBILE = "13800131234"


async def test_reports_are_pulled_in_batches_until_none_is_left(worlds: OpenWorld) -> None:
    sandbox = Sandbox(SandboxSettings(report_delay_ms=0, pull_rows=50))
    async with worlds(limits=PULLS, sandbox=sandbox) as world:
        mobiles = [f"1380013{number}" for number in range(3000, 3200)]

        message = await world.send(mobiles)

        message = await world.message_when(message["id"], "delivered")
        assert message["counts"] == {"delivered": 200}
        assert [row["reports"][0]["source"] for row in await world.recipients(message["id"])] == ["pull"] * 200
        assert sum(len(event["data"]["recipients"]) for event in await world.events("message.delivered")) == 200
        assert await world.metric("relay_callback_rows_total", kind="report", result="applied") == 200
        # Four batches of fifty followed each other at once; with a second between them each would have been one round.
        # The first pull may come while the provider is still making the rows: then one batch is two.
        times = [row[0] for row in world.rows("SELECT received_ms FROM raw_bodies WHERE kind = 'report' ORDER BY id")]
        assert len(times) in (4, 5)
        assert times[-1] - times[0] < 1000


async def test_what_is_both_pushed_and_pulled_is_one_change_and_one_event(worlds: OpenWorld) -> None:
    async with worlds(limits=Limits(pull_reports=True, pull_inbound=True)) as world:
        world.provider.sandbox.change_account("sandbox", {"report_mode": "both", "mo_mode": "both"})

        message = await world.send([MOBILE, "13800131235"], extension="101")
        await world.message_when(message["id"], "delivered")
        await world.answer_back(MOBILE, "收到", "101")

        await until(lambda: world.counts.get("report_rows_pulled") == 2 and world.counts.get("mo_rows_pulled") == 1)
        await until(lambda: world.rows("SELECT COUNT(*) FROM reports GROUP BY submission HAVING COUNT(*) = 4"))
        await until(lambda: world.rows("SELECT 1 FROM inbound_seen WHERE paired = 1"))
        events = await world.events("message.delivered")
        assert sorted(row["to"] for event in events for row in event["data"]["recipients"]) == [MOBILE, "13800131235"]
        assert len(await world.events("inbound.received")) == 1


async def test_the_same_text_sent_twice_by_one_way_stays_two(worlds: OpenWorld) -> None:
    async with worlds(limits=Limits(pull_inbound=True)) as world:
        for _ in range(2):
            await world.answer_back(MOBILE, "1", "101", times="2026-11-23 09:30:00")

        assert len(await world.events("inbound.received")) == 2


async def test_a_pulled_body_that_is_broken_goes_to_quarantine(worlds: OpenWorld) -> None:
    sandbox = Sandbox()
    for call in ("report", "mo"):
        sandbox.faults.add(msgspec.convert({"call": call, "body": "broken_json"}, Fault))
    async with worlds(limits=PULLS, sandbox=sandbox) as world:
        await until(
            lambda: world.rows(
                "SELECT 1 FROM raw_bodies WHERE state = 'quarantined' GROUP BY state HAVING COUNT(*) = 2"
            )
        )

        assert world.rows("SELECT DISTINCT source FROM raw_bodies") == [("pull",)]
        # A broken answer is no reason to stop asking.
        await until(lambda: world.counts["calls_report"] >= 2 and world.counts["calls_mo"] >= 2)


class Fragile:
    """A provider that answers the first pull of reports, and whose reader breaks: a mistake of ours."""

    def __init__(self) -> None:
        self.pulled = False

    async def send(self, account: Account, work: SubmissionWork, may_send: MaySend = always) -> SendOutcome:
        return Accepted(task_id=None, code="00", message=None)

    async def pull(self, account: Account, kind: BodyKind, may_send: MaySend = always) -> Pulled:
        first = kind == "report" and not self.pulled
        self.pulled = self.pulled or first
        rows = [{"sendId": "f" * 32, "mobile": MOBILE, "status": "DELIVER"}] if first else []
        return Pulled(body=as_json({"code": "00", "data": rows}), content_type="application/json", http_status=200)

    async def balance(self, account: Account, may_send: MaySend = always) -> Balance:
        return Balance(amount="1", prepaid=True)

    def read_reports(self, raw: RawBody) -> Reading[ReportRow]:
        if b"DELIVER" in raw.body:
            raise ZeroDivisionError("our own mistake")
        return Reading(rows=(), unreadable=0, ignored_fields=0)

    def read_inbound(self, raw: RawBody) -> Reading[InboundRow]:
        return Reading(rows=(), unreadable=0, ignored_fields=0)


async def test_a_pulled_body_survives_a_mistake_in_our_own_reader(worlds: OpenWorld) -> None:
    async with worlds(limits=PULLS, provider=Fragile()) as world:
        await until(lambda: world.rows("SELECT 1 FROM raw_bodies WHERE state = 'quarantined'"))

        ((body, why),) = world.rows("SELECT body, why FROM raw_bodies WHERE kind = 'report'")
        assert MOBILE.encode() in body
        assert why == "it broke our code: ZeroDivisionError"


async def test_a_pushed_body_survives_a_mistake_in_our_own_reader(worlds: OpenWorld) -> None:
    async with worlds(provider=Fragile()) as world:
        answer = await world.call_back("report", b"DELIVER", "application/json")

        assert answer.status_code == 200
        assert world.rows("SELECT body, state FROM raw_bodies") == [(b"DELIVER", "quarantined")]


async def test_a_pulled_body_that_was_stored_and_not_read_is_applied_after_the_restart(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SandboxSettings(report_delay_ms=600_000))) as world:
        message = await world.send(MOBILE, wait=10)
        row = {"sendId": message["submissions"][0]["task_id"], "mobile": MOBILE, "status": "DELIVER"}
        # As Pull leaves it when its process dies between the two commits.
        await world.gateway.store.store_raw(
            AccountId(world.account["id"]),
            RawBody(
                kind="report",
                source="pull",
                content_type="application/json",
                query=b"",
                body=as_json({"code": "00", "data": [row]}),
                received_ms=world.gateway.clock.now_ms(),
            ),
            RawId(SystemEntropy().new_id("raw_")),
        )

    async with reopened(world) as again:
        await again.message_when(message["id"], "delivered")
        assert again.rows("SELECT state FROM raw_bodies") == [("applied",)]
        assert len(await again.events("message.delivered")) == 1


async def test_the_balance_is_asked_for_now_and_then_and_shown_with_its_time(worlds: OpenWorld) -> None:
    async with worlds(balance_interval_s=0.05) as world:
        world.provider.sandbox.change_account("sandbox", {"balance": 4711})

        async def shown() -> str | None:
            (row,) = (await world.api.get("/v1/balance")).json()["data"]
            balance: str | None = row["balance"]
            return balance

        assert await until_shown(shown, lambda balance: balance == "4711")
        (row,) = (await world.api.get("/v1/balance")).json()["data"]
        assert row["prepaid"] is True
        assert row["as_of"].endswith("Z")
        # Told after it was stored.
        assert await until_shown(
            lambda: world.metric("relay_account_balance_sms", account="provider"), lambda number: number == 4711
        )


async def asked(world: World, number: int) -> None:
    """The provider was asked for reports so often."""
    await until(lambda: world.counts.get("calls_report", 0) >= number)


async def test_pulls_that_are_switched_off_ask_nothing(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock, limits=Limits(pull_reports=True)) as world:
        await asked(world, 1)
        for number in range(2, 5):
            clock.move(60)
            await asked(world, number)

        assert "calls_mo" not in world.counts


async def test_a_provider_that_is_silent_on_one_pull_delays_no_other(worlds: OpenWorld) -> None:
    async with worlds(limits=PULLS) as world:
        world.fault(call="report", drop="hold", times=None)

        await world.answer_back(MOBILE, "收到", "101")

        await world.events_when(1, "inbound.received")
