"""Rule versions as the JSON in which they are stored, and back: the same bytes for the same rule."""

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import date
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from entitlements.language import Kind, Tree, Type, Value, canonical_json

from .programmes import Outcome, RuleVersion, plain


def to_json(value: object) -> Any:
    """A part of a rulebook as plain lists, mappings and scalars."""
    return plain(value)


def version_from_json(content: Mapping[str, Any]) -> RuleVersion:
    """The rule version that a stored JSON says, its trees checked again."""
    return cast("RuleVersion", _read(RuleVersion, content))


def hash_of(version: RuleVersion) -> str:
    """What identifies a rule: everything it says but its last day, which is set when its successor is known."""
    said = to_json(replace(version, until=None))
    return hashlib.sha256(canonical_json(said).encode()).hexdigest()


def value_to_json(value: Value) -> str:
    """A parameter's value as it is stored."""
    return canonical_json(to_json(value))


def value_from_json(type_: Type, stored: Any) -> Value:
    """A parameter's value, typed."""
    return date.fromisoformat(stored) if type_.kind is Kind.DAY else cast("Value", stored)


@cache
def _hints(kind: type[Any]) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _read(kind: Any, value: Any) -> Any:
    origin = get_origin(kind)
    if origin in {Union, UnionType}:
        if value is None and NoneType in get_args(kind):
            return None
        rest = [option for option in get_args(kind) if option is not NoneType]
        return _read(rest[0], value) if len(rest) == 1 else value
    if origin is tuple:
        inner = get_args(kind)
        if inner[-1] is Ellipsis:
            return tuple(_read(inner[0], item) for item in value)
        return tuple(_read(part, item) for part, item in zip(inner, value, strict=True))
    if origin is Literal:
        return value
    if kind is Tree:
        return Tree.from_json(value)
    if kind is date:
        return date.fromisoformat(value)
    if kind is Outcome:
        return Outcome(value)
    if is_dataclass(kind) and isinstance(kind, type):
        # What rules could not say when this one was stored, it does not say.
        said = (f.name for f in fields(kind) if f.name in value or not f.metadata.get("later"))
        return kind(**{name: _read(_hints(kind)[name], value[name]) for name in said})
    return value
