"""The sandbox as an ASGI application: the provider's four calls, and the control plane beside them.

Decision: plain ASGI, not Litestar. A fault must act before the body is read and on the connection itself, and a
provider that answers thousands of sends a second is what load tests of the gateway need.
"""

from functools import partial
from typing import Final, assert_never

from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope

from relay.provider.sandbox.answers import Answer, Reply, write_reply
from relay.provider.sandbox.connection import BodyTooLong, ClientGone, Exchange
from relay.provider.sandbox.control import Control
from relay.provider.sandbox.courier import Courier
from relay.provider.sandbox.faults import Fault
from relay.provider.sandbox.forms import parse_form
from relay.provider.sandbox.ledger import SendRecord
from relay.provider.sandbox.sandbox import ApiCall, Sandbox

CALLS: Final[dict[str, ApiCall]] = {
    "/api/v1/send": "send",
    "/api/v1/report": "report",
    "/api/v1/mo": "mo",
    "/api/v1/queryBalance": "queryBalance",
}
_FORM: Final = "application/x-www-form-urlencoded"
_TOO_LONG: Final = Reply(status=413, media_type="text/plain", headers={"connection": "close"}, body=b"")
_WRONG_METHOD: Final = Reply(status=405, media_type="text/plain", headers={"allow": "POST"}, body=b"")


def create_app(sandbox: Sandbox) -> ASGI3Application:
    """An ASGI app over this state. Its timers and callbacks end with its lifespan."""
    return SandboxApp(sandbox, Courier(sandbox))


class SandboxApp:
    """Reads requests, has them carried out, writes answers or what a fault puts in their place."""

    def __init__(self, sandbox: Sandbox, courier: Courier) -> None:
        self._sandbox = sandbox
        self._courier = courier
        self._control = Control(sandbox, courier)
        self._in_flight: set[Exchange] = set()

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """One request, or the lifespan; websockets are not spoken."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            exchange = Exchange(scope, receive, send)
            try:
                await self._answer(exchange)
            except BodyTooLong:
                await exchange.write(_TOO_LONG)
            except ClientGone:
                pass

    async def _answer(self, exchange: Exchange) -> None:
        call = CALLS.get(exchange.path)
        if call is None:
            body = await exchange.read()
            await exchange.write(
                await self._control.answer(exchange.method, exchange.path, exchange.query, body, exchange.client)
            )
        elif exchange.method != "POST":
            await exchange.write(_WRONG_METHOD)
        else:
            counts = self._sandbox.ledger.counts
            counts[f"calls_{call}"] += 1
            self._in_flight.add(exchange)
            counts["peak_in_flight"] = max(counts["peak_in_flight"], len(self._in_flight))
            # Before it is answered: the client may make its next call before this coroutine goes on.
            exchange.before_end = partial(self._in_flight.discard, exchange)
            try:
                await self._answer_call(call, exchange)
            finally:
                self._in_flight.discard(exchange)

    async def _answer_call(self, call: ApiCall, exchange: Exchange) -> None:
        if self._sandbox.faults.take_unread(call) is not None:
            await exchange.abort()
            return
        body = await exchange.read()
        # As a form parser on the other side would see it: a body of another type has no fields.
        form = parse_form(body) if exchange.media_type() == _FORM else {}
        fault = self._sandbox.faults.take_read(call, form)
        if fault is not None and fault.replaces_answer and not fault.accept:
            await _deliver(None, fault, exchange)
            return
        handled = self._sandbox.handle(call, form, client=exchange.client, fault=fault)
        if handled.record is not None:
            await self._report(handled.record, early=handled.early)
        if handled.held:
            await exchange.wait_until_gone()
        elif await _deliver(handled.answer, fault, exchange) and handled.record is not None:
            handled.record.answered = True

    async def _report(self, record: SendRecord, *, early: bool) -> None:
        if early:
            await self._courier.release_now(record)
        self._courier.release_later(record)

    async def _live(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._courier.aclose()
        await send({"type": "lifespan.shutdown.complete"})


async def _deliver(answer: Answer | None, fault: Fault | None, exchange: Exchange) -> bool:
    """Answers, or does what the fault says; whether the client was given the call's own answer."""
    if fault is None:
        await exchange.write(write_reply(answer, None))
        return True
    if fault.delay_ms and await exchange.wait_until_gone(fault.delay_ms / 1000):
        return False
    reply = write_reply(answer, fault)
    match fault.drop:
        case None:
            await exchange.write(reply)
        case "hold":
            await exchange.wait_until_gone()
        case "before_read" | "after_read":
            await exchange.abort()
        case "mid_answer":
            await exchange.write_half(reply)
        case _:
            assert_never(fault.drop)
    return not fault.replaces_answer
