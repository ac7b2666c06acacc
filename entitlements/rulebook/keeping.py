"""Rules and worked cases as the JSON in which they are stored, and back: the same bytes for the same rule."""

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from entitlements.language import Kind, Tree, Type, Value, canonical_json

from .programmes import Outcome, Rulebook, RuleVersion, WorkedCase, plain


def to_json(value: object) -> Any:
    """A part of a rulebook as plain lists, mappings and scalars."""
    return plain(value)


def version_from_json(content: Mapping[str, Any]) -> RuleVersion:
    """The rule version that a stored JSON says, its trees checked again."""
    return cast("RuleVersion", _read(RuleVersion, content))


def value_to_json(value: Value) -> str:
    """A parameter's value as it is stored."""
    return canonical_json(to_json(value))


def value_from_json(type_: Type, stored: Any) -> Value:
    """A parameter's value, typed."""
    return date.fromisoformat(stored) if type_.kind is Kind.DAY else cast("Value", stored)


def case_to_json(case: WorkedCase) -> dict[str, Any]:
    """What a worked case says, with its days in their ISO form."""
    said = {
        "facts": case.facts,
        "households": case.households,
        "rest_absent": case.rest_absent,
        "expect": case.expect,
    }
    return cast("dict[str, Any]", _days_written(said))


def case_from_json(programme: str, name: str, day: date, content: Mapping[str, Any]) -> WorkedCase:
    """The worked case that a stored JSON says."""
    said = _days_read(content)
    households = {kind: tuple(members) for kind, members in said["households"].items()}
    return WorkedCase(
        programme, name, day, said["facts"], households, said["rest_absent"], said["expect"], "", 0
    )


def _days_written(value: object) -> object:
    match value:
        case Mapping():
            return {str(key): _days_written(part) for key, part in value.items()}
        case list() | tuple():
            return [_days_written(part) for part in value]
        case date():
            return value.isoformat()
    return value


def _days_read(value: Any) -> Any:
    match value:
        case dict():
            return {key: _days_read(part) for key, part in value.items()}
        case list():
            return [_days_read(part) for part in value]
        case str() if len(value) == len("2027-01-01"):
            try:
                return date.fromisoformat(value)
            except ValueError:
                return value
    return value


def state_hash(book: Rulebook) -> str:
    """What identifies the whole of what is released: every rule with its days, every amount, name and case."""
    said = [
        book.city,
        [[tariff.name, tariff.bit, dict(tariff.label)] for _, tariff in sorted(book.tariffs.items())],
        [[name, str(p.type), plain(p.values)] for name, p in sorted(book.parameters.items())],
        [
            [name, dict(rules.label), [[v.rule_hash, plain(v.since), plain(v.until)] for v in rules.versions]]
            for name, rules in sorted(book.programmes.items())
        ],
        sorted([[c.programme, c.name, plain(c.day), case_to_json(c)] for c in book.cases], key=str),
    ]
    return hashlib.sha256(canonical_json(said).encode()).hexdigest()


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
