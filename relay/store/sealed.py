"""Every sealed column: where its values belong, and how one walk comes to all of them.

A column whose name says ``sealed`` and that is not here would keep its old key for ever; a test holds this table
against the schema. The queries ``sealed.<short>`` and ``reseal.<short>`` in ``sql/keyring.sql`` belong to each.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec


class SealedColumn(msgspec.Struct, frozen=True, kw_only=True):
    """``keys``: the primary key; ``first`` comes before every value of it. ``place`` takes its values. ``grows``: its
    rows come with the traffic, not with teams and accounts."""

    table: str
    column: str
    short: str
    keys: tuple[str, ...] = ("id",)
    first: tuple[Any, ...] = (b"",)
    place: Callable[..., str]
    grows: bool = False


def password_place(account: bytes) -> str:
    """Of an account's password."""
    return f"accounts:password:{account.hex()}"


def fallback_place(account: bytes) -> str:
    """Of the password that an account had before."""
    return f"accounts:fallback:{account.hex()}"


def headers_place(endpoint: bytes) -> str:
    """Of an endpoint's own headers."""
    return f"endpoints:headers:{endpoint.hex()}"


def secrets_place(endpoint: bytes) -> str:
    """Of an endpoint's signing secrets."""
    return f"endpoints:secrets:{endpoint.hex()}"


def answer_place(scope: str, key: str) -> str:
    """Of the answer kept for an Idempotency-Key."""
    return f"idempotency:answer:{scope}:{key}"


def mark_place(key_id: str) -> str:
    """Of what shows that a key is the right one."""
    return f"key_ring_marks:sealed:{key_id}"


SEALED: Final[tuple[SealedColumn, ...]] = (
    SealedColumn(table="accounts", column="password_sealed", short="password", place=password_place),
    SealedColumn(table="accounts", column="fallback_sealed", short="fallback", place=fallback_place),
    SealedColumn(table="endpoints", column="headers_sealed", short="headers", place=headers_place),
    SealedColumn(table="endpoints", column="secrets_sealed", short="secrets", place=secrets_place),
    SealedColumn(
        table="idempotency",
        column="answer_sealed",
        short="answer",
        keys=("scope", "key"),
        first=("", ""),
        place=answer_place,
        grows=True,
    ),
)
KEPT: Final = frozenset({("key_ring_marks", "sealed")})
"""Sealed columns whose values keep their keys: a mark shows that its own key is the right one."""
