"""The audit: who did what, when, and from where. Entries are added, and never changed or deleted.

Decision: they are kept for ever, because they are few (people make them, not traffic) and hold no number or text.
"""

from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from relay.domain.ids import AuditId

AuditAction = Literal[
    "account.created",
    "account.updated",
    "account.deleted",
    "account.credentials_rotated",
    "account.callback_token_rotated",
    "account.callback_token_revoked",
    "account.probed",
    "team.created",
    "team.updated",
    "team.deleted",
    "extension.leased",
    "extension.released",
    "key.created",
    "key.updated",
    "key.rotated",
    "key.revoked",
    "suppression.added",
    "suppression.removed",
    "suppression.imported",
    "orphan.assigned",
    "orphan.reprocessed",
    "orphan.dismissed",
    "quarantine.reprocessed",
    "quarantine.dismissed",
    "keyring.key_added",
    "keyring.rotated",
    "keyring.reencrypted",
    "keyring.key_removed",
    "erasure.started",
    "erasure.done",
]
AuditFamily = Literal[
    "account.*",
    "team.*",
    "extension.*",
    "key.*",
    "suppression.*",
    "orphan.*",
    "quarantine.*",
    "keyring.*",
    "erasure.*",
]
"""All actions upon one kind of thing."""

CLI: Final = "cli"
"""The actor of a command: whoever may run it on the machine."""


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks. ``name``: the id of a key, or ``CLI``. ``from_address``: the other end of the connection."""

    name: str
    from_address: str | None
    request_id: str | None


COMMAND: Final = Actor(name=CLI, from_address=None, request_id=None)
"""Who runs a command."""
SYSTEM: Final = Actor(name="system", from_address=None, request_id=None)
"""The gateway itself, by its settings."""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done. ``target`` and ``detail`` hold no number, text or secret."""

    id: AuditId
    at_ms: int
    actor: Actor
    action: AuditAction
    target: str
    detail: dict[str, Any]


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries; None leaves a thing open. Both times are exclusive."""

    action: AuditAction | AuditFamily | None = None
    actor: str | None = None
    target: str | None = None
    after_ms: int | None = None
    before_ms: int | None = None


class AuditView(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the audit. `actor` is the id of an API key, `cli` for a command on the
    machine itself, or `system` for the gateway's own doing; `target`
    and `detail` show no number but its last two digits."""

    id: AuditId
    at: datetime
    actor: str
    action: AuditAction
    target: str
    detail: dict[str, Any]
    from_address: str | None
    request_id: str | None
