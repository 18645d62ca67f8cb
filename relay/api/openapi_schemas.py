"""Component schemas out of Structs, under the names that users of the API know."""

import json
import re
from datetime import datetime
from typing import Any, Final, get_args

import msgspec

from relay.api.payloads import Event

Json = dict[str, Any]
_REF: Final = "#/components/schemas/"
_REFERENCE: Final = re.compile(f'"{_REF}([^"]+)"')


class Schemas:
    """The schemas of a set of types, and references to them."""

    def __init__(self, kinds: list[Any]) -> None:
        kinds = list(dict.fromkeys(kinds))
        schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF + "{name}")
        structs = {struct.__name__: struct for kind in kinds for struct in _structs(kind, set())}
        for name, schema in components.items():
            _complete(schema, structs.get(name.partition("_")[0]))
        self._names = {name: _public_name(name) for name in components}
        components = {self._names[name]: self._renamed(schema) for name, schema in components.items()}
        self._of = {kind: self._renamed(schema) for kind, schema in zip(kinds, schemas, strict=True)}
        event = self._of[Event]
        components["EventList"]["properties"]["data"]["items"] = {"$ref": _REF + "Event"}
        self._components = {**components, "Event": {"title": "Event", "description": "An event.", **event}}
        self._of[Event] = {"$ref": _REF + "Event"}
        for name, schema in self._components.items():
            schema["title"] = name
        self._queries = {name for name in components if name.endswith("Query")}

    def of(self, kind: object) -> Json:
        """The schema of a type, by reference where it has a name."""
        schema: Json = self._of[kind]
        return schema

    def components(self) -> Json:
        """All schemas that have a name, in the order of the alphabet; query strings are parameters, not schemas."""
        return {name: self._components[name] for name in sorted(self._components) if name not in self._queries}

    def properties(self, kind: type[msgspec.Struct]) -> Json:
        """The fields of a Struct, each a copy."""
        found = self._components[kind.__name__].get("properties", {})
        return {name: dict(schema) for name, schema in found.items()}

    def _renamed(self, schema: Json) -> Json:
        text = _REFERENCE.sub(lambda found: f'"{_REF}{self._names[found[1]]}"', json.dumps(schema))
        renamed: Json = json.loads(text)
        return renamed


def _public_name(name: str) -> str:
    """``MessageView`` -> ``Message``, a list of them -> ``MessageList``; ``MessageInput`` stays."""
    if name.startswith("ListOf_"):
        # msgspec writes ListOf_relay.domain.messages.MessageView_, and a union as all its parts.
        item = name.removeprefix("ListOf_").rpartition(".")[2].rstrip("_")
        return "EventList" if item.endswith("Event") else item.removesuffix("View") + "List"
    return name.removesuffix("View")


def _complete(schema: Json, struct: type[msgspec.Struct] | None) -> None:
    """Add what msgspec leaves out: ``date-time``, and a title and a description that readers understand."""
    if "title" in schema:
        schema["title"] = _public_name(schema["title"]) if "[" not in schema["title"] else "List"
    if "description" in schema:
        schema["description"] = re.sub(r"\s*\n\s*", " ", schema["description"]).replace("``", "`")
    _name_types(schema)
    for field in msgspec.structs.fields(struct) if struct is not None else ():
        if any(part is datetime for part in _parts(field.type)):
            for arm in (wanted := schema["properties"][field.encode_name]).get("anyOf", [wanted]):
                if arm.get("type") == "string":
                    arm["format"] = "date-time"


def _name_types(schema: object) -> None:
    # msgspec leaves the type of an enum out.
    if isinstance(schema, dict):
        if "enum" in schema and "type" not in schema and all(isinstance(value, str) for value in schema["enum"]):
            schema["type"] = "string"
        for value in schema.values():
            _name_types(value)
    elif isinstance(schema, list):
        for value in schema:
            _name_types(value)


def _parts(annotation: object) -> list[object]:
    return [annotation, *(part for argument in get_args(annotation) for part in _parts(argument))]


def _structs(annotation: object, seen: set[object]) -> list[type[msgspec.Struct]]:
    """All Structs that a type is made of."""
    found: list[type[msgspec.Struct]] = []
    for part in _parts(annotation):
        if isinstance(part, type) and issubclass(part, msgspec.Struct) and part not in seen:
            seen.add(part)
            found.append(part)
            for field in msgspec.structs.fields(part):
                found += _structs(field.type, seen)
    return found
