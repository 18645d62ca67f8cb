"""What each query is asked in life, on a database that ``fill`` made."""

from typing import Any, Final

from relay.domain.ids import first_id
from relay.domain.times import DAY_MS, HOUR_MS, MINUTE_MS
from relay.store.queries import Query
from relay.store.scripts.spans import spans
from tests.store.builders import NOW_MS
from tests.store.growth import fill
from tests.store.growth.fill import Size, made_id, mobile_of

_OLD_MS: Final = NOW_MS - fill.SPAN_MS - DAY_MS
_TEAM: Final = made_id(_OLD_MS, fill.TEAM, 0)
_ENDPOINT: Final = made_id(_OLD_MS, fill.ENDPOINT, 0)
_ACCOUNT: Final = made_id(_OLD_MS, fill.ACCOUNT, 0)
_NEWEST: Final = b"\xff" * 16
_KINDS: Final = {
    "accounts": fill.ACCOUNT,
    "attempts": fill.ATTEMPT,
    "balances": fill.ACCOUNT,
    "deliveries": fill.DELIVERY,
    "endpoints": fill.ENDPOINT,
    "events": fill.EVENT,
    "history": fill.DELIVERY,
    "inbound": fill.INBOUND,
    "keys": fill.KEY,
    "messages": fill.MESSAGE,
    "orphans": fill.ORPHAN,
    "raw": fill.RAW,
    "reseal": fill.ACCOUNT,
    "ringholders": fill.ACCOUNT,
    "sealed": fill.ACCOUNT,
    "submissions": fill.SUBMISSION,
    "suppressions": fill.OPTOUT,
    "teams": fill.TEAM,
}
_PLATFORM: Final = {fill.ACCOUNT, fill.ENDPOINT, fill.KEY, fill.TEAM}
# Strings, where a parameter of that name is one; all other parameters without an entry are numbers.
_TEXTS: Final = frozenset(
    {
        "category",
        "code",
        "content",
        "day",
        "extension",
        "key",
        "keyword",
        "key_id",
        "key_ids",
        "matched_by",
        "mobile_text",
        "mode",
        "name",
        "base_url",
        "password_ref",
        "pattern",
        "settings",
        "outcome",
        "raw_status",
        "raw_time",
        "reason",
        "reference",
        "scope",
        "source",
        "state",
        "status",
        "task_id",
        "text",
        "type",
        "why",
    }
)
_BYTES: Final = frozenset(
    {"answer", "api_key", "body", "fallback_sealed", "head", "headers_sealed", "new", "old", "password_sealed"}
    | {"payload", "query", "raw", "sealed", "secrets_sealed"}
)
# Statuses that are codes, and an id that is a count.
_NUMBERS: Final = frozenset(
    {
        ("attempts.insert", "status"),
        ("idempotency.keep_answer", "status"),
        ("idempotency.take", "status"),
        ("inbound.pair", "id"),
        ("recipients.set_status", "status"),
    }
)


def asked(name: str, query: Query, size: Size) -> tuple[Any, ...]:
    """Its parameters in order: of a finished message from the middle of all, or of the newest delivery."""
    return tuple([_value(name, parameter, size) for parameter in query.names])


def _value(name: str, parameter: str, size: Size) -> Any:
    n = size.messages // 2
    own: dict[tuple[str, str], Any] = {
        ("deliveries.list", "event"): None,
        ("deliveries.list", "endpoint"): None,
        ("history.list", "event"): None,
        ("history.list", "endpoint"): None,
        ("history.list", "status"): None,
        ("extensions.list", "after"): "",
        ("extensions.list", "after_team"): b"",
        ("history.view", "id"): size.id(fill.DELIVERY, n),
        ("deliveries.list", "after"): b"",
        ("history.list", "after"): b"",
        ("messages.sent_to", "spans"): spans(NOW_MS - fill.SPAN_MS, NOW_MS),
        ("messages.of_reference", "reference"): f"order {n}",
        ("messages.list", "status"): None,
        ("messages.list", "created_after_ms"): None,
        ("messages.list", "created_before_ms"): None,
        ("orphans.adoptable", "since_id"): first_id(NOW_MS - 10 * MINUTE_MS),
        ("events.list", "after"): size.messages - 20,
        ("events.list_of_types", "after"): size.messages - 20,
        ("endpoints.deleted_with_due", "since_ms"): NOW_MS - HOUR_MS,
        ("submissions.silent", "before_ms"): NOW_MS - 3 * DAY_MS,
        ("submissions.untold", "before_ms"): NOW_MS - 15 * MINUTE_MS,
        ("idempotency.forget", "before_ms"): NOW_MS - fill.SPAN_MS + HOUR_MS,
        ("recipients.recent_sends", "category"): "otp",
        ("submissions.due_number", "most"): 10_000,
        ("submissions.stranded", "skip"): 0,
    }
    if (name, parameter) in own:
        return own[name, parameter]
    if (name, parameter) in _NUMBERS:
        return 1
    if parameter == "id":
        kind = _KINDS[name.partition(".")[0]]
        number = size.messages if kind == fill.DELIVERY else n
        return made_id(_OLD_MS, kind, 0) if kind in _PLATFORM else size.id(kind, number)
    values: dict[str, Any] = {
        "account": _ACCOUNT,
        "to_account": _ACCOUNT,
        "after": 0,
        "before": _NEWEST,
        "before_ms": NOW_MS,
        "claim": b"x" * 16,
        "delivery": size.id(fill.DELIVERY, n),
        "digest": made_id(size.at_ms(n), fill.INBOUND, n),
        "endpoint": _ENDPOINT,
        "ends": '["10188", "188", "88"]',
        "event": size.id(fill.EVENT, n),
        "everywhere": bytes(16),
        "fingerprint": b"x" * 32,
        "hash": made_id(_OLD_MS, fill.KEY, 1),
        "answer_sealed": b"x",
        "key": f"key {n}",
        "message": size.id(fill.MESSAGE, n),
        "mobile": mobile_of(n),
        "mobiles": f"[{mobile_of(n)}]",
        "most": 100,
        "now_ms": NOW_MS,
        "priority": 1,
        "scope": "messages",
        "spans": spans(NOW_MS - 3 * DAY_MS, NOW_MS),
        "since_id": first_id(NOW_MS - DAY_MS),
        "submission": size.id(fill.SUBMISSION, n),
        "submissions": [size.id(fill.SUBMISSION, n - number) for number in range(64)],
        "task_id": "task 100",
        "tasks": ["task 100"],
        "team": _TEAM,
        "types": '["message.failed"]',
    }
    return values.get(parameter, b"x" if parameter in _BYTES else "text" if parameter in _TEXTS else 1)
