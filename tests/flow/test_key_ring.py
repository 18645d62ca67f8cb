"""The key ring of a running gateway: changed under load, by the commands that operators use."""

import asyncio
import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from relay.app import open_gateway
from relay.config import load
from relay.domain.errors import KeyRingError
from relay.store.sealing import head_of, read_keys, write_key
from tests.flow.clocks import MovableClock
from tests.flow.conftest import Log, OpenWorld
from tests.flow.opening import reopened
from tests.flow.world import World, until, until_shown


async def command(world: World, *words: str) -> tuple[int, str, str]:
    """Exit code, standard output and error of ``relay keyring``, beside the gateway."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "relay",
        "keyring",
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "RELAY_ENV": "development", "RELAY_DATA_DIR": str(world.directory)},
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def sealed_by(world: World, key_id: str) -> int:
    head = head_of(key_id)
    columns = (("accounts", "password_sealed"), ("endpoints", "secrets_sealed"), ("idempotency", "answer_sealed"))
    return sum(
        world.rows(f"SELECT COUNT(*) FROM {table} WHERE substr({column}, 1, ?) = ?", len(head), head)[0][0]  # noqa: S608 - our own names
        for table, column in columns
    )


async def test_a_rotation_under_load_loses_and_doubles_nothing(worlds: OpenWorld, log: Log) -> None:
    async with worlds() as world:
        await world.add_endpoint("/hook", event_types=["message.submitted"])
        answers: dict[str, tuple[dict[str, Any], bytes]] = {}
        loaded = True

        async def send(number: int) -> None:
            for turn in itertools.count(100):  # lower ones end like the numbers that the sandbox plays tricks with
                if not loaded:
                    return
                body = {"to": f"1380013{number}{turn:03}", "text": "您的验证码是 482913"}
                key = f"key {number} {turn}".replace(" ", "-")
                answer = await world.api.post("/v1/messages", json=body, headers={"idempotency-key": key})
                assert answer.status_code == 202
                answers[key] = (body, answer.content)
                own = [item for item in answers.items() if item[0].startswith(f"key-{number}-")]
                await replayed(world, *own[turn * 5 % len(own)])
                await asyncio.sleep(0.1)

        async def replayed(asked: World, key: str, sent: tuple[dict[str, Any], bytes]) -> None:
            again = await asked.api.post("/v1/messages", json=sent[0], headers={"idempotency-key": key})
            assert (again.status_code, again.content) == (202, sent[1])
            assert again.headers["idempotent-replayed"] == "true"

        senders = [asyncio.create_task(send(number)) for number in range(2)]
        await until(lambda: len(answers) > 5)
        (old,) = (await world.admin.get("/v1/admin/keyring")).json()["keys"]
        code, out, err = await command(world, "rotate", "--json")
        assert code == 0, err
        rotated = json.loads(out)
        assert rotated["removable"] == [old["id"]]
        assert rotated["resealed"] + len(log.of("key_ring.reencrypted")) > 0
        assert await command(world, "remove", old["id"], "--yes") == (0, f"The key {old['id']} is gone.\n", "")
        shown = await until_shown(
            lambda: world.admin.get("/v1/admin/keyring"), lambda ask: len(ask.json()["keys"]) == 1
        )
        during = len(answers)
        await until(lambda: len(answers) > during + 5)
        loaded = False
        await asyncio.gather(*senders)

        assert shown.json()["active"] == rotated["active"]
        assert shown.json()["stale_values"] == 0
        assert sealed_by(world, old["id"]) == 0
        assert sealed_by(world, rotated["active"]) == len(answers) + 2
        for item in answers.items():
            await replayed(world, *item)
        hooks = await world.hooks_when("/hook", len(answers))
        assert len({hook.headers["webhook-id"] for hook in hooks}) == len(answers)
        assert sorted(record.mobiles for record in world.sends) == sorted([body["to"]] for body, _ in answers.values())
        told = [entry["action"] for entry in (await world.admin.get("/v1/admin/audit")).json()["data"]]
        assert {"keyring.rotated", "keyring.key_removed"} <= set(told)
        assert told.count("keyring.rotated") == 1
    async with reopened(world) as again:
        for item in list(answers.items())[:3]:
            await replayed(again, *item)
    (line,) = (world.directory / "keyring").read_text().splitlines()[1:]
    assert line.partition(":")[2] not in out + err + log.stream.getvalue().decode()


async def test_a_gateway_with_another_ring_or_none_does_not_start(worlds: OpenWorld, tmp_path: Path) -> None:
    async with worlds() as world:
        (key,) = (await world.admin.get("/v1/admin/keyring")).json()["keys"]
    settings = {"RELAY_ENV": "production", "RELAY_DATA_DIR": str(tmp_path)}
    ring = (tmp_path / "keyring").read_text()
    wrong = {
        "k9:" + "A" * 43 + "=": f"lacks '{key['id']}'",
        key["id"] + ":" + "A" * 43 + "=": "is not the one that sealed this database",
        "": "there is no key ring",
    }
    for text, words in wrong.items():
        (tmp_path / "keyring").unlink()
        if text:
            (tmp_path / "keyring").touch(mode=0o600)
            (tmp_path / "keyring").write_text(text)
        else:
            (tmp_path / "keyring.away").touch()
        with pytest.raises(KeyRingError, match=words):
            async with open_gateway(load(settings)):
                raise AssertionError("it started")
        (tmp_path / "keyring").touch(mode=0o600)
        (tmp_path / "keyring").write_text(ring)
    async with open_gateway(load(settings)):
        pass


async def test_a_wrong_file_is_warned_about_and_the_gateway_goes_on(worlds: OpenWorld, log: Log) -> None:
    async with worlds() as world:
        good = (world.directory / "keyring").read_text()
        (world.directory / "keyring").write_text("broken")
        await until_shown(lambda: world.metric("relay_keyring_refused"))
        await world.send("13800130001", key="meanwhile")
        await world.gateway.key_ring.look()
        (warned,) = await log.when("key_ring.refused")
        assert "line 1" in warned["reason"]
        (world.directory / "keyring").write_text(good)
        await until_shown(lambda: world.metric("relay_keyring_refused"), lambda value: value == 0)
        await world.send("13800130001", key="meanwhile")


async def test_a_ring_that_is_changed_by_hand_is_followed_and_everything_sealed_anew(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock) as world:
        await world.add_endpoint("/hook")
        await world.send("13800130001", key="before")
        path = world.directory / "keyring"
        (old, _) = read_keys(path.read_text())[0]
        path.write_text(f"{write_key('k2', bytes(range(32)))}\n{path.read_text()}")

        async def sealed_by_old() -> int:
            clock.move(6)
            return sealed_by(world, old)

        await until_shown(sealed_by_old, lambda number: number == 0)
        assert sealed_by(world, "k2") == 3
        assert await world.metric("relay_keyring_stale_values") == 0
        told = (await world.admin.get("/v1/admin/audit")).json()["data"]
        assert [(one["actor"], one["action"]) for one in told if one["action"].startswith("keyring.")][::-1] == [
            ("system", "keyring.rotated"),
            ("system", "keyring.reencrypted"),
        ]
