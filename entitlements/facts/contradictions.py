"""Where registers contradict each other about one thing on one day: found, and both statements shown."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.bulk import chunks
from entitlements.facts.catalogue import CATALOGUE
from entitlements.facts.history import plain
from entitlements.facts.models import Fact
from entitlements.facts.rules import last_day
from entitlements.language import Kind, Value
from entitlements.people.models import Membership
from entitlements.people.past import aliases_at
from entitlements.registers.models import Register


@dataclass(frozen=True, slots=True)
class Statement:
    """What one register states, on which days, and since when we know it."""

    value: Value
    register_kind: str
    register_name: str
    since: date
    until: date | None
    known_from: datetime


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A fact of one person about which registers differ."""

    person_id: UUID
    fact: str
    statements: tuple[Statement, ...]


async def contradictions(
    session: AsyncSession,
    person_ids: Iterable[UUID],
    on: date,
    known_at: datetime | None = None,
    *,
    kinds: Collection[str] | None = None,
) -> dict[UUID, list[Contradiction]]:
    """What differs on this day about each of these persons, as it was known at a moment, or as it stands.

    Facts that are always known are left out: of them the greatest value counts (see `rules.held_on`).
    """
    named = [name for name in (kinds or CATALOGUE) if name in CATALOGUE and not CATALOGUE[name].always_known]
    everybody = await aliases_at(session, person_ids, known_at)
    if not named or not everybody:
        return {}
    roots = sorted(set(everybody.values()))
    of_person = _differing(Fact.person_id, on, known_at, named)
    of_household = _differing(Fact.household_id, on, known_at, named)
    living: dict[UUID, set[UUID]] = defaultdict(set)
    keys: list[tuple[str, UUID, str]] = []
    for some in chunks(sorted(everybody)):
        rows = await session.execute(
            select(col(Membership.person_id), col(Membership.household_id)).where(
                col(Membership.person_id).in_(some),
                col(Membership.valid_from) <= on,
                col(Membership.valid_next) > on,
                *_known(Membership, known_at),
            )
        )
        for person_id, household_id in rows:
            living[household_id].add(everybody[person_id])
        found = await session.execute(of_person.where(col(Fact.person_id).in_(some)))
        keys += [("person", everybody[who], kind) for who, kind in found]
    for root in roots:
        known_as = [one for one, meant in everybody.items() if meant == root]
        if len(known_as) > 1:
            # Two who turned out to be one: what is stated of either is stated of both.
            joined = _differing(None, on, known_at, named).where(col(Fact.person_id).in_(known_as))
            keys += [("person", root, kind) for (kind,) in await session.execute(joined)]
    for some in chunks(sorted(living)):
        found = await session.execute(of_household.where(col(Fact.household_id).in_(some)))
        keys += [("household", what, kind) for what, kind in found]
    said = await _statements(session, keys, everybody, on, known_at)
    told: dict[UUID, list[Contradiction]] = defaultdict(list)
    for (about, who, kind), statements in said.items():
        for person_id in sorted({who} if about == "person" else living[who]):
            told[person_id].append(Contradiction(person_id, kind, tuple(statements)))
    return dict(told)


def _known(model: type[Fact | Membership], known_at: datetime | None) -> list[ColumnElement[bool]]:
    if known_at is None:
        return [col(model.known_until).is_(None)]
    return [
        col(model.known_from) <= known_at,
        or_(col(model.known_until).is_(None), col(model.known_until) > known_at),
    ]


def _speaks(on: date, known_at: datetime | None) -> list[ColumnElement[bool]]:
    return [
        col(Fact.withdrawn).is_(False),
        col(Fact.valid_from) <= on,
        col(Fact.valid_next) > on,
        *_known(Fact, known_at),
    ]


def _differing(who: Any, on: date, known_at: datetime | None, named: Collection[str]) -> Any:
    values = (Fact.value_int, Fact.value_text, Fact.value_day)
    differ = or_(*(func.min(col(value)) != func.max(col(value)) for value in values))
    by = [col(Fact.kind)] if who is None else [who, col(Fact.kind)]
    return (
        select(*by)
        .where(col(Fact.kind).in_(named), *_speaks(on, known_at))
        .group_by(*by)
        .having(differ)
        .order_by(*by)
    )


async def _statements(
    session: AsyncSession,
    keys: Collection[tuple[str, UUID, str]],
    everybody: Mapping[UUID, UUID],
    on: date,
    known_at: datetime | None,
) -> Mapping[tuple[str, UUID, str], list[Statement]]:
    found: dict[tuple[str, UUID, str], list[Statement]] = {key: [] for key in keys}
    for about, who in (("person", Fact.person_id), ("household", Fact.household_id)):
        wanted = {key[1] for key in keys if key[0] == about}
        ids = sorted(wanted)
        if about == "person":
            ids = sorted(one for one, meant in everybody.items() if meant in wanted)
        for some in chunks(ids):
            rows = await session.execute(
                select(Fact, Register)
                .join(Register, col(Register.id) == col(Fact.register_id))
                .where(col(who).in_(some), *_speaks(on, known_at))
                .order_by(col(Fact.known_from), col(Fact.id))
            )
            for fact, register in rows:
                owner = everybody[fact.person_id] if fact.person_id is not None else fact.household_id
                key = (about, owner, fact.kind)
                if key in found:
                    found[key].append(_stated(fact, register))
    return found


def _stated(fact: Fact, register: Register) -> Statement:
    value = plain(fact)
    typed: Any = bool(value) if CATALOGUE[fact.kind].type is Kind.BOOL else value
    return Statement(
        typed, register.kind, register.name, fact.valid_from, last_day(fact.valid_next), fact.known_from
    )
