"""Texts that people send to us: whose they are."""

from relay.provider.sandbox import Sandbox, SandboxSettings
from tests.flow.clocks import MovableClock
from tests.flow.conftest import OpenWorld
from tests.flow.world import World, as_json

MOBILE = "13800131234"
SILENT = SandboxSettings(report_delay_ms=600_000)


async def test_an_inbound_message_goes_to_the_team_that_leased_its_extension(world: World) -> None:
    await world.add_endpoint("/hook", event_types=["inbound.received"])

    pushed = await world.answer_back(MOBILE, "退订", "101")

    assert pushed == [200]
    (hook,) = await world.hooks_when("/hook", 1)
    shown = (await world.api.get("/v1/inbound")).json()["data"]
    # An event tells of one moment: only what is shown later can have been erased, and an opt-out can be taken back.
    told = hook.event["data"]
    assert told.pop("opted_out") is True
    assert [told | {"erased": False}] == shown
    (inbound,) = shown
    assert (inbound["from"], inbound["text"], inbound["to_extension"]) == (MOBILE, "退订", "101")
    assert (inbound["matched_by"], inbound["message_id"]) == ("extension", None)
    assert (await world.api.get(f"/v1/inbound/{inbound['id']}")).json() == inbound


async def test_a_full_port_is_matched_by_the_longest_extension_that_it_ends_in(world: World) -> None:
    _, longer = await world.add_team("longer", extensions=["8101"])
    world.provider.sandbox.change_account("sandbox", {"port": "10690"})

    await world.answer_back(MOBILE, "one", "8101")
    await world.answer_back(MOBILE, "two", "7101")

    shown = (await world.api.get("/v1/inbound")).json()["data"]
    assert [(inbound["text"], inbound["to_extension"], inbound["matched_by"]) for inbound in shown] == [
        ("two", "101", "suffix")
    ]
    theirs = (await longer.get("/v1/inbound")).json()["data"]
    assert [(inbound["text"], inbound["to_extension"], inbound["matched_by"]) for inbound in theirs] == [
        ("one", "8101", "suffix")
    ]


async def test_without_an_extension_it_goes_to_the_team_that_last_sent_to_that_number(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        _, others = await world.add_team("others")
        await world.send(MOBILE, api=others)
        message = await world.send(MOBILE)

        await world.answer_back(MOBILE, "收到")

        (inbound,) = (await world.api.get("/v1/inbound")).json()["data"]
        assert (inbound["matched_by"], inbound["message_id"]) == ("last_sender", message["id"])
        assert (await others.get("/v1/inbound")).json()["data"] == []


async def test_an_answer_after_three_days_belongs_to_nobody(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock, sandbox=Sandbox(SILENT)) as world:
        await world.send(MOBILE, wait=10)
        clock.move(73 * 3600)

        assert await world.answer_back(MOBILE, "收到") == [200]

        assert world.rows("SELECT kind, mobile_text, content FROM orphans") == [("mo", MOBILE, "收到")]
        assert (await world.api.get("/v1/inbound")).json()["data"] == []


async def test_what_matches_nobody_is_kept_as_an_orphan(world: World) -> None:
    assert await world.answer_back(MOBILE, "谁", "999") == [200]

    assert world.rows("SELECT kind, mobile_text, content, extension FROM orphans") == [("mo", MOBILE, "谁", "999")]


async def test_an_inbound_message_in_gb18030_is_read(world: World) -> None:
    row = {"mobile": MOBILE, "content": "退订", "times": "2026-11-23 09:30:00", "extNo": 101}

    answer = await world.call_back("mo", as_json(row).decode().encode("gb18030"), "application/json")

    assert answer.status_code == 200
    (inbound,) = (await world.api.get("/v1/inbound")).json()["data"]
    assert (inbound["text"], inbound["occurred_at"]) == ("退订", "2026-11-23T01:30:00Z")
