"""The first schema.

Ids are the 16 bytes of a UUIDv7; ``*_ms`` are milliseconds since 1970 UTC; flags are 0 or 1. Recipients are narrow:
``status`` 0 means "as its submission", so that a submission of 3,000 changes state by one row.

On PostgreSQL what grows fastest is partitioned by id, which begins with the time: relay/store/partitions.py makes a
partition for each day. What lies in none goes to the default partition.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from relay.domain.states import STATUSES

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.LargeBinary(16)
MS = sa.BigInteger()


def _id(name: str, *, optional: bool = False, key: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, ID, nullable=optional, primary_key=key)


def _ms(name: str, *, optional: bool = False) -> sa.Column[int]:
    return sa.Column(name, MS, nullable=optional)


def _text(name: str, *, optional: bool = False, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=optional, primary_key=key)


def _int(name: str, *, optional: bool = False, default: int | None = None) -> sa.Column[int]:
    return sa.Column(
        name, sa.Integer(), nullable=optional, server_default=None if default is None else sa.text(str(default))
    )


def _blob(name: str, *, optional: bool = False, key: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=optional, primary_key=key)


def _index(name: str, table: str, columns: list[str], where: str | None = None, *, unique: bool = False) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def _partitioned(name: str, *columns: sa.Column[Any]) -> None:
    """A table that is partitioned by id where there are partitions."""
    op.create_table(name, *columns, postgresql_partition_by="RANGE (id)")
    if _on_postgres():
        op.execute(f"CREATE TABLE {name}_default PARTITION OF {name} DEFAULT")


def _on_postgres() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def upgrade() -> None:
    """Create every table."""
    _platform()
    _messages()
    _received()
    _events()


def _platform() -> None:
    op.create_table(
        "teams",
        _id("id", key=True),
        sa.Column("name", sa.Text(), nullable=False, unique=True),
        _text("signature", optional=True),
        _text("accounts"),
        _int("quota_units_per_day", optional=True),
        sa.Column("requests_per_s", sa.Float(53), nullable=True),
        _text("recipient_limits"),
        _ms("created_ms"),
    )
    op.create_table("team_extensions", _text("extension", key=True), _id("team"))
    op.create_table(
        "accounts",
        _id("id", key=True),
        sa.Column("name", sa.Text(), nullable=False, unique=True),
        _text("base_url"),
        _text("account"),
        _blob("password_sealed"),
        _text("settings"),
        _int("sandbox"),
        _int("disabled"),
        _ms("created_ms"),
    )
    op.create_table(
        "callback_tokens",
        _blob("hash", key=True),
        _id("account"),
        _ms("created_ms"),
        _ms("expires_ms", optional=True),
    )
    op.create_table("balances", _id("account", key=True), _text("amount"), _int("prepaid"), _ms("as_of_ms"))
    op.create_table(
        "api_keys",
        _id("id", key=True),
        sa.Column("hash", sa.LargeBinary(), nullable=False, unique=True),
        _id("team", optional=True),
        _text("name", optional=True),
        _text("hint"),
        _text("scopes"),
        _text("mode"),
        _ms("created_ms"),
        _ms("expires_ms", optional=True),
        _ms("revoked_ms", optional=True),
    )
    _index("api_keys_by_team", "api_keys", ["team", "id"])
    op.create_table(
        "idempotency",
        _text("scope", key=True),
        _text("key", key=True),
        _blob("fingerprint"),
        _int("status"),
        _blob("answer_sealed"),
        _ms("created_ms"),
        sqlite_with_rowid=False,
    )
    _index("idempotency_by_age", "idempotency", ["created_ms"])
    op.create_table(
        "quota_use", _id("team", key=True), _text("day", key=True), sa.Column("units", sa.BigInteger(), nullable=False)
    )


def _messages() -> None:
    op.create_table(
        "messages",
        _id("id", key=True),
        _id("team"),
        _id("api_key"),
        _text("mode"),
        _text("text"),
        _text("extension", optional=True),
        _text("reference", optional=True),
        _text("metadata"),
        _text("category"),
        _text("on_unconfirmed"),
        _ms("created_ms"),
        _ms("send_at_ms", optional=True),
        _ms("expires_ms"),
        _int("segments"),
        _int("to_count"),
        _text("refused"),
        _text("quota_day", optional=True),
    )
    _index("messages_by_team", "messages", ["team", "id"])
    _index("messages_by_reference", "messages", ["team", "reference", "id"], "reference IS NOT NULL")
    # Narrow and hot: every change of a recipient touches this row, never the wide one with the text.
    op.create_table(
        "message_states",
        _id("message", key=True),
        _int("event_seq"),
        *(_int(f"n_{status}", default=0) for status in STATUSES),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "submissions",
        _id("id", key=True),
        _id("message"),
        _id("account"),
        _text("status"),
        _int("priority"),
        _ms("due_ms"),
        _ms("expires_ms"),
        _int("attempt"),
        _int("maybe_sent"),
        _blob("claim", optional=True),
        _ms("lease_until_ms", optional=True),
        _ms("since_ms"),
        _int("told"),
        _int("n_total"),
        _int("n_open"),
        _text("provider_task_id", optional=True),
        _text("code", optional=True),
        _text("provider_message", optional=True),
        _text("reason", optional=True),
        _ms("submitted_ms", optional=True),
        _ms("final_ms", optional=True),
    )
    waiting = "status IN ('scheduled', 'queued')"
    # Unique says that the recipients of a message come in order without being sorted.
    _index("submissions_by_message", "submissions", ["message", "id"], unique=True)
    _index("submissions_due", "submissions", ["account", "priority", "due_ms"], waiting)
    _index("submissions_expiring", "submissions", ["expires_ms"], waiting)
    _index("submissions_running", "submissions", ["lease_until_ms"], "status = 'submitting'")
    _index("submissions_untold", "submissions", ["since_ms"], "status = 'unconfirmed' AND told = 0 AND n_open > 0")
    _index("submissions_silent", "submissions", ["since_ms"], "status IN ('submitted', 'unconfirmed') AND n_open > 0")
    _index("submissions_by_task", "submissions", ["provider_task_id"], "provider_task_id IS NOT NULL")
    op.create_table(
        "recipients",
        _id("submission", key=True),
        sa.Column("mobile", sa.BigInteger(), primary_key=True, autoincrement=False),
        _int("status"),
        _text("reason", optional=True),
        _text("provider_status", optional=True),
        _ms("final_ms", optional=True),
        sqlite_with_rowid=False,
    )
    _index("recipients_by_mobile", "recipients", ["mobile", "submission"])


def _received() -> None:
    op.create_table(
        "reports",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        _id("submission"),
        sa.Column("mobile", sa.BigInteger(), nullable=False),
        _text("source"),
        _text("raw_status"),
        _text("raw_time", optional=True),
        _ms("received_ms"),
    )
    _index("reports_by_recipient", "reports", ["submission", "mobile"])
    _partitioned(
        "raw_bodies",
        _id("id", key=True),
        _id("account"),
        _text("kind"),
        _text("source"),
        _text("content_type"),
        _blob("query"),
        _blob("body"),
        _ms("received_ms"),
        _text("state"),
        _text("why", optional=True),
    )
    _index("raw_bodies_pending", "raw_bodies", ["id"], "state = 'pending'")
    _index("raw_bodies_quarantined", "raw_bodies", ["id"], "state = 'quarantined'")
    op.create_table(
        "orphans",
        _id("id", key=True),
        _id("account"),
        _text("kind"),
        _text("source"),
        _text("task_id", optional=True),
        _text("mobile_text"),
        _text("content"),
        _text("extension", optional=True),
        _text("raw_time", optional=True),
        _ms("occurred_ms", optional=True),
        _ms("received_ms"),
        _id("raw"),
        _ms("resolved_ms", optional=True),
    )
    _index("orphans_by_task", "orphans", ["account", "task_id"], "resolved_ms IS NULL AND task_id IS NOT NULL")
    op.create_table(
        "inbound",
        _id("id", key=True),
        _id("team"),
        _id("account"),
        _text("mobile_text"),
        _text("extension", optional=True),
        _text("text"),
        _ms("occurred_ms", optional=True),
        _ms("received_ms"),
        _text("matched_by"),
        _id("message", optional=True),
        _id("raw"),
    )
    _index("inbound_by_team", "inbound", ["team", "id"])
    # Pairs the pushed and the pulled copy of one inbound message; see relay/store/scripts/inbound.py.
    op.create_table(
        "inbound_seen",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        _id("account"),
        _blob("digest"),
        sa.Column("mobile", sa.BigInteger(), nullable=True),
        _text("source"),
        _int("paired"),
    )
    _index("inbound_seen_unpaired", "inbound_seen", ["account", "digest"], "paired = 0")


def _event_columns() -> list[sa.Column[Any]]:
    return [_id("team"), _id("message", optional=True), _text("type"), _blob("payload"), _ms("created_ms")]


def _events() -> None:
    if _on_postgres():
        # A unique position would need the partition key in it: the sequence alone makes it unique.
        op.execute("CREATE SEQUENCE events_position")
        position = sa.Column("position", MS, nullable=False, server_default=sa.text("nextval('events_position')"))
        _partitioned("events", _id("id", key=True), position, *_event_columns())
    else:
        # AUTOINCREMENT: a position that a poller has seen is never given again, also when the newest rows were deleted.
        op.create_table(
            "events",
            sa.Column("position", sa.Integer(), primary_key=True, autoincrement=True),
            sa.Column("id", ID, nullable=False, unique=True),
            *_event_columns(),
            sqlite_autoincrement=True,
        )
    _index("events_by_team", "events", ["team", "position"])
    op.create_table(
        "endpoints",
        _id("id", key=True),
        _id("team"),
        _text("url"),
        _text("event_types"),
        _text("extensions"),
        _text("description", optional=True),
        _blob("headers_sealed"),
        _blob("secrets_sealed"),
        _int("max_in_flight"),
        _text("status"),
        _text("disabled_reason", optional=True),
        _ms("paused_until_ms", optional=True),
        _ms("failing_since_ms", optional=True),
        _ms("created_ms"),
        _ms("deleted_ms", optional=True),
    )
    _index("endpoints_by_team", "endpoints", ["team", "id"], "deleted_ms IS NULL")
    # Hot: only what is not finished. Finished rows move to delivery_history.
    op.create_table(
        "deliveries",
        _id("id", key=True),
        _id("endpoint"),
        _id("event"),
        _id("team"),
        _int("attempt"),
        _ms("due_ms"),
        _blob("claim", optional=True),
        _ms("lease_until_ms", optional=True),
        _ms("created_ms"),
    )
    _index("deliveries_due", "deliveries", ["endpoint", "due_ms"], "claim IS NULL")
    _index("deliveries_leased", "deliveries", ["lease_until_ms"], "claim IS NOT NULL")
    _index("deliveries_by_team", "deliveries", ["team", "id"])
    _partitioned(
        "delivery_history",
        _id("id", key=True),
        _id("endpoint"),
        _id("event"),
        _id("team"),
        _text("status"),
        _int("attempt"),
        _ms("created_ms"),
        _ms("finished_ms"),
    )
    _index("delivery_history_by_team", "delivery_history", ["team", "id"])
    _partitioned(
        "attempts",
        _id("id", key=True),
        _id("delivery"),
        _int("number"),
        _ms("at_ms"),
        _int("duration_ms"),
        _int("status", optional=True),
        _text("error", optional=True),
        _text("outcome"),
        _blob("answer"),
    )
    _index("attempts_by_delivery", "attempts", ["delivery", "number"])
