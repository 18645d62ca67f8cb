"""The one password of a request: in clear, as its MD5, or where it stands."""

from typing import Protocol

from relay.domain.errors import BodyInvalid, FieldError, SecretUnreadable
from relay.ports import SecretReader
from relay.services.references import password_md5


class GivesPassword(Protocol):
    """A request that holds a password in one of three ways."""

    @property
    def password(self) -> str | None: ...

    @property
    def password_md5(self) -> str | None: ...

    @property
    def password_ref(self) -> str | None: ...


async def given_md5(request: GivesPassword, secrets: SecretReader) -> str:
    """Its MD5. Raises BodyInvalid unless there is exactly one, and for a reference that cannot be read now."""
    given = (request.password, request.password_md5, request.password_ref)
    if sum(one is not None for one in given) != 1:
        raise BodyInvalid(
            "Give the password, its MD5 or where it is read from: one of them.",
            errors=(FieldError(pointer="/password", detail="exactly one of password, password_md5 and password_ref"),),
        )
    if request.password_md5 is not None:
        return request.password_md5.lower()
    if request.password is not None:
        return password_md5(request.password)
    try:
        return password_md5(await secrets.read(request.password_ref or ""))
    except SecretUnreadable as error:
        raise BodyInvalid(
            "The password cannot be read.", errors=(FieldError(pointer="/password_ref", detail=str(error)),)
        ) from error
