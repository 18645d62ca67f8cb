"""What the platform team may send of API keys."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from relay.api.inputs import END, Instant, Name, moment_ms, refuse, repeated, wrong
from relay.domain.ids import TeamId
from relay.domain.teams import KeyView, Mode, Scope
from relay.domain.times import LATEST_MS
from relay.services.requests import KeyRequest

_ID: Final = rf"[0-9a-f]{{32}}{END}"


class KeyInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An API key. The scope `admin` makes a platform key: it stands alone and without a team."""

    team_id: Annotated[str, Meta(pattern=rf"^team_{_ID}")] | None = None
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=16)]
    mode: Annotated[Mode, Meta(description="What a `test` key sends is served by the sandbox account.")] = "live"
    expires_at: Annotated[Instant | None, Meta(description="Null: never.")] = None
    name: Name | None = None


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
