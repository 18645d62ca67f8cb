"""The one middleware: request ids, common headers, metrics and the access line."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from relay.api.app import create_app
from relay.api.services import ApiSettings


@pytest.mark.parametrize("sent", ["abc-1.2:3/4", "a" * 128])
async def test_a_usable_request_id_is_taken_over(gateway: Any, sent: str) -> None:
    answer = await gateway.client.get("/livez", headers={"x-request-id": sent})

    assert answer.headers["x-request-id"] == sent


@pytest.mark.parametrize("sent", ["", "a" * 129, "a b", "a\tb", 'a"b', "<script>"])
async def test_any_other_request_id_is_replaced(gateway: Any, sent: str) -> None:
    answer = await gateway.client.get("/livez", headers={"x-request-id": sent})

    assert answer.headers["x-request-id"].startswith("req_")


async def test_api_answers_are_not_stored_by_caches(gateway: Any) -> None:
    answer = await gateway.client.get("/v1/messages")

    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_one_line_a_request_says_who_and_what_but_no_number_and_no_text(gateway: Any) -> None:
    with capture_logs() as lines:
        answer = await gateway.client.post("/v1/messages", json={"to": "13800130001", "text": "a private text"})

    [line] = lines
    assert line == {
        "event": "request.served",
        "log_level": "info",
        "request_id": answer.headers["x-request-id"],
        "method": "POST",
        "route": "/v1/messages",
        "status": 202,
        "duration_ms": 0.0,
        "team_id": gateway.team_id,
        "key_id": line["key_id"],
        "error": None,
    }
    assert line["key_id"].startswith("key_")


async def test_a_callback_token_is_in_no_line_and_in_no_problem(gateway: Any) -> None:
    paths = ["/callbacks/Secret7/report", "/callbacks/Secret7/nowhere", "/callbacks/Secret7"]
    with capture_logs() as lines:
        answers = [await gateway.client.put(path) for path in paths] + [await gateway.client.post(paths[0])]

    assert "Secret7" not in str(lines) + "".join(answer.text for answer in answers)
    assert answers[-1].json()["instance"] == "/callbacks/{token}/report"


async def test_a_failure_of_ours_is_500_and_one_line_without_messages_or_values(gateway: Any) -> None:
    gateway.store.broken = ValueError("13800130001 has the secret rk_live_x")

    with capture_logs() as lines:
        answer = await gateway.client.get("/v1/messages")

    failed, served = lines
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert answer.json()["retryable"] is False
    assert failed["event"] == "request.failed"
    assert failed["causes"][0]["type"] == "builtins.ValueError"
    assert "list_messages" in str(failed["causes"][0]["frames"])
    assert served["error"] == "internal_error"
    assert "13800130001" not in str(lines) + answer.text


async def test_routes_are_counted_by_template(gateway: Any) -> None:
    await gateway.client.get("/v1/messages/msg_" + "0" * 32)
    await gateway.client.get("/some/path/13800130001")
    await gateway.client.request("BREW", "/v1/messages")

    text, _ = gateway.metrics.render(None)

    assert b'{method="GET",route="/v1/messages/{message_id}",status="404"} 1.0' in text
    assert b'{method="GET",route="unmatched",status="404"} 1.0' in text
    assert b'{method="OTHER",route="unmatched",status="405"} 1.0' in text
    assert b"13800130001" not in text


async def test_head_is_get_without_the_body(gateway: Any) -> None:
    head, get = await gateway.client.head("/v1/messages"), await gateway.client.get("/v1/messages")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


async def test_the_server_still_sees_head_in_its_scope(gateway: Any) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        assert not message.get("body")

    scope: dict[str, Any] = {"type": "http", "method": "HEAD", "path": "/livez", "query_string": b"", "headers": []}
    await gateway.app(scope, receive, send)

    assert scope["method"] == "HEAD"


async def test_options_says_what_is_allowed_without_a_key(gateway: Any) -> None:
    answer = await gateway.with_key("").options("/v1/messages")

    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")


async def test_a_request_that_is_broken_off_has_status_0(gateway: Any) -> None:
    waiting = asyncio.Event()

    async def receive() -> dict[str, str]:
        waiting.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        raise AssertionError

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/messages",
        "query_string": b"",
        "headers": [(b"authorization", gateway.client.headers["authorization"].encode())],
        "client": None,
    }
    with capture_logs() as lines:
        task = asyncio.create_task(gateway.app(scope, receive, send))
        await waiting.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert [(line["route"], line["status"]) for line in lines] == [("/v1/messages", 0)]


async def test_a_mounted_app_is_behind_the_same_edge(gateway: Any) -> None:
    async def console(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode(), "more_body": False})

    app = create_app(gateway.services, metrics=gateway.metrics, settings=ApiSettings(), mounts={"/console": console})
    client = gateway.with_key("", app)
    with capture_logs() as lines:
        answers = [await client.get(path) for path in ("/console", "/console/app.js", "/livez")]

    assert [answer.text for answer in answers] == ["/", "/app.js", '{"status":"ok"}']
    assert all("x-request-id" in answer.headers for answer in answers)
    assert [line["route"] for line in lines] == ["/console", "/console", "/livez"]
