"""The control plane: what it takes, what it shows, and to whom."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

from relay.provider.sandbox import Sandbox, SandboxServer, create_app

Call = Callable[..., Awaitable[httpx.Response]]
Until = Callable[[Callable[[], object]], Awaitable[None]]


async def test_only_loopback_clients_reach_it_whatever_they_claim() -> None:
    app = create_app(Sandbox())
    transport = httpx.ASGITransport(app=app, client=("10.0.0.1", 1))  # type: ignore[arg-type] # two spellings of ASGI
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        answer = await client.get("/control/accounts", headers={"x-forwarded-for": "127.0.0.1"})
    assert answer.status_code == 404


async def test_the_address_of_the_connection_counts_not_a_claimed_one(
    server: SandboxServer, client: httpx.AsyncClient
) -> None:
    claim = {"x-forwarded-for": "10.0.0.1"}
    assert (await client.get(f"{server.url}/control/accounts", headers=claim)).status_code == 200


async def test_an_account_is_made_changed_and_shown_without_its_password(control: Call, call: Call) -> None:
    made = await control("PUT", "accounts/team", {"password": "old", "balance": 5, "ips": ["127.0.0.1"]})
    assert made.json() == {
        "account": "team",
        "pwd_case": "lower",
        "balance": 5,
        "payment": 0,
        "ips": ["127.0.0.1"],
        "report_url": None,
        "mo_url": None,
        "report_mode": None,
        "mo_mode": None,
        "port": "",
        "answered_task_id": "ours",
        "report_send_id": "answered",
        "requests_per_s": 0,
        "reports_queued": 0,
        "inbound_queued": 0,
    }
    changed = await control("PUT", "accounts/team", {"password": "sandbox-password", "payment": 1})
    assert changed.json() == {**made.json(), "payment": 1}
    sent = await call("send", account="team", mobiles="13800130001", content="x")
    assert sent.json()["code"] == "00"
    changed = await control("PUT", "accounts/team", {"port": "1069"})
    assert changed.json()["balance"] == 4
    names = [account["account"] for account in (await control("GET", "accounts")).json()["accounts"]]
    assert names == ["sandbox", "team"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "accounts/sandbox", {"balance": "much"}, 422),
        ("PUT", "accounts/sandbox", {"colour": "red"}, 422),
        ("PUT", "accounts/sandbox", {"ips": ["10.0.0.0/40"]}, 422),
        ("POST", "faults", {"call": "send", "statuss": 500}, 422),
        ("POST", "faults", {"call": "callback", "status": 500}, 422),
        ("POST", "inbound", {"mobile": "13800130001"}, 422),
        ("POST", "inbound", {"mobile": "13800130001", "content": "x", "account": "nobody"}, 422),
        ("PATCH", "settings", {"pull_rows": 0}, 422),
        ("GET", "ledger?limit=many", None, 422),
        ("POST", "faults", None, 400),
        ("GET", "nothing", None, 404),
        ("DELETE", "faults/x", None, 404),
    ],
)
async def test_a_wrong_request_changes_nothing_and_is_told_why(
    server: SandboxServer, control: Call, method: str, path: str, body: object, status: int
) -> None:
    before = (server.sandbox.accounts["sandbox"].view(), server.sandbox.settings, server.sandbox.faults.view())
    answer = await control(method, path, body)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    sandbox = server.sandbox
    assert (sandbox.accounts["sandbox"].view(), sandbox.settings, sandbox.faults.view()) == before


async def test_faults_are_added_listed_and_cleared(control: Call, call: Call) -> None:
    added = await control(
        "POST", "faults", [{"call": "send", "status": 500}, {"call": "queryBalance", "status": 502, "times": None}]
    )
    assert (added.status_code, added.json()) == (201, {"ids": [1, 2]})
    assert (await call("queryBalance")).status_code == 502
    shown = (await control("GET", "faults")).json()["faults"]
    assert [(fault["id"], fault["used"], fault["left"], fault["fault"]["status"]) for fault in shown] == [
        (1, 0, 1, 500),
        (2, 1, None, 502),
    ]
    await control("DELETE", "faults/1")
    assert (await call("send", mobiles="13800130001", content="x")).status_code == 200
    await control("DELETE", "faults")
    assert (await call("queryBalance")).status_code == 200


async def test_the_ledger_tells_all_or_what_concerns_one_number(
    server: SandboxServer, control: Call, call: Call, until: Until
) -> None:
    server.sandbox.now_s = lambda: 1555063028.0
    await call("send", taskId="a", mobiles="13800130001,13800130002", content="x", extNo="7")
    await call("send", taskId="b", mobiles="13800130001", content="x")
    await call("send", taskId="b", mobiles="13800130003", content="x")
    await until(lambda: len(server.sandbox.accounts["sandbox"].reports) == 3)
    await call("report")
    ledger = (await control("GET", "ledger?mobile=13800130002")).json()
    assert ledger["sends"] == [
        {
            "task_id": "a",
            "answered_task_id": "a",
            "report_send_id": "a",
            "account": "sandbox",
            "at_s": 1555063028.0,
            "content": "x",
            "segments": 1,
            "ext_no": "7",
            "mobiles": ["13800130001", "13800130002"],
            "answered": True,
        }
    ]
    assert ledger["pulled"] == [
        {
            "rows_of": "report",
            "account": "sandbox",
            "send_id": "a",
            "mobile": "13800130002",
            "status": "UNDELIV",
            "at_s": 1555063028.0,
        }
    ]
    assert (ledger["callbacks"], ledger["repeats"]) == ([], [])
    everything = (await control("GET", "ledger?limit=1")).json()
    assert [send["task_id"] for send in everything["sends"]] == ["b"]
    assert [entry["task_id"] for entry in everything["duplicates"]] == ["b"]
    assert everything["repeats"] == [{"mobile": "13800130001", "content": "x", "task_ids": ["a", "b"]}]
    assert everything["codes"] == {"send": {"00": 2, "07": 1}, "report": {"00": 1}}
    assert everything["counts"] == {
        "calls_send": 3,
        "calls_report": 1,
        "peak_in_flight": 1,
        "sends": 2,
        "recipients": 3,
        "units": 3,
        "duplicates": 1,
        "rows_dropped": 0,
        "report_rows_pulled": 3,
        "pending": 0,
        "recipients_held": 3,
    }


async def test_a_reset_empties_the_ledger(control: Call, call: Call) -> None:
    await call("send", taskId="a", mobiles="13800130001", content="x")
    assert (await control("DELETE", "ledger")).json() == {}
    ledger = (await control("GET", "ledger")).json()
    assert (ledger["sends"], ledger["counts"].get("sends", 0)) == ([], 0)


async def test_settings_are_shown_and_changed(server: SandboxServer, control: Call) -> None:
    changed = await control("PATCH", "settings", {"report_delay_ms": 5})
    assert changed.json() == (await control("GET", "settings")).json()
    assert server.sandbox.settings.report_delay_ms == 5
