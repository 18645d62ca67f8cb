"""Promise 6: secrets never leave, and numbers and texts are in no log, metric or problem."""

import base64
import hashlib
from pathlib import Path
from typing import Any

from relay.provider.sandbox import Sandbox, SandboxSettings
from tests.flow.conftest import Log, OpenWorld
from tests.flow.hooks import Reply
from tests.flow.world import PASSWORD, World, as_json, until

MOBILES = ["13800131234", "13800130002", "13800130005", "13800130007", "13800130008"]
TEXT = "秘密的验证码QX7731 unmistakable"
ANSWER = "秘密的回答KZ4410 unmistakable"
HEADER_SECRET = "Bearer hook-credential-9911"


def forms_of(secret: str) -> list[bytes]:
    """How a secret may be written: as it is, and what can be turned back into it."""
    raw = secret.encode()
    forms = [raw, base64.b64encode(raw), raw.hex().encode()]
    if secret.startswith("whsec_"):
        key = secret.removeprefix("whsec_")
        forms += [key.encode(), base64.b64decode(key), base64.b64decode(key).hex().encode()]
    if len(secret) % 2 == 0 and all(digit in "0123456789abcdef" for digit in secret):
        forms.append(bytes.fromhex(secret))
    return forms


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


def files_in(directory: Path) -> dict[str, bytes]:
    """Every byte that was written, by file."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


async def test_no_secret_number_or_text_leaves(worlds: OpenWorld, log: Log) -> None:
    sandbox = Sandbox(SandboxSettings(report_delay_ms=20))
    async with worlds(sandbox=sandbox, balance_interval_s=0.05) as world:
        answers = await live_through_the_story(world)
        problems = await problems_of(world)
        metrics = (await world.admin.get("/metrics")).content
        openmetrics = (await world.admin.get("/metrics", headers={"accept": "application/openmetrics-text"})).content
        digest = hashlib.md5(PASSWORD.encode(), usedforsecurity=False).hexdigest()
        secrets = [
            *world.secrets.values(),
            digest,
            digest.upper(),
            HEADER_SECRET,
            HEADER_SECRET.removeprefix("Bearer "),
        ]
        while_open = files_in(world.directory)
    files = while_open | files_in(world.directory)
    logged = log.stream.getvalue()
    assert len(logged) > 10_000
    assert {"relay.db", "relay.db-wal"} <= files.keys()

    told = {"log": logged, "metrics": metrics + openmetrics, "problems": b"\n".join(problems)}
    shown = told | {"answers": b"\n".join(answers)} | files
    leaks = [
        (where, secret)
        for secret in secrets
        for form in forms_of(secret)
        for where, content in shown.items()
        if form in content
    ]
    assert leaks == []
    private = [*MOBILES, "13800131235", TEXT, ANSWER, TEXT[:6], ANSWER[:6], "QX7731", "KZ4410"]
    escaped = [private_text.encode("unicode_escape") for private_text in private]
    assert [
        (where, form.decode())
        for form in [text.encode() for text in private] + escaped
        for where, content in told.items()
        if form in content
    ] == []
    # That the search finds what is there: texts and numbers are in the database.
    database = files["relay.db"] + files["relay.db-wal"] + while_open["relay.db-wal"]
    assert all(found.encode() in database for found in (TEXT, ANSWER, MOBILES[0]))


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
