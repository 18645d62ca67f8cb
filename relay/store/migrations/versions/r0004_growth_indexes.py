"""What keeps a row as cheap among millions as among thousands: an index, and on PostgreSQL where rows lie and when they
are tidied away.

The release before finds recipients by number without an index, once this one is gone: right, but slow.
"""

from typing import Final

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# (span of time, number): see relay/store/scripts/spans.py. PostgreSQL compares bytes; SQLite cannot make them of text.
_BY_SPAN: Final = {
    "postgresql": "CREATE INDEX recipients_by_span ON recipients (SUBSTR(submission, 1, 3), mobile)",
    "sqlite": "CREATE INDEX recipients_by_span ON recipients (LOWER(HEX(SUBSTR(submission, 1, 3))), mobile)",
}
_POSTGRES: Final = (
    # Two indexes on what waits: with the same condition on both, a claim is now and then planned by this one, and then
    # reads all that waits for next week. A query must say "expires_ms > 0" to have it.
    "DROP INDEX submissions_expiring",
    "CREATE INDEX submissions_expiring ON submissions (expires_ms)"
    " WHERE status IN ('scheduled', 'queued') AND expires_ms > 0",
    # Rows that change where they lie touch no index. Of 15,360 changes of message_states 10,177 did so on full pages,
    # 13,392 with room; of 5,120 recipients 1,929 and 2,626. A recipient grows by a quarter when its report comes.
    "ALTER TABLE message_states SET (fillfactor = 70)",
    "ALTER TABLE recipients SET (fillfactor = 80)",
    # What is done lies dead at the front of the queues' indexes until it is vacuumed: a claim walks over 1,000,000 dead
    # deliveries for 50 ms (350 ms while an old snapshot is open), and takes 2 ms after a vacuum of 1 s. The default
    # waits for a fifth of the table: the more rows there are, the more dead ones a claim meets. Truncation would lock
    # claims out, and leave an empty table, for which PostgreSQL plans badly until it is analyzed again.
    "ALTER TABLE deliveries SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,"
    " autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off)",
    "ALTER TABLE submissions SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 20000)",
)


def upgrade() -> None:
    """Change one index, and tell PostgreSQL more of some tables."""
    dialect = op.get_bind().dialect.name
    op.execute(_BY_SPAN[dialect])
    op.drop_index("recipients_by_mobile", "recipients")
    if dialect == "postgresql":
        for statement in _POSTGRES:
            op.execute(statement)
