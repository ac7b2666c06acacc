"""Two rulebooks of one day as one: what they say alike is decided once, and what differs stands beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from entitlements.language import Value
from entitlements.language import tree as t
from entitlements.rulebook.programmes import RuleVersion


@dataclass(frozen=True, slots=True)
class Side:
    """The rules and amounts of one day."""

    versions: tuple[RuleVersion, ...]
    """Those that others depend on first."""
    parameters: Mapping[str, Value]

    def says(self, programme: str) -> tuple[str, tuple[tuple[str, Value], ...]] | None:
        """What decides a programme: its rule and the amounts that it uses; None where it has none."""
        version = self.version(programme)
        if version is None:
            return None
        used = {name for tree in version.trees() for name in tree.parameters()}
        return version.rule_hash, tuple(sorted((n, v) for n, v in self.parameters.items() if n in used))

    def version(self, programme: str) -> RuleVersion | None:
        """The programme's rule; None where it has none."""
        return next((v for v in self.versions if v.programme == programme), None)


@dataclass(frozen=True, slots=True)
class Together:
    """The rules of both sides under names that are not mixed up."""

    side: Side
    before: Mapping[str, str]
    """The name of a programme's rule before, by the programme's; none where there was no rule."""
    after: Mapping[str, str]


def together(before: Side, after: Side, differing: Sequence[str]) -> Together:
    """One rulebook in which the second side's rules of the programmes that differ have names of their own.

    So have the amounts that are others there.
    """
    taken = {v.programme for v in (*before.versions, *after.versions)} | before.parameters.keys()
    mark = "_then"
    while any(name.endswith(mark) for name in (*taken, *after.parameters)):
        mark += "_"
    rules = {name: name + mark for name in differing}
    others = {
        n: v for n, v in after.parameters.items() if n not in before.parameters or before.parameters[n] != v
    }
    amounts = {name: name + mark for name in others}
    versions = list(before.versions)
    for version in after.versions:
        if version.programme in rules:
            waits = tuple(
                replace(needed, programme=rules.get(needed.programme, needed.programme))
                for needed in version.depends_on
            )
            named = _renamed(version, amounts)
            versions.append(replace(named, programme=rules[version.programme], depends_on=waits))
    parameters = {**before.parameters, **{amounts[name]: value for name, value in others.items()}}
    return Together(
        Side(tuple(versions), parameters),
        {v.programme: v.programme for v in before.versions},
        {v.programme: rules.get(v.programme, v.programme) for v in after.versions},
    )


def _renamed(part: Any, amounts: Mapping[str, str]) -> Any:
    """The same rule, with other names for these amounts wherever it speaks of them."""
    if isinstance(part, t.Parameter):
        return replace(part, name=amounts[part.name]) if part.name in amounts else part
    if isinstance(part, tuple):
        return tuple(_renamed(one, amounts) for one in part)
    if not is_dataclass(part) or isinstance(part, type):
        return part
    before = {field.name: getattr(part, field.name) for field in fields(part)}
    after = {name: _renamed(value, amounts) for name, value in before.items()}
    changed = {
        name: value for name, value in after.items() if value is not before[name] and value != before[name]
    }
    return replace(part, **changed) if changed else part
