"""What somebody may read of others who are registered at the same address: that something is known, and no more.

People who are counted together for a benefit know of one another what it rests on. People who merely share an
address do not, and a decision about the one must not tell what the other receives, nor that they receive nothing.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from uuid import UUID

from sqlalchemy import CTE, ColumnElement, Date, Select, func, literal, select, union, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from entitlements.decisions.changing import Change, Way
from entitlements.decisions.models import Decision
from entitlements.decisions.resting import Rested, deciding
from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS
from entitlements.language import Stated, Subject, Value, evaluate
from entitlements.people.models import Guardianship, Login, Person
from entitlements.rulebook.programmes import Outcome, RuleVersion
from entitlements.rulebook.rules import outcome_of

MayKnow = Callable[[], Awaitable[Collection[UUID]]]
"""Whose facts somebody may read one by one: their own, and their minor children's."""


async def readable_by(session: AsyncSession, principal_id: UUID, today: date) -> list[UUID]:
    """The person that a login is, and the children for whom that person may act today; in one statement."""
    reader = aliased(Person)
    own = (
        select(func.coalesce(reader.merged_into, reader.id).label("person_id"))
        .join(Login, col(Login.person_id) == reader.id)
        .where(col(Login.principal_id) == principal_id)
        .cte("own")
    )
    children = wards(own, literal(today, Date()))
    return list((await session.execute(union(select(own.c.person_id), children))).scalars())


def wards(own: CTE, today: ColumnElement[date]) -> Select[UUID]:
    """For a query about a person (`own` has their `person_id`): the children for whom they may act on a day."""
    child = aliased(Person)
    # A guardianship may name an id that has since become theirs; both ways are looked up by an index.
    once = union_all(
        select(own.c.person_id),
        select(col(Person.id)).join(own, col(Person.merged_into) == own.c.person_id),
    ).subquery("once")
    return (
        select(func.coalesce(child.merged_into, child.id).label("person_id"))
        .distinct()
        .select_from(once)
        .join(Guardianship, col(Guardianship.guardian_id) == once.c.person_id)
        .join(child, col(child.id) == col(Guardianship.child_id))
        .where(col(Guardianship.since) <= today, col(Guardianship.until) >= today)
    )


def merely_lives_with(household: str) -> bool:
    """Whether it is a household whose members are not counted together for any benefit."""
    return bool(household) and not HOUSEHOLDS[household].counted_together


def resting_told(rests_on: Sequence[Rested], known: Collection[UUID]) -> tuple[Rested, ...]:
    """What a decision rests on, for somebody who may know these persons.

    That something is known of the household stays, without saying what, of how many, or whether it is there at all.
    """
    keys = {str(person_id) for person_id in known}
    told = (
        Rested(one.household, None, one.household) if _kept_back(one.household, one.member, keys) else one
        for one in rests_on
    )
    return tuple(sorted(dict.fromkeys(told), key=lambda one: one.fact == one.household))


def ways_told(ways: Sequence[Way], known: Collection[UUID]) -> tuple[Way, ...]:
    """What would change a decision, for somebody who may know these persons."""
    keys = {str(person_id) for person_id in known}
    told = (
        frozenset(
            Change(one.household, value=True, household=one.household)
            if _kept_back(one.household, one.member, keys)
            else one
            for one in way
        )
        for way in ways
    )
    return tuple(dict.fromkeys(told))


def _kept_back(household: str, member: str, known: Collection[str]) -> bool:
    return merely_lives_with(household) and member not in known


def as_told(
    subject: Subject,
    known: Collection[UUID],
    *,
    decision: Decision,
    version: RuleVersion,
    parameters: Mapping[str, Value],
    others: Mapping[str, Outcome],
) -> Subject:
    """The person among people at the same address of whom nothing is stated, wherever that changes no answer.

    Else what is told of the person themselves would tell of the others: which of their own facts still matter, and
    what alone would be missing.
    """
    on = decision.day
    may = {subject.key, *(str(person_id) for person_id in known)}
    households = {
        kind: tuple(
            member if member.key in may else replace(member, facts=_as_listed_nowhere(member.facts))
            for member in members
        )
        if merely_lives_with(kind)
        else members
        for kind, members in subject.households.items()
    }
    seen = replace(subject, households=households)
    same = outcome_of(version, seen, parameters, on, others) is outcome_of(
        version, subject, parameters, on, others
    ) and all(
        evaluate(tree, seen, parameters, on) == evaluate(tree, subject, parameters, on)
        for tree in deciding(decision, version)
    )
    return seen if same else subject


def with_others(version: RuleVersion, subject: Subject) -> bool:
    """Whether a rule asks of people who only live at the same address, and there are some."""
    return any(
        merely_lives_with(kind) and any(member.key != subject.key for member in members)
        for kind, members in subject.households.items()
        if kind in version.looks_at
    )


def _as_listed_nowhere(facts_: Mapping[str, Stated]) -> Mapping[str, Stated]:
    """What is known of somebody whom no register lists for anything; the days of their birth stay."""
    found = {}
    for name, stated in facts_.items():
        absent = CATALOGUE[name].absent
        found[name] = stated if absent is None else replace(stated, value=absent)
    return found
