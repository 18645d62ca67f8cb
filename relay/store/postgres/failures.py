"""The one seam where PostgreSQL's and asyncpg's errors become ours."""

from typing import Final

import asyncpg

from relay.domain.errors import SchemaMissing, StoreError, StoreUnavailable

# Source: PostgreSQL documentation, appendix A. Classes 08 connection, 53 resources (full disk, too many connections),
# 57 operator (shutdown, statement time-out), 58 system, 28 authorization, 3D no such database; 25006 a standby, as
# after a failover; 25P03 and 25P04 the transaction took too long and was ended; 55P03 a lock did not come in time.
_UNAVAILABLE_CLASSES: Final = frozenset({"08", "28", "3D", "53", "57", "58"})
_UNAVAILABLE: Final = frozenset({"25006", "25P03", "25P04", "55P03"})
_LOST: Final = frozenset({"25006", "25P03", "25P04"})
_AGAIN: Final = frozenset({"40001", "40P01"})
_LOCKED: Final = "55P03"
_SLOW: Final = "57014"
_UNIQUE: Final = "23505"
_MISSING: Final = frozenset({"42P01", "42703", "3F000"})
# Prepared statements that are not there, or are there already: the server process is not the one that prepared.
_PREPARED: Final = frozenset({"26000", "42P05"})
_VALUE: Final = "22"
_PARAMETER: Final = "22023"

# InternalClientError: what asyncpg says when the server ended the session while it lay idle. TimeoutError is an
# OSError.
_GONE: Final = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)
ERRORS: Final = (*_GONE, asyncpg.PostgresError)
"""Whatever a call of asyncpg raises."""


class Broken(Exception):
    """A statement failed, or its answer did not come in time; ``__cause__`` is what PostgreSQL or asyncpg says."""


def is_contention(error: BaseException) -> bool:
    """Another transaction was in the way; it is gone now, or its rows can be seen now: try again."""
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        # The schema was migrated under us; asyncpg has forgotten the statement.
        return True
    return _state(error) in _AGAIN or is_broken_constraint(error)


def is_broken_constraint(error: BaseException) -> bool:
    """A key was taken by somebody whom this transaction could not see yet."""
    return _state(error) == _UNIQUE


def is_locked(error: BaseException | None) -> bool:
    """A lock did not come in time."""
    return _state(error) == _LOCKED


def is_slow(error: BaseException | None) -> bool:
    """A statement was not done in time."""
    return _state(error) == _SLOW


def is_unknown_number(error: BaseException) -> bool:
    """A transaction of this number has not begun yet, as far as the server knows: it crashed, and forgot."""
    return _state(error.__cause__) == _PARAMETER


def is_lost(error: BaseException) -> bool:
    """The connection is gone, and with it its transaction; or it leads to where nothing can be written."""
    if isinstance(error, asyncpg.PostgresError):
        # 57P01 to 57P05: the server ends the session. 25P03: the transaction idled too long, as after a SIGSTOP.
        # 25006: it has become a standby; a new connection may find the one that took over.
        state = _state(error)
        return state[:2] == "08" or state[:3] == "57P" or state in _LOST
    # ValueError: asyncpg refused a value before it sent anything.
    return isinstance(error, _GONE) and not isinstance(error, ValueError)


def translated(error: BaseException) -> StoreError:
    """Ours for theirs, raised ``from`` theirs. The server's own text may quote values, so only its code and class are
    told."""
    if isinstance(error, StoreError):
        return error
    state = _state(error)
    what = f"{type(error).__name__} {state}".strip()
    failure: StoreError
    if state in _MISSING:
        failure = schema_missing()
    elif state[:2] in _UNAVAILABLE_CLASSES or state in _UNAVAILABLE or is_lost(error):
        failure = StoreUnavailable(f"PostgreSQL cannot be used now: {what}")
    elif state in _PREPARED:
        failure = StoreError(f"a pooler changes connections under us, set RELAY_DATABASE_POOLER=transaction: {what}")
    else:
        failure = StoreError(f"the statement failed: {what}")
    failure.__cause__ = _without_values(error)
    return failure


def schema_missing() -> SchemaMissing:
    """A table or a column is not there."""
    return SchemaMissing("the database is not migrated to this release: run `relay migrate`")


def _without_values(error: BaseException) -> BaseException:
    """What is logged of an error is its whole chain: numbers and texts must not be in any part of it."""
    if isinstance(error, asyncpg.PostgresError):
        # The detail quotes the row or the key.
        error.detail = None
        if _state(error)[:2] == _VALUE:
            error.args = ("a value is not one that PostgreSQL takes",)
    elif isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
        error.args = ("a value is not one that its column takes",)
        error.__cause__ = error.__context__ = None
    return error


def _state(error: BaseException | None) -> str:
    return (error.sqlstate or "") if isinstance(error, asyncpg.PostgresError) else ""
