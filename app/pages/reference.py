"""Reads the API's own description, so that the reference page says what openapi.yaml says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from litestar import Litestar, Request
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin

from core.errors import PREFIX, DomainError


def described(application: Litestar) -> dict[str, Any]:
    """The API's description, the same in every process."""
    return settled(application.openapi_schema.to_schema())


def settled(schema: dict[str, Any]) -> dict[str, Any]:
    """A description without what chance put into it.

    A field's own words on an enum land in the component that all fields share, by chance of order; so a component
    that lists words says nothing but the words.
    """
    found: dict[str, Any] = _plain(schema)
    for component in found["components"]["schemas"].values():
        if "enum" in component:
            for member in ("description", "examples", "default"):
                component.pop(member, None)
    return found


def _plain(value: Any) -> Any:
    """The value in types that YAML has; sets in an order that does not change from run to run."""
    match value:
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case set() | frozenset():
            return sorted(_plain(item) for item in value)
        case list() | tuple():
            return [_plain(item) for item in value]
        case Enum():
            return value.value
        case str() | int() | float() | None:
            return value
        case _:
            return str(value)


class SettledJson(JsonRenderPlugin):
    """/schema/openapi.json, as openapi.yaml says it."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, settled(openapi_schema))


class SettledYaml(YamlRenderPlugin):
    """/schema/openapi.yaml, as the file of that name says it."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, settled(openapi_schema))


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter or a property of a message."""

    name: str
    type: str
    required: bool
    description: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked for."""

    method: str
    path: str
    name: str
    description: str
    parameters: tuple[Field, ...]
    body: tuple[Field, ...]
    body_type: str
    answers: tuple[tuple[str, str, tuple[Field, ...]], ...]


def groups(schema: Mapping[str, Any]) -> dict[str, list[Operation]]:
    """Every operation, under its first tag, in the order of the description."""
    found: dict[str, list[Operation]] = {}
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            if isinstance(operation, dict) and "responses" in operation:
                tag = (operation.get("tags") or ["more"])[0]
                found.setdefault(tag, []).append(_operation(schema, path, method, operation))
    return found


def _operation(schema: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> Operation:
    content: dict[str, dict[str, Any]] = operation.get("requestBody", {}).get("content", {})
    body_type, body = next(iter(content.items()), ("", dict[str, Any]()))
    return Operation(
        method=method.upper(),
        path=path,
        name=operation.get("operationId", ""),
        description=operation.get("description") or operation.get("summary", ""),
        parameters=tuple(
            Field(
                parameter["name"],
                _type(schema, parameter.get("schema", {})),
                bool(parameter.get("required")),
                parameter.get("description", ""),
                parameter["in"],
            )
            for parameter in operation.get("parameters", ())
        ),
        body=tuple(_properties(schema, body.get("schema", {}))),
        body_type=body_type,
        answers=tuple(
            (status, answer.get("description", ""), tuple(_answer(schema, status, answer)))
            for status, answer in operation["responses"].items()
        ),
    )


def _answer(schema: Mapping[str, Any], status: str, answer: Mapping[str, Any]) -> Iterator[Field]:
    if not status.startswith("2"):
        return  # every problem document has the same form, described once
    for content in answer.get("content", {}).values():
        yield from _properties(schema, content.get("schema", {}))


def _resolve(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in part:
        part = schema["components"]["schemas"][part["$ref"].rsplit("/", 1)[-1]]
    return part


def _properties(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[Field]:
    part = _resolve(schema, part)
    if part.get("type") == "array":
        part = _resolve(schema, part.get("items", {}))
    needed = set(part.get("required", ()))
    for name, property_ in part.get("properties", {}).items():
        yield Field(name, _type(schema, property_), name in needed, property_.get("description", ""))


def _type(schema: Mapping[str, Any], part: Mapping[str, Any]) -> str:
    options = part.get("oneOf") or part.get("anyOf")
    if options:
        return " | ".join(_type(schema, option) for option in options)
    resolved = _resolve(schema, part)
    if "enum" in resolved:
        return " | ".join(str(value) for value in resolved["enum"])
    kind = resolved.get("type", "object")
    if kind == "array":
        return f"[{_type(schema, resolved.get('items', {}))}]"
    if isinstance(kind, list):
        kind = " | ".join(kind)
    return f"{kind} ({resolved['format']})" if "format" in resolved else str(kind)


def known_problems() -> list[tuple[str, int, str, str]]:
    """(type, status, title, explanation) of every kind of problem, as the error classes state them."""
    seen: dict[str, tuple[str, int, str, str]] = {
        "invalid-input": (PREFIX + "invalid-input", 400, "The input is not of the described form", ""),
        "internal": (PREFIX + "internal", 500, "Something went wrong on our side", ""),
    }
    waiting: list[type[DomainError]] = [DomainError]
    while waiting:
        error = waiting.pop()
        waiting.extend(error.__subclasses__())
        own = "slug" in error.__dict__
        if own and error is not DomainError:
            why = " ".join((error.__doc__ or "").split())
            seen.setdefault(error.slug, (PREFIX + error.slug, error.status, error.title, why))
    return sorted(seen.values(), key=lambda row: (row[1], row[0]))
