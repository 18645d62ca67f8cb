"""Query strings: the same schemas and the same errors as bodies; a parameter that is not known is an error."""

import re
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl, urlencode

import msgspec
from msgspec import Meta

from relay.api.schema_errors import errors_of, nul_errors
from relay.domain.errors import FieldError, QueryInvalid

T = TypeVar("T", bound=msgspec.Struct)
_INTEGER = re.compile(r"-?[0-9]{1,18}\Z")
_MOST_PARAMETERS: Final = 100
_BOOLS: Final = {"true": True, "false": False}


class NoQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No parameters."""


class PageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page of a list."""

    limit: Annotated[int, Meta(ge=1, le=200, description="Rows of one page.")] = 50
    cursor: Annotated[
        str | None, Meta(description="The `next_cursor` of the page before; valid for this very list only.")
    ] = None


def read_query(raw: bytes, kind: type[T]) -> T:
    """The query string as a ``kind``. Raises QueryInvalid; its pointers are ``/<parameter>``.

    A list is written as ``a,b`` or by repeating its parameter; every other parameter may come once.
    """
    if not raw:
        return kind()
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise QueryInvalid("The query string is not percent-encoded UTF-8, or has too many parameters.") from None
    types = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    values: dict[str, Any] = {}
    repeated: list[FieldError] = []
    for name, text in pairs:
        if _is_list(types.get(name)):
            values.setdefault(name, []).extend(part for part in text.split(",") if part)
        elif name in values:
            repeated.append(FieldError(pointer=f"/{name}", detail="This parameter may come once."))
        else:
            values[name] = _value(text, types.get(name))
    errors = repeated + nul_errors(values)
    try:
        query = msgspec.convert(values, type=kind)
    except (msgspec.ValidationError, ValueError, OverflowError):
        errors += [
            FieldError(pointer=error.pointer, detail=error.detail.replace("This field", "This parameter"))
            for error in errors_of(values, kind)
        ]
    if errors:
        wrong = ", ".join(sorted({error.pointer[1:] for error in errors}))
        raise QueryInvalid(f"Wrong in the query: {wrong}.", errors=tuple(errors))
    return query


def query_wrong(name: str, detail: str) -> QueryInvalid:
    """One parameter is wrong in a way that its type does not say."""
    return QueryInvalid(f"Wrong in the query: {name}.", errors=(FieldError(pointer=f"/{name}", detail=detail),))


def with_cursor(raw: bytes, cursor: str) -> str:
    """The same query string with another cursor."""
    pairs = [pair for pair in parse_qsl(raw.decode("ascii"), keep_blank_values=True) if pair[0] != "cursor"]
    return urlencode([*pairs, ("cursor", cursor)])


def _parts(annotation: object) -> list[object]:
    """The annotation and everything that it is made of."""
    return [annotation, *(part for argument in get_args(annotation) for part in _parts(argument))]


def _value(text: str, annotation: object) -> object:
    """What the text says, if it can be read as what is asked for; else the text, which the schema then refuses."""
    if _takes(bool, annotation) and text in _BOOLS:
        return _BOOLS[text]
    return int(text) if _takes(int, annotation) and _INTEGER.match(text) else text


def _is_list(annotation: object) -> bool:
    return any(get_origin(part) is list for part in _parts(annotation))


def _takes(kind: type, annotation: object) -> bool:
    return any(part is kind for part in _parts(annotation))
