"""What the provider pushes: reports and inbound messages, once each, whatever their shape."""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from relay.api.call import Call
from relay.api.exchange import Answer
from relay.api.operations import Operation, Respond
from relay.domain.errors import AddressNotAllowed, NotFound, SpoolUnavailable, StoreUnavailable
from relay.domain.provider import BodyKind, RawBody

# provider/contract.md 1: "must be answered HTTP 200"; the body is what the provider itself answers on success.
_TAKEN: Final = b'{"code":"00","message":"ok"}'
_SUMMARIES: Final[dict[BodyKind, str]] = {"report": "Push delivery reports", "mo": "Push inbound messages"}


def _receiver(kind: BodyKind) -> Callable[[Call], Awaitable[Answer]]:
    async def receive(call: Call) -> Answer:
        body = await call.body(call.settings.callback_bytes)
        raw = RawBody(
            kind=kind,
            source="push",
            content_type=call.header(b"content-type") or "",
            query=b"" if body else call.raw_query,
            body=body,
            received_ms=call.services.clock.now_ms(),
        )
        client = call.scope["client"]
        metrics = call.metrics
        try:
            taken = await call.services.receive.callback(
                call.parameter("token"),
                raw,
                peer="" if client is None else client[0],
                forwarded_for=call.header_list(b"x-forwarded-for"),
            )
        except NotFound:
            metrics.callback_received(kind, "unknown_token")
            raise
        except AddressNotAllowed:
            metrics.callback_received(kind, "address_not_allowed")
            raise
        except SpoolUnavailable:
            metrics.callback_received(kind, "refused")
            # It does not come again: worth an alarm, and all that may be told of it.
            structlog.get_logger("relay").error(
                "callback.refused", request_id=call.exchange.request_id, kind=kind, body_bytes=len(body)
            )
            raise
        except StoreUnavailable:
            metrics.callback_received(kind, "unavailable")
            raise
        metrics.callback_received(kind, taken.result)
        for result, number in taken.rows.items():
            metrics.callback_rows(kind, result, number)
        if taken.result == "quarantined":
            metrics.unreadable(kind)
        return Answer(200, _TAKEN)

    return receive


def _operations(kind: BodyKind) -> list[Operation]:
    # OpenAPI wants one operation per method; they do the same.
    run = _receiver(kind)
    return [
        Operation(
            id=f"{'push' if method == 'POST' else 'get'}{'Reports' if kind == 'report' else 'Inbound'}Callback",
            method=method,
            path=f"/callbacks/{{token}}/{kind}",
            tag="Callbacks",
            summary=_SUMMARIES[kind] + ("" if method == "POST" else " in the query string"),
            description="Called by the provider. 200 means that the raw bytes are stored durably, whatever they are; "
            "503 that neither the database nor the local disk could be written. Taken while the replica drains, too.",
            scope=None,
            run=run,
            any_body=True,
            any_query=True,
            answers=(
                Respond(
                    status=200,
                    description="Taken.",
                    body=dict[str, str],
                    example={"code": "00", "message": "ok"},
                ),
            ),
            refusals=(AddressNotAllowed,),
        )
        for method in ("POST", "GET")
    ]


OPERATIONS: Final = (*_operations("report"), *_operations("mo"))
