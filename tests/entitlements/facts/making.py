"""Makes registers, persons, households and statements for the tests of this folder and of its neighbours."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from core.access.models import Principal
from core.access.rules import PrincipalKind, Role
from entitlements.facts.belonging import Listing, learn_members
from entitlements.facts.history import Stating, learn
from entitlements.facts.rules import day_after
from entitlements.facts.timelines import Outcome
from entitlements.language import Value
from entitlements.people.models import Household
from entitlements.people.service import make_person
from entitlements.registers.models import Register
from entitlements.registers.rules import Remit
from entitlements.registers.service import lists_of, make_register

NOON = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)


async def a_register(
    session: AsyncSession,
    kind: str = "jobcenter",
    facts: Iterable[str] = ("sgb2",),
    households: Iterable[str] = (),
    *,
    identities: bool = False,
    identification_numbers: bool = False,
) -> Register:
    principal = Principal(
        kind=PrincipalKind.REGISTER,
        label=kind,
        client_id=f"{kind}-{uuid4()}",
        roles=[Role.INTEGRATION_CLIENT.value],
        created_at=NOON,
    )
    session.add(principal)
    await session.flush()
    remit = Remit(frozenset(facts), frozenset(households), identities, identification_numbers)
    return await make_register(
        session, None, principal_id=principal.id, kind=kind, name=f"Register {kind}", remit=remit, now=NOON
    )


async def some_persons(session: AsyncSession, count: int) -> list[UUID]:
    return [(await make_person(session, NOON)).id for _ in range(count)]


async def a_household(session: AsyncSession, register: Register, kind: str) -> UUID:
    household = Household(kind=kind, register_id=register.id, number_hash=uuid4().bytes)
    session.add(household)
    await session.flush()
    return household.id


async def state(  # noqa: PLR0917  (reads as one sentence)
    session: AsyncSession,
    register: Register,
    subject: UUID,
    kind: str,
    value: Value | None,
    first: date,
    last: date | None = None,
    *,
    at: datetime = NOON,
    known: datetime = NOON,
    about_household: bool = False,
) -> Outcome:
    one = Stating(subject, about_household, kind, value, first, day_after(last), at)
    outcomes, _, _ = await learn(session, register.id, [one], await lists_of(session, register.id), known)
    return outcomes[0]


async def list_members(  # noqa: PLR0917
    session: AsyncSession,
    register: Register,
    household_id: UUID,
    kind: str,
    members: Iterable[UUID],
    first: date,
    last: date | None = None,
    *,
    at: datetime = NOON,
    known: datetime = NOON,
) -> Outcome:
    one = Listing(household_id, kind, frozenset(members), first, day_after(last), at)
    outcomes, _ = await learn_members(
        session, register.id, [one], await lists_of(session, register.id), known
    )
    return outcomes[0]
