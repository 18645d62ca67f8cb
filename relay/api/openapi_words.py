"""The parts of the document that no Struct holds: introduction, headers, and the webhooks that we send."""

from typing import Any, Final

from relay.api.openapi_schemas import Schemas
from relay.api.payloads import EVENT_PAYLOADS

Json = dict[str, Any]
API_VERSION: Final = "1.0.0"

INFO: Final[Json] = {
    "title": "Relay",
    "version": API_VERSION,
    "summary": "Send and receive SMS.",
    "description": "The gateway of the in-house teams in front of the SMS provider.\n\n"
    "- Every call under `/v1` carries `Authorization: Bearer <key>`.\n"
    "- Every error is `application/problem+json` (RFC 9457), whatever its status; `code` is for programs, `request_id` "
    "for whoever helps you.\n"
    "- Every POST that creates something takes an `Idempotency-Key`: repeat it with the same key and body, and it is "
    "done once.\n"
    "- Answers may gain fields: ignore the ones that you do not know.\n"
    "- Times are RFC 3339 in UTC; ids are a prefix and 32 hex digits, and sort by time.",
    "license": {"name": "MIT", "identifier": "MIT"},
}
TAGS: Final[list[Json]] = [
    {"name": "Messages", "description": "Texts to one or many numbers, and what became of each."},
    {"name": "Inbound", "description": "Texts that people sent to the team."},
    {"name": "Balance", "description": "What the provider accounts have left."},
    {"name": "Webhooks", "description": "Where events are posted to, and how that went."},
    {"name": "Events", "description": "The same events to poll, for teams that cannot host a webhook."},
    {"name": "Callbacks", "description": "Called by the provider."},
    {
        "name": "Platform",
        "description": "Accounts, teams, keys, what was set aside, erasures and the audit, for the platform team.",
    },
    {"name": "Operations", "description": "For machines that look after this one."},
]


def _text(description: str, **more: list[str]) -> Json:
    return {"description": description, "schema": {"type": "string", **more}}


RATE_HEADERS: Final = ("RateLimit-Policy", "RateLimit")
HEADERS: Final[Json] = {
    "X-Request-Id": _text("The id of this request, yours when you sent a usable one."),
    "Location": _text("Where the thing is."),
    "Link": _text('The next page, as `<…>; rel="next"` (RFC 8288); only where there is one.'),
    "ETag": _text("Strong tag of exactly these bytes."),
    "Idempotent-Replayed": _text(
        "`true` when this is the answer that the first request with this Idempotency-Key got.", enum=["true"]
    ),
    "Preference-Applied": _text("`wait=N`: the answer was held up to N seconds (RFC 7240)."),
    "Retry-After": {"description": "Seconds to wait before trying again.", "schema": {"type": "integer", "minimum": 1}},
    "WWW-Authenticate": _text("`Bearer`."),
    "RateLimit-Policy": _text(
        'Where the team has a limit: `"requests";q=50;w=1`, 50 requests in 1 second '
        "(draft-ietf-httpapi-ratelimit-headers)."
    ),
    "RateLimit": _text('Where the team has a limit: `"requests";r=49;t=1`, 49 left, more in 1 second.'),
}
PROBLEM_HEADERS: Final[dict[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    409: ("Retry-After",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
PARAMETERS: Final[Json] = {
    "RequestId": {
        "name": "X-Request-Id",
        "in": "header",
        "required": False,
        "description": "Your id of this request: up to 128 of `A-Z a-z 0-9 . _ : / + = @ -`. Any other is replaced.",
        "schema": {"type": "string"},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "1 to 255 visible ASCII characters, bare or quoted; unique per team, kept for at least 24 "
        "hours. The same key with the same body gets the first answer again; with another body it is refused. A "
        "refused request does not use the key up.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
        "example": "order-77-shipped",
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "required": False,
        "description": "The `ETag` of what you have read: when it was changed since, nothing is done (412). Without "
        "it the last one wins.",
        "schema": {"type": "string"},
        "example": '"3"',
    },
    "Prefer": {
        "name": "Prefer",
        "in": "header",
        "required": False,
        "description": "`wait=N` (RFC 7240, N up to 30): hold the answer until every upstream submission has an "
        "outcome, or N seconds.",
        "schema": {"type": "string"},
        "example": "wait=10",
    },
}
_WEBHOOK_HEADERS: Final = {
    "webhook-id": "The id of the event; the same over all attempts: drop what you have seen.",
    "webhook-timestamp": "Seconds since 1970 of this attempt; refuse what is older than five minutes.",
    "webhook-signature": "`v1,` and the base64 of HMAC-SHA256 over `<webhook-id>.<webhook-timestamp>.<body>`, one for "
    "every live secret, separated by blanks.",
}


def webhooks(schemas: Schemas) -> Json:
    """One webhook per event type."""
    return {
        event_type: {
            "post": {
                "operationId": "on" + "".join(part.capitalize() for part in event_type.replace("_", ".").split(".")),
                "summary": (payload.__doc__ or "").partition("\n")[0],
                "description": "Sent as Standard Webhooks 1.0.0 says, at least once, in no promised order.",
                "tags": ["Webhooks"],
                "security": [],
                "parameters": [
                    {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
                    for name, text in _WEBHOOK_HEADERS.items()
                ],
                "requestBody": {"required": True, "content": {"application/json": {"schema": schemas.of(payload)}}},
                "responses": {
                    "2XX": {"description": "Received. Anything else is tried again."},
                    "410": {"description": "Gone: the endpoint is disabled."},
                    "429": {"description": "Too fast: the endpoint is paused for `Retry-After`."},
                    "503": {"description": "Not now: the endpoint is paused for `Retry-After`."},
                },
            }
        }
        for event_type, payload in EVENT_PAYLOADS.items()
    }
