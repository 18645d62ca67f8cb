"""A database that is a month old: any number of recipients, written inside the database by a few statements.

One text for both engines, which must know ``made_id(ms, kind, n)`` and ``made_bytes(size)`` and have a table
``numbers (n)``. Most of it is finished; a few thousand messages and deliveries are open. Every tenth message has 91
recipients, all others have one, so there are ten to a message; half of everything is the first team's.
"""

# ruff: noqa: S608 - the statements are made of our own numbers

from typing import Final

import msgspec

from relay.domain.states import STATUSES
from relay.domain.times import DAY_MS, HOUR_MS, MINUTE_MS
from tests.store.builders import NOW_MS

SPAN_MS: Final = 30 * DAY_MS
TEAMS: Final = 20
EACH_TENTH: Final = 91
PER_MESSAGE: Final = 10
PAYLOAD_BYTES: Final = 400
PENDING_RAW: Final = 50

# What an id is of: a part of it, so that ids of one instant differ.
TEAM, ACCOUNT, ENDPOINT, MESSAGE, SUBMISSION, EVENT, DELIVERY, ATTEMPT, RAW, ORPHAN, INBOUND, KEY, OPTOUT = range(1, 14)


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the newest messages (deliveries) are still in which state; of older ones nothing is to be done."""

    queued: int = 1_000
    scheduled: int = 1_000
    submitting: int = 100
    unconfirmed: int = 500
    submitted: int = 2_000
    due: int = 3_000
    later: int = 1_000
    leased: int = 100


OPEN: Final = Open()


def made_id(ms: int, kind: int, n: int) -> bytes:
    """A UUIDv7 by its form, in the order of time."""
    return ((ms << 80) | (0x7000 | kind) << 64 | 0x8000_0000_0000_0000 | n).to_bytes(16)


def made_bytes(size: int) -> bytes:
    """Nothing that compresses to less matters here."""
    return b"x" * size


def first_ids(kind: int) -> bytes:
    """Teams, accounts and endpoints are older than all else; this is number 0."""
    return made_id(NOW_MS - SPAN_MS - DAY_MS, kind, 0)


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """``recipients``: about so many."""

    recipients: int

    @property
    def messages(self) -> int:
        """One submission each."""
        return self.recipients // PER_MESSAGE

    def at_ms(self, n: int) -> int:
        """When message ``n``, counted from 1, was accepted."""
        return NOW_MS - SPAN_MS + SPAN_MS * n // self.messages

    def id(self, kind: int, n: int) -> bytes:
        """Of what belongs to message ``n``."""
        return made_id(self.at_ms(n), kind, n)


def team_of(n: int) -> int:
    """Half of all are the first team's."""
    return 0 if n % 2 == 0 else n % TEAMS


def mobile_of(n: int, k: int = 0) -> int:
    """Of recipient ``k`` of message ``n``: scattered over all numbers, as in life."""
    return 13_000_000_000 + (n * EACH_TENTH + k) * 2_654_435_761 % 1_000_000_000


def statements(size: Size) -> list[str]:
    """In this order."""
    return [*_platform(), *_messages(size), *_received(size), *_events(size)]


_OLD: Final = f"{NOW_MS - SPAN_MS - DAY_MS}"
_TEAM: Final = f"made_id({_OLD}, {TEAM}, CASE WHEN n % 2 = 0 THEN 0 ELSE n % {TEAMS} END)"
_ENDPOINT: Final = f"made_id({_OLD}, {ENDPOINT}, 2 * CASE WHEN n % 2 = 0 THEN 0 ELSE n % {TEAMS} END + n / 2 % 2)"
_ACCOUNT: Final = f"made_id({_OLD}, {ACCOUNT}, n % 2)"


def _platform() -> list[str]:
    return [
        f"""INSERT INTO teams (id, name, accounts, recipient_limits, created_ms)
        SELECT made_id({_OLD}, {TEAM}, n - 1), 'team ' || n, '[]', '{{}}', {_OLD} FROM numbers WHERE n <= {TEAMS}""",
        f"""INSERT INTO team_extensions (extension, team)
        SELECT CAST(1000 + n AS TEXT), made_id({_OLD}, {TEAM}, n - 1) FROM numbers WHERE n <= {TEAMS}""",
        f"""INSERT INTO accounts (id, name, base_url, account, password_sealed, settings, sandbox, disabled, created_ms)
        SELECT made_id({_OLD}, {ACCOUNT}, n - 1), 'account ' || n, 'http://sms.example', 'demo', made_bytes(1), '{{}}',
          0, 0, {_OLD} FROM numbers WHERE n <= 2""",
        f"""INSERT INTO callback_tokens (hash, account, created_ms)
        SELECT made_id({_OLD}, {KEY}, n), made_id({_OLD}, {ACCOUNT}, n - 1), {_OLD} FROM numbers WHERE n <= 2""",
        f"""INSERT INTO api_keys (id, hash, team, hint, scopes, mode, created_ms)
        SELECT made_id({_OLD}, {KEY}, n), made_id({_OLD}, {KEY}, n), made_id({_OLD}, {TEAM}, n % {TEAMS}),
          'rk_live_abc', '[]', 'live', {_OLD} FROM numbers WHERE n <= {TEAMS * 10}""",
        f"""INSERT INTO endpoints (id, team, url, event_types, extensions, headers_sealed, secrets_sealed,
          max_in_flight, status, created_ms)
        SELECT made_id({_OLD}, {ENDPOINT}, n - 1), made_id({_OLD}, {TEAM}, (n - 1) / 2), 'https://subscriber.example',
          '[]', '[]', made_bytes(30), made_bytes(60), 8, 'enabled', {_OLD} FROM numbers WHERE n <= {2 * TEAMS}""",
        f"""INSERT INTO quota_use (team, day, units)
        SELECT made_id({_OLD}, {TEAM}, n % {TEAMS}), 'day ' || (n / {TEAMS}), 1000
        FROM numbers WHERE n <= {TEAMS * 30}""",
    ]


def _messages(size: Size) -> list[str]:
    last, at = size.messages, _at(size)
    count = f"CASE WHEN n % 10 = 0 THEN {EACH_TENTH} ELSE 1 END"
    # How long ago: 0 is the newest.
    ago = f"({last} - n)"
    status = _by_age(ago, ("queued", "scheduled", "submitting", "unconfirmed", "submitted"), "'submitted'")
    is_open = f"{ago} < {_open_messages()}"
    counters = [f"n_{name}" for name in STATUSES]
    own = {
        name: f"CASE WHEN {is_open} AND {status} = '{name}' THEN {count} ELSE 0 END"
        for name in ("queued", "scheduled", "submitting", "unconfirmed", "submitted")
    }
    own["delivered"] = f"CASE WHEN {is_open} THEN 0 ELSE {count} END"
    delivered = STATUSES.index("delivered") + 1
    return [
        f"""INSERT INTO messages (id, team, api_key, mode, text, reference, metadata, category, on_unconfirmed,
          created_ms, expires_ms, segments, to_count, refused)
        SELECT {_id(size, MESSAGE)}, {_TEAM}, made_id({_OLD}, {KEY}, 1), 'live', 'Your code is ' || n, 'order ' || n,
          '{{}}', CASE WHEN n % 3 = 0 THEN 'otp' ELSE 'notice' END, 'hold', {at}, {at} + {DAY_MS}, 1, {count}, '[]'
        FROM numbers""",
        f"""INSERT INTO message_states (message, event_seq, {", ".join(counters)})
        SELECT {_id(size, MESSAGE)}, 2, {", ".join(own.get(name, "0") for name in STATUSES)} FROM numbers""",
        f"""INSERT INTO submissions (id, message, account, status, priority, due_ms, expires_ms, attempt, maybe_sent,
          claim, lease_until_ms, since_ms, told, n_total, n_open, provider_task_id, code, submitted_ms)
        SELECT {_id(size, SUBMISSION)}, {_id(size, MESSAGE)}, {_ACCOUNT}, {status}, n % 3,
          CASE WHEN {status} = 'scheduled' THEN {NOW_MS + HOUR_MS} + n ELSE {at} END, {at} + {DAY_MS}, 1, 0,
          CASE WHEN {status} = 'submitting' THEN made_bytes(16) END,
          CASE WHEN {status} = 'submitting' THEN {NOW_MS + MINUTE_MS} + n END, {at}, 0, {count},
          CASE WHEN {is_open} THEN {count} ELSE 0 END,
          CASE WHEN n % 100 = 0 THEN 'task ' || n END, '00', {at} FROM numbers""",
        f"""INSERT INTO recipients (submission, mobile, status, provider_status, final_ms)
        SELECT {_id(size, SUBMISSION)}, 13000000000 + (n * {EACH_TENTH} + k) * 2654435761 % 1000000000,
          CASE WHEN {is_open} THEN 0 ELSE {delivered} END, CASE WHEN {is_open} THEN NULL ELSE 'DELIVRD' END,
          CASE WHEN {is_open} THEN NULL ELSE {at} + 5000 END
        FROM (SELECT a.n, b.n - 1 AS k FROM numbers a JOIN numbers b
          ON b.n <= CASE WHEN a.n % 10 = 0 THEN {EACH_TENTH} ELSE 1 END
        ) AS each_one""",
        f"""INSERT INTO idempotency (scope, key, fingerprint, status, answer_sealed, created_ms)
        SELECT 'messages', 'key ' || n, made_bytes(32), 202, made_bytes(300), {at} FROM numbers WHERE n % 4 = 0""",
    ]


def _received(size: Size) -> list[str]:
    last, at = size.messages, _at(size)
    return [
        f"""INSERT INTO reports (submission, mobile, source, raw_status, received_ms)
        SELECT {_id(size, SUBMISSION)}, 13000000000 + n * {EACH_TENTH} * 2654435761 % 1000000000, 'push', 'DELIVRD',
          {at} FROM numbers WHERE n <= {last - _open_messages()}""",
        f"""INSERT INTO raw_bodies (id, account, kind, source, content_type, query, body, received_ms, state)
        SELECT {_id(size, RAW)}, {_ACCOUNT}, 'report', 'push', 'application/json', made_bytes(0), made_bytes(120), {at},
          CASE WHEN n > {last - PENDING_RAW} THEN 'pending' WHEN n % 500 = 0 THEN 'quarantined' ELSE 'applied' END
        FROM numbers""",
        f"""INSERT INTO orphans (id, account, kind, source, task_id, mobile_text, content, received_ms, raw,
          resolved_ms)
        SELECT {_id(size, ORPHAN)}, {_ACCOUNT}, 'report', 'push', 'unknown ' || (n / 10), '13000000000', 'DELIVRD',
          {at},
          {_id(size, RAW)}, CASE WHEN n % 20 = 0 THEN {at} END FROM numbers WHERE n % 10 = 0""",
        f"""INSERT INTO inbound (id, team, account, mobile_text, text, occurred_ms, received_ms, matched_by, raw)
        SELECT {_id(size, INBOUND)}, {_TEAM}, {_ACCOUNT}, '13000000000', 'TD', {at}, {at}, 'last_sender',
          {_id(size, RAW)} FROM numbers WHERE n % 5 < 2""",
        f"""INSERT INTO inbound_seen (account, digest, mobile, source, paired)
        SELECT {_ACCOUNT}, made_id({at}, {INBOUND}, n), 13000000000, 'push', n % 2 FROM numbers WHERE n % 5 < 2""",
        f"""INSERT INTO suppressions (id, team, mobile, source, keyword, created_ms)
        SELECT {_id(size, OPTOUT)}, {_TEAM}, 13000000000 + n * {EACH_TENTH} * 2654435761 % 1000000000, 'inbound', 'TD',
          {at} FROM numbers""",
    ]


def _events(size: Size) -> list[str]:
    last, at = size.messages, _at(size)
    ago = f"({last} - n)"
    waiting = OPEN.due + OPEN.later + OPEN.leased
    is_leased = f"{ago} >= {OPEN.due + OPEN.later}"
    return [
        f"""INSERT INTO events (id, team, message, type, payload, created_ms)
        SELECT {_id(size, EVENT)}, {_TEAM}, {_id(size, MESSAGE)},
          CASE WHEN n % 50 = 0 THEN 'message.failed' ELSE 'message.delivered' END, made_bytes({PAYLOAD_BYTES}), {at}
        FROM numbers ORDER BY n""",
        f"""INSERT INTO deliveries (id, endpoint, event, team, attempt, due_ms, claim, lease_until_ms, created_ms)
        SELECT {_id(size, DELIVERY)}, {_ENDPOINT}, {_id(size, EVENT)}, {_TEAM}, 0,
          CASE WHEN {ago} < {OPEN.due} OR {is_leased} THEN {at} ELSE {NOW_MS + HOUR_MS} + n END,
          CASE WHEN {is_leased} THEN made_bytes(16) END, CASE WHEN {is_leased} THEN {NOW_MS + MINUTE_MS} + n END, {at}
        FROM numbers WHERE {ago} < {waiting}""",
        f"""INSERT INTO delivery_history (id, endpoint, event, team, status, attempt, created_ms, finished_ms)
        SELECT {_id(size, DELIVERY)}, {_ENDPOINT}, {_id(size, EVENT)}, {_TEAM},
          CASE WHEN n % 100 = 0 THEN 'exhausted' ELSE 'delivered' END, 1, {at}, {at} + 50
        FROM numbers WHERE {ago} >= {waiting}""",
        f"""INSERT INTO attempts (id, delivery, number, at_ms, duration_ms, status, outcome, answer)
        SELECT {_id(size, ATTEMPT)}, {_id(size, DELIVERY)}, 1, {at}, 50, 200, 'delivered', made_bytes(20)
        FROM numbers WHERE {ago} >= {waiting}""",
    ]


def _open_messages() -> int:
    return OPEN.queued + OPEN.scheduled + OPEN.submitting + OPEN.unconfirmed + OPEN.submitted


def _by_age(ago: str, names: tuple[str, ...], otherwise: str) -> str:
    """The state of what is so old: the newest have the first."""
    cases, below = [], 0
    for name in names:
        below += getattr(OPEN, name)
        cases.append(f"WHEN {ago} < {below} THEN '{name}'")
    return f"(CASE {' '.join(cases)} ELSE {otherwise} END)"


def _at(size: Size) -> str:
    return f"({NOW_MS - SPAN_MS} + {SPAN_MS} * n / {size.messages})"


def _id(size: Size, kind: int) -> str:
    return f"made_id({_at(size)}, {kind}, n)"
