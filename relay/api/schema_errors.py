"""The slow path: every place where a decoded JSON value breaks a type, as JSON Pointers.

msgspec stops at the first error; this walks the annotations and lets msgspec judge each part. It runs only for bodies
that were refused, and the pointers come out in document order.
"""

import difflib
import types
from collections.abc import Iterator
from typing import Annotated, Final, Literal, Union, get_args, get_origin

import msgspec

from relay.domain.errors import FieldError

_NAME_SHOWN: Final = 64
_REGEX: Final = " matching regex "
_NO_LINE_BREAK: Final = r"(?!\n)"
"""The end of our patterns, which tells their readers nothing: `$` alone would let a line break pass."""


def errors_of(value: object, annotation: object) -> list[FieldError]:
    """All errors of ``value`` as an ``annotation``; at least one, to be called when msgspec refused it."""
    return list(_walk(value, annotation, "")) or [FieldError(pointer="", detail="This is not what is expected here.")]


def nul_errors(value: object, pointer: str = "") -> list[FieldError]:
    """The texts and keys that hold a NUL character."""
    if isinstance(value, str):
        return [FieldError(pointer=pointer, detail="NUL characters are not allowed.")] if "\0" in value else []
    found: list[FieldError] = []
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += nul_errors(item, f"{pointer}/{index}")
    elif isinstance(value, dict):
        for key, item in value.items():
            if "\0" in key:
                found.append(FieldError(pointer=pointer, detail="A key holds a NUL character."))
            found += nul_errors(item, _below(pointer, key.replace("\0", "")))
    return found


def _walk(value: object, annotation: object, pointer: str) -> Iterator[FieldError]:
    try:
        msgspec.convert(value, type=annotation)
    except msgspec.ValidationError as error:
        message = str(error)
    except (OverflowError, ValueError):
        message = "This value is out of range"
    else:
        return
    inner = list(_walk_parts(value, _arm_for(value, annotation), pointer))
    if inner:
        yield from inner
    else:
        yield FieldError(pointer=pointer, detail=_say(message, annotation))


def _walk_parts(value: object, annotation: object, pointer: str) -> Iterator[FieldError]:
    bare = _bare(annotation)
    origin, arguments = get_origin(bare), get_args(bare)
    if isinstance(value, list) and origin is list:
        for index, item in enumerate(value):
            yield from _walk(item, arguments[0], f"{pointer}/{index}")
    elif isinstance(value, dict) and origin is dict:
        for key, item in value.items():
            for error in _walk(key, arguments[0], pointer):
                yield FieldError(pointer=_below(pointer, key), detail=f"The key: {error.detail}")
            yield from _walk(item, arguments[1], _below(pointer, key))
    elif isinstance(value, dict) and isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        yield from _walk_struct(value, bare, pointer)


def _walk_struct(value: dict[str, object], kind: type[msgspec.Struct], pointer: str) -> Iterator[FieldError]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key, item in value.items():
        if key in fields:
            yield from _walk(item, fields[key].type, _below(pointer, key))
        else:
            near = difflib.get_close_matches(key[:_NAME_SHOWN], fields, n=1)
            known = f" Known are {', '.join(fields)}." if fields else ""
            hint = f" Did you mean {near[0]!r}?" if near else known
            yield FieldError(pointer=_below(pointer, key[:_NAME_SHOWN]), detail=f"This field is unknown.{hint}")
    for name, field in fields.items():
        if field.required and name not in value:
            yield FieldError(pointer=_below(pointer, name), detail="This field is required.")


def _arm_for(value: object, annotation: object) -> object:
    """Of a union, the part that a list or an object was meant for; every other annotation as it is."""
    bare = _bare(annotation)
    if get_origin(bare) not in (Union, types.UnionType):
        return annotation
    for arm in get_args(bare):
        inner = _bare(arm)
        if isinstance(value, list) and get_origin(inner) is list:
            return arm
        if isinstance(value, dict) and (get_origin(inner) is dict or hasattr(inner, "__struct_fields__")):
            return arm
    return annotation


def _bare(annotation: object) -> object:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return getattr(annotation, "__supertype__", annotation)


def _say(message: str, annotation: object) -> str:
    """msgspec's message without its own path, without the caller's value, in plain words for choices and patterns."""
    message = message.partition(" - at ")[0]
    if message.startswith("Invalid enum value"):
        return f"Expected one of {', '.join(map(str, _choices(annotation)))}."
    if _REGEX in message:
        return _say_pattern(message.partition(_REGEX)[2].strip("`"), annotation)
    return message.replace("`", "") + "."


def _say_pattern(shown: str, annotation: object) -> str:
    """The words that go with the pattern (``extra={"expected": …}``), for nobody should have to read one; else the
    pattern. ``shown``: its repr."""
    for meta in _metas(annotation):
        if meta.pattern is not None and repr(meta.pattern) == shown:
            words = (meta.extra or {}).get("expected")
            return f"Expected {words or f'text that matches {meta.pattern.removesuffix(_NO_LINE_BREAK)}'}."
    return f"Expected text that matches {shown}."


def _metas(annotation: object) -> Iterator[msgspec.Meta]:
    if isinstance(annotation, msgspec.Meta):
        yield annotation
    elif get_origin(annotation) in (Annotated, Union, types.UnionType):
        for part in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
            yield from _metas(part)


def _choices(annotation: object) -> list[object]:
    bare = _bare(annotation)
    if get_origin(bare) is Literal:
        return [choice for argument in get_args(bare) for choice in (_choices(argument) or [argument])]
    return [choice for argument in get_args(bare) for choice in _choices(argument)]


def _below(pointer: str, key: str) -> str:
    return f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
