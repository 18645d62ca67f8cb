"""Promise 6: secrets never leave, and numbers and texts are in no log, metric or problem."""

import asyncio
import base64
import io
import json
import os
import sys
from typing import Any
from urllib.parse import quote

import pytest
import structlog

from relay.provider.sandbox import Sandbox, SandboxSettings
from relay.store.sealing import read_keys
from relay.telemetry import logs
from tests.flow.clocks import MovableClock
from tests.flow.conftest import Log, OpenWorld
from tests.flow.hooks import Reply
from tests.flow.leaks import MD5, PLANTED_HEADER, Told, call_everything, files_in
from tests.flow.test_store_away import locked
from tests.flow.world import PASSWORD, World, as_json, until, until_shown

MOBILES = ["13800131234", "13800130002", "13800130005", "13800130007", "13800130008"]
TEXT = "秘密的验证码QX7731 unmistakable"
ANSWER = "秘密的回答KZ4410 unmistakable"
HEADER_SECRET = "Bearer hook-credential-9911"
DSN_SECRET = "hunter2-7731"


async def problems_of(world: World) -> list[bytes]:
    """Every kind of problem that careless calls with secrets, numbers and texts in them bring about."""
    bodies: list[bytes] = []

    async def ask(method: str, path: str, **more: Any) -> None:
        answer = await world.api.request(method, path, **more)
        assert answer.status_code >= 400, (method, path, answer.text)
        bodies.append(answer.content)
        bodies.extend(name + b": " + value for name, value in answer.headers.raw)

    token = world.secrets["callback token of provider"]
    await ask("POST", "/v1/messages", json={"to": MOBILES[0], "text": TEXT, "txt": TEXT})
    await ask("POST", "/v1/messages", json={"to": [MOBILES[0] + "99", "x" + MOBILES[0]], "text": TEXT})
    await ask("POST", "/v1/messages", json={"to": MOBILES[0], "text": TEXT, "category": TEXT})
    await ask("POST", "/v1/messages", json={"to": MOBILES[0], "text": TEXT, "extension": MOBILES[0] + "x"})
    await ask("POST", "/v1/messages", json={"to": MOBILES[0], "text": f"【{TEXT}】"} | {"send_at": TEXT})
    await ask("POST", "/v1/messages", content=f'{{"to": "{MOBILES[0]}", "text": "{TEXT}"'.encode())
    await ask("POST", "/v1/messages", content=TEXT.encode(), headers={"content-type": "text/plain"})
    await ask(
        "POST", "/v1/messages", json={"to": MOBILES[0], "text": TEXT}, headers={"idempotency-key": "k " + TEXT[-4:]}
    )
    await ask("GET", "/v1/messages/msg_unknown")
    await ask("GET", "/v1/messages", params={"to": "+1" + MOBILES[0]})
    await ask("GET", "/v1/messages", params={"password": PASSWORD})
    await ask("GET", "/v1/admin/accounts")
    await ask("GET", "/v1/messages", headers={"authorization": f"Bearer {world.secrets['admin key']}x"})
    await ask("DELETE", f"/callbacks/{token}/report")
    await ask("POST", f"/callbacks/{token}x/report", content=as_json({"mobile": MOBILES[0], "content": TEXT}))
    admin = await world.admin.post(
        "/v1/admin/accounts", json={"name": "x", "base_url": "nowhere", "account": "x", "password": PASSWORD}
    )
    assert admin.status_code == 422
    bodies.append(admin.content)
    for secret in (world.secrets["admin key"], "rk_live_" + "0" * 49):
        hooked = await world.api.post(
            "/v1/webhook-endpoints", json={"url": "http://169.254.169.254/", "secret": secret}
        )
        assert hooked.status_code == 422
        bodies.append(hooked.content)
    return bodies


async def live_through_the_story(world: World) -> list[bytes]:
    """Send, report, inbound, webhooks, pulls of balance, failures; and every answer that is not to show a secret."""
    await world.add_endpoint("/hook", headers={"authorization": HEADER_SECRET})
    await world.add_endpoint("/bad", event_types=["message.delivered"])
    world.hooks.script("/bad", Reply(status=500))
    world.fault(call="send", status=429)
    sent = await world.send(MOBILES, TEXT, key="story", extension="101")
    await until(lambda: world.rows("SELECT COUNT(*) FROM reports"), lambda rows: rows[0][0] >= 6)
    world.fault(call="send", refuse={"code": "77", "message": "no"})
    await world.send("13800131235", TEXT, wait=10)
    await world.answer_back(MOBILES[0], ANSWER, "101")
    await world.answer_back(MOBILES[0], ANSWER, "999")
    await world.call_back("report", f"{MOBILES[0]} {TEXT} \xff".encode("latin-1", "replace"), "application/json")
    await world.hooks_when("/hook", 4)
    await until(lambda: world.rows("SELECT 1 FROM balances"))
    shown = ("/v1/webhook-endpoints", "/v1/deliveries", "/v1/balance", "/openapi.json", "/docs", "/console")
    account = f"/v1/admin/accounts/{world.account['id']}"
    answers = [(await world.api.get(path)).content for path in shown]
    for path in ("/v1/admin/accounts", account, "/v1/admin/keys", "/v1/admin/teams"):
        answers.append((await world.admin.get(path)).content)  # noqa: PERF401 - a second list would hide the two clients
    assert sent["to_count"] == 5
    return answers


async def break_things(world: World, told: Told, clock: MovableClock) -> None:
    """Exceptions where nobody expects one, with secrets around them, and in their words what has a known shape."""
    store = world.gateway.store
    token, key = world.secrets["callback token of provider"], world.secrets["live key of orders"]

    async def broken(*_: object, **__: object) -> Any:
        password, digest = PASSWORD, MD5
        raise RuntimeError(f"no row of {MOBILES[0]} for {key} at /callbacks/{token}/report") from ValueError(
            f"{len(password + digest)} characters with pwd={MD5}"
        )

    for name in ("messages", "create_endpoint", "accounts", "queue_depths", "claim_submissions"):
        setattr(store, name, broken)
    told.answer("500", await world.api.get("/v1/messages"))
    told.answer("500", await world.api.post("/v1/webhook-endpoints", json={"url": world.hooks.url("/never")}))
    world.gateway.submit.wake(world.account["id"])
    # Every loop wakes up.
    clock.move(10)
    await until_shown(lambda: world.metric("relay_loop_restarts_total"), lambda number: number >= 2)
    for name in ("messages", "create_endpoint", "accounts", "queue_depths", "claim_submissions"):
        delattr(store, name)


async def run_commands(world: World, told: Told) -> None:
    """What an operator sees of them, and types wrong."""
    environ = {**os.environ, "RELAY_ENV": "development", "RELAY_DATA_DIR": str(world.directory)}
    environ |= {"RELAY_LOG_LEVEL": "debug"}
    wrong = f"nonsense,{(world.directory / 'keyring').read_text().splitlines()[1]}x"
    for words, own in (
        (("keyring", "rotate", "--json", "--wait", "20"), {}),
        (("doctor",), {"RELAY_KEYRING": wrong, "RELAY_DATABASE_URL": f"postgresql://relay:{DSN_SECRET}@[::1]:9/relay"}),
    ):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "relay",
            *words,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environ | own,
        )
        out, err = await process.communicate()
        told.add(f"command {words[0]}", out + err)
        assert process.returncode == (1 if own else 0), err


@pytest.mark.parametrize("fmt", ["json", "console"])
async def test_no_secret_number_or_text_leaves(worlds: OpenWorld, log: Log, fmt: logs.LogFormat) -> None:
    stream = log.stream if fmt == "json" else io.BytesIO()
    logs.configure("debug", fmt, stream=stream)
    structlog.configure(cache_logger_on_first_use=False)
    log.expected |= {"request.failed", "loop.broke", "request.broke"}
    sandbox, told, clock = Sandbox(SandboxSettings(report_delay_ms=20)), Told(), MovableClock()
    async with worlds(sandbox=sandbox, clock=clock, balance_interval_s=0.05) as world:
        for answer in await live_through_the_story(world):
            told.add("answer of the story", answer)
        for problem in await problems_of(world):
            told.add("problem", problem)
        unreached = await call_everything(world, told) if fmt == "json" else set()
        await break_things(world, told, clock)
        with locked(world):
            for kind in ("report", "mo"):
                body = as_json({"mobile": MOBILES[0], "content": TEXT})
                told.answer("spooled", await world.call_back(kind, body, "application/json"))
            # Not the database: closing a file gives up all of this process's locks on it.
            files = [files_in(world.directory / "spool")]
        if fmt == "json":
            await run_commands(world, told)
        for accept in ("text/plain", "application/openmetrics-text"):
            told.answer("metrics", await world.admin.get("/metrics", headers={"accept": accept}))
        told.secrets |= world.secrets
        files.append(files_in(world.directory))
    files.append(files_in(world.directory))
    for moment, written in zip(("while spooled", "while open", "at the end"), files, strict=True):
        for name, content in written.items():
            told.add(f"file {name} {moment}", content)
    told.add("log", stream.getvalue())
    told.secrets |= {"md5": MD5, "header": HEADER_SECRET.split()[1], "other header": PLANTED_HEADER, "dsn": DSN_SECRET}
    ring = (world.directory / "keyring").read_text()
    told.secrets |= {f"key {key_id}": line_of(ring, key_id) for key_id, _ in read_keys(ring)}

    assert unreached == set()
    assert len(stream.getvalue()) > 10_000
    assert {"relay.db", "relay.db-wal"} <= files[1].keys()
    assert files[0] != {}
    assert len(told.secrets) > (15 if fmt == "json" else 8)
    assert sorted(set(told.leaks())) == []
    private = [*MOBILES, "13800131235", TEXT, ANSWER, TEXT[:6], ANSWER[:6], "QX7731", "KZ4410"]
    assert told.private(private, "log", "metrics", "problem", "500", "command") == []
    # That the search finds what is there: texts and numbers are in the database.
    assert len(told.private([TEXT, ANSWER, MOBILES[0]], "file relay.db")) >= 3


def line_of(ring: str, key_id: str) -> str:
    """The key, as it is written."""
    return next(line.partition(":")[2] for line in ring.splitlines() if line.startswith(f"{key_id}:"))


@pytest.mark.parametrize("form", ["as it is", "base64", "hex", "percent", "json"])
def test_the_search_finds_a_secret_in_each_of_its_forms(form: str) -> None:
    secret = PLANTED_HEADER
    written = {
        "as it is": secret.encode(),
        "base64": base64.b64encode(f"user:{secret} and more".encode()),
        "hex": secret.encode().hex().upper().encode(),
        "percent": quote(secret, safe="").encode(),
        "json": json.dumps({"x": secret}).encode(),
    }
    told = Told()
    told.secrets["it"] = secret
    told.add("here", b"before " + written[form] + b" after")
    told.add("where it may be", secret.encode(), [secret])
    assert told.leaks() == [("here", "it")]


async def test_a_failing_provider_and_a_failing_subscriber_put_nothing_private_into_the_log(
    worlds: OpenWorld, log: Log
) -> None:
    async with worlds() as world:
        for fault in ({"drop": "after_read"}, {"status": 502}, {"body": "broken_json"}, {"refuse": {"code": TEXT[:6]}}):
            world.fault(call="send", **fault)
            await world.send(MOBILES[0], TEXT, wait=10)
        await world.add_endpoint("/hook")
        world.hooks.script("/hook", Reply(status=500, body=f"{PASSWORD} {MOBILES[0]}".encode()))
        await world.send(MOBILES[0], TEXT, wait=10)
        await world.hooks_when("/hook", 1)

    logged = log.stream.getvalue()
    assert b"submission.attempted" in logged
    for private in (PASSWORD, MOBILES[0], "QX7731", *world.secrets.values()):
        assert private.encode() not in logged
