"""What the platform team may send of API keys."""

from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from relay.api.inputs import END, Instant, Name, moment_ms, refuse, repeated, wrong
from relay.domain.ids import KeyId, TeamId
from relay.domain.keys import KeyView
from relay.domain.teams import Mode, Scope
from relay.domain.times import LATEST_MS
from relay.services.requests import KeyChange, KeyRequest, KeyRotation

_ID: Final = rf"[0-9a-f]{{32}}{END}"
USUAL_OVERLAP_S: Final = 86_400
MOST_OVERLAP_S: Final = 30 * 86_400


class KeyInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An API key. The scope `admin` makes a platform key: it stands alone and without a team."""

    team_id: Annotated[str, Meta(pattern=rf"^team_{_ID}")] | None = None
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=16)]
    mode: Annotated[Mode, Meta(description="What a `test` key sends is served by the sandbox account.")] = "live"
    expires_at: Annotated[Instant | None, Meta(description="Null: never.")] = None
    name: Name | None = None


class KeyPatchInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes of an API key; what it may do never does."""

    name: Name | UnsetType | None = UNSET
    expires_at: Annotated[Instant | None, Meta(description="Later than now. Null: never.")] | UnsetType = UNSET


class KeyRotationInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new API key in place of one."""

    overlap_s: Annotated[
        int, Meta(ge=0, le=MOST_OVERLAP_S, description="So many seconds the old key goes on; 0: it ends now.")
    ] = USUAL_OVERLAP_S
    expires_at: (
        Annotated[
            Instant | None,
            Meta(
                description="When the new key expires; null: never. Without it, as long after now as the old one was "
                "given, if it was given an end."
            ),
        ]
        | UnsetType
    ) = UNSET


class KeyCreated(KeyView, frozen=True, kw_only=True):
    """The key, and this once its secret."""

    secret: str


def key_request(wanted: KeyInput, now_ms: int) -> KeyRequest:
    """The request in a body. Raises BodyInvalid when scopes and team do not fit, or for an expiry that has passed."""
    expires_ms = moment_ms(wanted.expires_at)
    errors = repeated("scopes", wanted.scopes)
    if "admin" in wanted.scopes and len(set(wanted.scopes)) > 1:
        errors.append(wrong("/scopes", "The scope admin stands alone."))
    if "admin" in wanted.scopes and wanted.team_id is not None:
        errors.append(wrong("/team_id", "A key with the scope admin belongs to no team."))
    if "admin" in wanted.scopes and wanted.mode != "live":
        errors.append(wrong("/mode", "A platform key is no test key: the sandbox is all that one may reach."))
    if "admin" not in wanted.scopes and wanted.team_id is None:
        errors.append(wrong("/team_id", "This field is required for the scopes of a team."))
    if expires_ms is not None and not now_ms < expires_ms <= LATEST_MS:
        errors.append(wrong("/expires_at", "This time must be later than now."))
    if errors:
        raise refuse(*errors)
    return KeyRequest(
        team_id=None if wanted.team_id is None else TeamId(wanted.team_id),
        scopes=wanted.scopes,
        mode=wanted.mode,
        expires_ms=expires_ms,
        name=wanted.name,
    )


class KeyRotated(KeyCreated, frozen=True, kw_only=True):
    """The new key, this once its secret, and the key that it `replaces`, which works until `replaced_expires_at`."""

    replaces: KeyId
    replaced_expires_at: datetime


def key_change(wanted: KeyPatchInput, now_ms: int) -> KeyChange:
    """The request in a body. Raises BodyInvalid for an expiry that has passed."""
    return KeyChange(name=wanted.name, expires_ms=_expiry(wanted.expires_at, now_ms))


def key_rotation(wanted: KeyRotationInput, now_ms: int) -> KeyRotation:
    """The request in a body. Raises BodyInvalid for an expiry that has passed."""
    return KeyRotation(overlap_s=wanted.overlap_s, expires_ms=_expiry(wanted.expires_at, now_ms))


def _expiry(moment: datetime | UnsetType | None, now_ms: int) -> int | UnsetType | None:
    if isinstance(moment, UnsetType):
        return UNSET
    expires_ms = moment_ms(moment)
    if expires_ms is not None and not now_ms < expires_ms <= LATEST_MS:
        raise refuse(wrong("/expires_at", "This time must be later than now."))
    return expires_ms
