"""The one seam where PostgreSQL's and asyncpg's errors become ours."""

from typing import Final

import asyncpg

from relay.domain.errors import SchemaMissing, StoreError, StoreUnavailable

# Source: PostgreSQL documentation, appendix A. Classes 08 connection, 53 resources (full disk, too many connections),
# 57 operator (shutdown, statement time-out), 58 system, 28 authorization, 3D no such database; 25006 a standby, as after
# a failover; 25P02 to 25P04 the transaction was ended for us; 55P03 a lock that did not come in time.
_UNAVAILABLE_CLASSES: Final = frozenset({"08", "28", "3D", "53", "57", "58"})
_UNAVAILABLE: Final = frozenset({"25006", "25P03", "25P04", "55P03"})
_AGAIN: Final = frozenset({"40001", "40P01"})
_UNIQUE: Final = "23505"
_MISSING: Final = frozenset({"42P01", "42703", "3F000"})

# asyncpg.InternalClientError: "my connection is in no state for this", and nothing was sent. The server has ended an idle
# session and its last words have come, but not yet the end; or a statement before was cut off by a time-out.
LOST: Final = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError, asyncpg.PostgresConnectionError)
"""What a connection that is gone raises; TimeoutError is an OSError."""


def is_contention(error: BaseException) -> bool:
    """Another transaction was in the way; it is gone now, or its rows can be seen now: try again."""
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        # The schema was migrated under us; asyncpg has forgotten the statement.
        return True
    return isinstance(error, asyncpg.PostgresError) and (error.sqlstate in _AGAIN or error.sqlstate == _UNIQUE)


def is_broken_constraint(error: BaseException) -> bool:
    """A key was taken by somebody whom this transaction could not see yet."""
    return isinstance(error, asyncpg.PostgresError) and error.sqlstate == _UNIQUE


def is_lost(error: BaseException) -> bool:
    """The connection is gone, and with it its transaction."""
    if isinstance(error, asyncpg.PostgresError):
        # 57P01 to 57P05: the server ends the session. 25P03: the transaction idled too long, as after a SIGSTOP.
        state = error.sqlstate or ""
        return state[:2] == "08" or state[:3] == "57P" or state in ("25P03", "25P04")
    return isinstance(error, LOST) and not isinstance(error, ValueError)


def translated(error: Exception) -> StoreError:
    """Ours for theirs. The server's own text may quote values, so only its code and class are told."""
    if isinstance(error, StoreError):
        return error
    state = (error.sqlstate or "") if isinstance(error, asyncpg.PostgresError) else ""
    what = f"{type(error).__name__} {state}".strip()
    failure: StoreError
    if state in _MISSING:
        failure = SchemaMissing("the database is not migrated to this release: run `relay migrate`")
    elif state[:2] in _UNAVAILABLE_CLASSES or state in _UNAVAILABLE or is_lost(error):
        failure = StoreUnavailable(f"PostgreSQL cannot be used now: {what}")
    else:
        failure = StoreError(f"the statement failed: {what}")
    failure.__cause__ = error
    return failure
