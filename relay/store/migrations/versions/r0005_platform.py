"""What the platform team administers: changes with a version, leases of extensions per account, opt-outs, the key ring;
an audit that the database keeps.

Additive. The release before leases extensions for all accounts, keeps to the password that it knows, and sees accounts
and teams that were deleted since, which nobody names any more.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ID = sa.LargeBinary(16)
_MS = sa.BigInteger()


def upgrade() -> None:
    """Add columns and tables."""
    op.add_column("accounts", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    # Where the password is read from, as `file:…` or `env:…`; what is sealed is then what it was last.
    op.add_column("accounts", sa.Column("password_ref", sa.Text(), nullable=True))
    # The password before, for a time.
    op.add_column("accounts", sa.Column("fallback_sealed", sa.LargeBinary(), nullable=True))
    op.add_column("accounts", sa.Column("fallback_until_ms", _MS, nullable=True))
    op.add_column("accounts", sa.Column("deleted_ms", _MS, nullable=True))
    op.add_column("teams", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    # The part of a team that only the gateway reads, as one JSON text.
    op.add_column("teams", sa.Column("settings", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("teams", sa.Column("deleted_ms", _MS, nullable=True))
    op.add_column("api_keys", sa.Column("last_used_ms", _MS, nullable=True))
    op.add_column("balances", sa.Column("low", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "balance_samples",
        sa.Column("account", _ID, primary_key=True),
        sa.Column("at_ms", _MS, primary_key=True, autoincrement=False),
        sa.Column("amount", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    _lease_extensions_per_account()
    op.create_table(
        "suppressions",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("team", _ID, nullable=False),
        sa.Column("mobile", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("keyword", sa.Text(), nullable=True),
        sa.Column("created_ms", _MS, nullable=False),
    )
    op.create_index("suppressions_of_number", "suppressions", ["mobile", "team"], unique=True)
    op.create_index("suppressions_by_team", "suppressions", ["team", "id"])
    # One sealed word for each key of the ring: a ring that opens none of them is not the one of this database.
    op.create_table(
        "key_ring_marks",
        sa.Column("key_id", sa.Text(), primary_key=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_ms", _MS, nullable=False),
        # Since when it seals, or did; a key that never has is one that is still being handed out.
        sa.Column("activated_ms", _MS, nullable=True),
    )
    # Which keys each running process has, the one that seals first, as one JSON text.
    op.create_table(
        "key_ring_holders",
        sa.Column("id", sa.LargeBinary(8), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key_ids", sa.Text(), nullable=False),
        sa.Column("seen_ms", _MS, nullable=False),
    )
    op.add_column("orphans", sa.Column("resolution", sa.Text(), nullable=True))
    open_ones = sa.text("resolved_ms IS NULL")
    op.create_index("orphans_open", "orphans", ["id"], sqlite_where=open_ones, postgresql_where=open_ones)
    # Of a body in quarantine: which of its rows were applied, so that none is applied twice.
    op.add_column("raw_bodies", sa.Column("applied", sa.Text(), nullable=True))
    _keep_the_audit()


def _lease_extensions_per_account() -> None:
    # No account (16 zeros): for all of them, as it was.
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "ALTER TABLE team_extensions ADD COLUMN account BYTEA NOT NULL DEFAULT decode(repeat('00', 16), 'hex')"
        )
        op.execute("ALTER TABLE team_extensions DROP CONSTRAINT team_extensions_pkey")
        op.execute("ALTER TABLE team_extensions ADD PRIMARY KEY (extension, account)")
    else:
        op.rename_table("team_extensions", "team_extensions_before")
        op.create_table(
            "team_extensions",
            sa.Column("extension", sa.Text(), primary_key=True),
            sa.Column("account", _ID, primary_key=True, server_default=sa.text("x'00000000000000000000000000000000'")),
            sa.Column("team", _ID, nullable=False),
        )
        op.execute("INSERT INTO team_extensions (extension, team) SELECT extension, team FROM team_extensions_before")
        op.drop_table("team_extensions_before")
    op.create_index("team_extensions_of_team", "team_extensions", ["team", "extension"])


def _keep_the_audit() -> None:
    # Entries are added and nothing else, also by a mistake of ours. Who owns the database can take the triggers away.
    refused = "the audit is append-only"
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION refuse_change_of_audit() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{refused}'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_refuses_{change.lower()} BEFORE {change} ON audit "
            f"BEGIN SELECT RAISE(ABORT, '{refused}'); END"
        )
