"""How an account and its provider get at each other: credentials, references, callback tokens, probes."""

import hashlib
from typing import Any

import pytest

from relay.domain.accounts import Credentials
from relay.domain.ids import AccountId
from relay.domain.provider import Accepted, Balance, BalanceUnknown, Refused
from tests.api.accounts import ACCOUNT, audited, made

REFUSED = BalanceUnknown(code="01", why="refused", message="账号或密码错误")
DAY_S = 86_400


def md5_of(password: str) -> str:
    return hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()


# -- credentials -----------------------------------------------------------------------------------------------------


async def test_a_new_password_counts_once_the_provider_has_taken_it(gateway: Any) -> None:
    path, body = await made(gateway)

    answer = await gateway.admin.post(
        f"{path}/rotate-credentials", json={"password": "the new one", "account": "main2", "fallback_s": 60}
    )

    assert answer.status_code == 200, answer.text
    assert (answer.json()["account"], answer.json()["fallback_until"] is not None) == ("main2", True)
    assert gateway.provider.asked == [Credentials(account="main2", password_md5=md5_of("the new one"))]
    account = gateway.accounts.get(AccountId(body["id"]))
    assert account.credentials == gateway.provider.asked[0]
    assert account.live_fallback(gateway.clock.now_ms()) == Credentials(
        account="main", password_md5=md5_of("top-secret-9")
    )
    await gateway.clock.sleep(60)
    assert account.live_fallback(gateway.clock.now_ms()) is None
    assert "the new one" not in str(await audited(gateway, "account.credentials_rotated"))
    assert md5_of("the new one") not in str(await audited(gateway, "account.credentials_rotated"))


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (REFUSED, 422, "credentials_refused"),
        (BalanceUnknown(code=None, why="http_401"), 422, "credentials_refused"),
        (BalanceUnknown(code=None, why="read_timeout"), 503, "provider_unreachable"),
        (BalanceUnknown(code=None, why="http_502"), 503, "provider_unreachable"),
    ],
)
async def test_a_password_that_is_not_taken_changes_nothing(
    gateway: Any, answer: BalanceUnknown, status: int, code: str
) -> None:
    path, body = await made(gateway)
    gateway.provider.balances = [answer]

    refused = await gateway.admin.post(f"{path}/rotate-credentials", json={"password": "the new one"})

    assert (refused.status_code, refused.json()["code"]) == (status, code)
    wanted = {"code": answer.code or answer.why, "message": answer.message} if status == 422 else None
    assert refused.json()["provider"] == wanted
    assert gateway.accounts.get(AccountId(body["id"])).password_md5 == md5_of("top-secret-9")
    assert (await gateway.admin.get(path)).headers["etag"] == '"1"'
    assert "the new one" not in refused.text


async def test_a_busy_provider_is_asked_again(gateway: Any) -> None:
    path, _ = await made(gateway, codes={"08": {"class": "throttled"}})
    gateway.provider.balances = [BalanceUnknown(code="08", why="refused"), Balance(amount="1", prepaid=True)]

    answer = await gateway.admin.post(f"{path}/rotate-credentials", json={"password": "the new one"})

    assert (answer.status_code, len(gateway.provider.asked)) == (200, 2)


async def test_a_repeated_rotation_keeps_the_fall_back_and_asks_nobody_under_its_key(gateway: Any) -> None:
    path, body = await made(gateway)
    headers = {"idempotency-key": "rotate-1"}
    first = await gateway.admin.post(f"{path}/rotate-credentials", json={"password": "new"}, headers=headers)
    gateway.provider.balances = [REFUSED]

    again = await gateway.admin.post(f"{path}/rotate-credentials", json={"password": "new"}, headers=headers)
    gateway.provider.balances = []
    other_key = await gateway.admin.post(f"{path}/rotate-credentials", json={"password": "new"})

    assert (again.status_code, again.content, again.headers["idempotent-replayed"]) == (200, first.content, "true")
    assert other_key.json()["fallback_until"] == first.json()["fallback_until"]
    account = gateway.accounts.get(AccountId(body["id"]))
    assert account.fallback.password_md5 == md5_of("top-secret-9")


async def test_a_rotation_without_fall_back_forgets_the_password_before(gateway: Any) -> None:
    path, body = await made(gateway)

    answer = await gateway.admin.post(f"{path}/rotate-credentials", json={"password": "new", "fallback_s": 0})

    assert answer.json()["fallback_until"] is None
    assert gateway.accounts.get(AccountId(body["id"])).fallback is None


@pytest.mark.parametrize(
    "body", [{}, {"password": "a", "password_md5": "0" * 32}, {"password": "a", "fallback_s": 604_801}]
)
async def test_wrong_credentials_are_pointed_at_and_the_provider_is_not_asked(
    gateway: Any, body: dict[str, Any]
) -> None:
    path, _ = await made(gateway)

    answer = await gateway.admin.post(f"{path}/rotate-credentials", json=body)

    assert (answer.status_code, gateway.provider.asked) == (422, [])


# -- references ------------------------------------------------------------------------------------------------------


async def test_a_password_that_stands_elsewhere_is_read_again_and_again(gateway: Any) -> None:
    gateway.secrets.lines["env:SMS"] = "one"
    _, body = await made(gateway, password=None, password_ref="env:SMS")
    account_id = AccountId(body["id"])
    assert body["password_ref"] == "env:SMS"
    assert gateway.accounts.get(account_id).password_md5 == md5_of("one")

    gateway.secrets.lines["env:SMS"] = "two"
    await gateway.accounts.refresh()

    account = gateway.accounts.get(account_id)
    assert (account.password_md5, account.fallback.password_md5) == (md5_of("two"), md5_of("one"))
    del gateway.secrets.lines["env:SMS"]
    await gateway.accounts.refresh()
    assert gateway.accounts.get(account_id).password_md5 == md5_of("two")
    assert gateway.accounts.unreadable == {account_id: "it is not there"}
    await gateway.clock.sleep(3600)
    await gateway.accounts.refresh()
    assert gateway.accounts.get(account_id).fallback is None


@pytest.mark.parametrize("reference", ["file:/run/secrets/none", "env:NONE", "file:relative", "vault:x", "env:a b"])
async def test_a_reference_that_cannot_be_read_makes_no_account(gateway: Any, reference: str) -> None:
    answer = await gateway.admin.post(
        "/v1/admin/accounts", json=ACCOUNT | {"password": None, "password_ref": reference}
    )

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/password_ref")


# -- callback tokens -------------------------------------------------------------------------------------------------


async def test_two_callback_tokens_are_live_at_once_and_the_third_ends_the_oldest(gateway: Any) -> None:
    path, body = await made(gateway)
    urls = [body["callback_urls"]]

    async def answers() -> list[int]:
        reports = [one["report"].removeprefix("http://relay.test") for one in urls]
        return [(await gateway.client.post(report, content=b"{}")).status_code for report in reports]

    async def rotate(**wanted: int) -> None:
        await gateway.clock.sleep(1)
        answer = await gateway.admin.post(f"{path}/rotate-callback-token", json=wanted)
        assert answer.status_code == 200, answer.text
        urls.append(answer.json()["callback_urls"])

    await rotate()
    assert await answers() == [200, 200]
    await rotate(overlap_s=DAY_S)
    assert await answers() == [404, 200, 200]
    tokens = (await gateway.admin.get(f"{path}/callback-tokens")).json()["data"]
    assert [token["expires_at"] is None for token in tokens] == [False, True]
    await gateway.clock.sleep(DAY_S)
    # By the clock alone: no refresh has come.
    assert await answers() == [404, 404, 200]
    assert len((await gateway.admin.get(f"{path}/callback-tokens")).json()["data"]) == 1
    await rotate(overlap_s=0)
    assert await answers() == [404, 404, 404, 200]
    last = (await gateway.admin.get(f"{path}/callback-tokens")).json()["data"][-1]["id"]
    assert (await gateway.admin.delete(f"{path}/callback-tokens/{last}")).status_code == 204
    assert await answers() == [404, 404, 404, 404]
    assert (await gateway.admin.delete(f"{path}/callback-tokens/{last}")).status_code == 404


async def test_a_token_rotation_is_done_once_under_its_key(gateway: Any) -> None:
    path, _ = await made(gateway)
    headers = {"idempotency-key": "k1"}

    first = await gateway.admin.post(f"{path}/rotate-callback-token", headers=headers)
    again = await gateway.admin.post(f"{path}/rotate-callback-token", headers=headers)

    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert len((await gateway.admin.get(f"{path}/callback-tokens")).json()["data"]) == 2
    token = first.json()["callback_urls"]["report"].split("/")[4]
    assert token not in str(await audited(gateway, "account.callback_token_rotated"))


@pytest.mark.parametrize(
    ("forwarded_for", "status"),
    [
        (["203.0.113.9"], 403),
        (["203.0.113.9, 10.0.0.1"], 200),
        (["203.0.113.9", "10.0.0.1"], 200),
        (["203.0.113.9, 198.51.100.1, 10.0.0.1"], 403),
        (["198.51.100.1, 203.0.113.9:4711, unknown"], 200),
        (["[2001:db8::5]:443, 10.0.0.1"], 200),
        (["2001:db8::5, 10.0.0.1"], 200),
        (["::ffff:203.0.113.9, 10.0.0.1"], 200),
        (["203.0.113.9, unknown, 10.0.0.1"], 403),
        (["203.0.113.9, , 10.0.0.1"], 403),
        (["203.0.113.9,"], 200),
        ([], 403),
    ],
)
async def test_behind_proxies_the_client_is_counted_from_the_right(
    gateway: Any, forwarded_for: list[str], status: int
) -> None:
    path, body = await made(gateway)
    allow = {"callback_allow": ["203.0.113.9", "2001:db8::/32"], "callback_proxies": 2}
    assert (await gateway.admin.patch(path, json=allow)).status_code == 200
    report = body["callback_urls"]["report"].removeprefix("http://relay.test")

    headers = [("x-forwarded-for", value) for value in forwarded_for]
    answer = await gateway.client.post(report, content=b"{}", headers=headers)

    assert answer.status_code == status


# -- probe -----------------------------------------------------------------------------------------------------------


async def test_a_probe_tells_balance_and_latency(gateway: Any) -> None:
    path, body = await made(gateway)

    answer = await gateway.admin.post(f"{path}/probe")

    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "account_id": body["id"],
        "balance": "100",
        "prepaid": True,
        "latency_ms": {"calls": 3, "min": 0, "median": 0, "max": 0},
        "dedup": None,
    }
    assert (len(gateway.provider.asked), gateway.provider.sent) == (3, [])
    assert await audited(gateway, "account.probed") == [{"dedup": None}]


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        (Refused(code="07", message="重复", reason="duplicate", scope="task"), "deduplicated"),
        (Refused(code="99", message=None, reason="other", scope="task"), "refused"),
        (Accepted(task_id=None, code="00", message="成功"), "accepted"),
    ],
)
async def test_a_probe_sends_twice_with_one_task_id_where_it_is_told_to(
    gateway: Any, second: Accepted | Refused, verdict: str
) -> None:
    path, _ = await made(gateway)
    gateway.provider.outcomes = [Accepted(task_id=None, code="00", message=None), second]

    answer = await gateway.admin.post(
        f"{path}/probe", json={"check_dedup": {"number": "13800130001"}}, headers={"idempotency-key": "once"}
    )
    again = await gateway.admin.post(
        f"{path}/probe", json={"check_dedup": {"number": "13800130001"}}, headers={"idempotency-key": "once"}
    )

    dedup = answer.json()["dedup"]
    assert (dedup["verdict"], dedup["second"]["code"]) == (verdict, second.code)
    assert {f"sub_{dedup['task_id']}"} == {work.id for work in gateway.provider.sent}
    assert (len(gateway.provider.sent), again.content) == (2, answer.content)
    assert "13800130001" not in str(await audited(gateway, "account.probed"))


async def test_a_probe_whose_first_send_fails_sends_no_second(gateway: Any) -> None:
    path, _ = await made(gateway)
    gateway.provider.outcomes = [Refused(code="05", message=None, reason="recipient", scope="task")]

    answer = await gateway.admin.post(f"{path}/probe", json={"check_dedup": {"number": "13800130001"}})
    no_number = await gateway.admin.post(f"{path}/probe", json={"check_dedup": {"number": "1380013"}})
    gateway.provider.balances = [REFUSED]
    refused = await gateway.admin.post(f"{path}/probe")

    assert (answer.json()["dedup"]["verdict"], len(gateway.provider.sent)) == ("undecided", 1)
    assert (no_number.status_code, no_number.json()["errors"][0]["pointer"]) == (422, "/check_dedup/number")
    assert (refused.status_code, refused.json()["provider"]["code"]) == (422, "01")
