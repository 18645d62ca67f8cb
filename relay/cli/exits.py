"""Exit codes, in one place: a script can tell what went wrong without reading."""

from typing import Final

from relay.domain.errors import (
    ConfigError,
    CredentialsRefused,
    KeyRingError,
    Refusal,
    RelayError,
    StoreError,
    StoreInUse,
)

FAILED: Final = 1
CONFIG: Final = 3
IN_USE: Final = 4
STORE: Final = 5

HELP: Final = """\b
Exit codes: 0 done, 1 it failed, 2 wrong usage, 3 a setting or the key ring
is wrong, 4 the database file is in use by another process, 5 the database
cannot be reached or is not migrated."""

_CODES: Final[tuple[tuple[type[RelayError], int, str], ...]] = (
    # The first that fits counts.
    (ConfigError, CONFIG, "configuration"),
    (KeyRingError, CONFIG, "key ring"),
    (StoreInUse, IN_USE, "database"),
    (StoreError, STORE, "database"),
    (Refusal, FAILED, "refused"),
    (RelayError, FAILED, "failed"),
)


def code_of(kind: type[RelayError]) -> int:
    """The exit code of an error of this class."""
    return _row(kind)[1]


def explain(error: RelayError) -> tuple[int, str]:
    """Exit code and the one line that standard error gets."""
    _, code, what = _row(type(error))
    says = " ".join(str(error).split()) or (type(error).__doc__ or "").partition("\n")[0]
    if isinstance(error, Refusal) and error.errors:
        says += " " + "; ".join(f"{wrong.pointer} {wrong.detail}" for wrong in error.errors)
    if isinstance(error, CredentialsRefused):
        says += f" It says: {error.provider_code} {error.provider_message or ''}".rstrip()
    return code, f"relay: {what}: {says}"


def _row(kind: type[RelayError]) -> tuple[type[RelayError], int, str]:
    return next(row for row in _CODES if issubclass(kind, row[0]))
