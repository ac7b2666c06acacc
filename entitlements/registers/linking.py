"""Says whom the numbers of a register mean by what it calls them: surely one, perhaps one of some, or nobody."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.bulk import chunks
from core.vault import Vault
from entitlements.people.marks import anybody, sharing
from entitlements.people.matching import Candidate, Judged, Traits, Verdict, compare, judge, traits
from entitlements.people.models import Identification
from entitlements.people.rules import PersonIdentity
from entitlements.people.service import aliases, identities_of
from entitlements.registers.models import Link

AT_ONCE = 500
"""Numbers that are judged together; nobody's name is held longer than that."""

Found = Judged[UUID]


async def judge_numbers(
    session: AsyncSession,
    vault: Vault,
    register_id: UUID,
    said: Mapping[bytes, PersonIdentity],
    *,
    identified: Collection[bytes] = (),
) -> dict[bytes, Found]:
    """Whom each number (by its hash) means or may mean, by what the register calls whoever is behind it.

    Only those who share a mark are opened and compared. Two numbers that would mean the same person are both
    in doubt. `identified` came with identification numbers that nobody has yet: whoever has one is somebody else.
    """
    found: dict[bytes, Found] = {hashed: Judged(Verdict.NOBODY) for hashed in said}
    if not said or not await anybody(session):
        return found
    for some in chunks(list(said), AT_ONCE):
        asked = {hashed: traits(said[hashed]) for hashed in some}
        found |= await _judge(session, vault, register_id, asked, identified)
    return _each_once(found)


async def _judge(
    session: AsyncSession,
    vault: Vault,
    register_id: UUID,
    asked: Mapping[bytes, Traits],
    identified: Collection[bytes],
) -> dict[bytes, Found]:
    sharing_with = await sharing(session, vault, asked)
    everybody = await aliases(session, {who for some in sharing_with.values() for who, _ in some})
    elsewhere = await _known_to(session, register_id, everybody)
    others = await _identified(session, everybody) if identified else set()
    near = {
        hashed: [
            person_id
            for person_id, every_mark in some
            if (every_mark or person_id not in elsewhere)
            and not (hashed in identified and person_id in others)
        ]
        for hashed, some in sharing_with.items()
    }
    named = await identities_of(session, vault, {person_id for some in near.values() for person_id in some})
    ready = {person_id: traits(identity) for person_id, identity in named.items()}
    return {
        hashed: judge(
            Candidate(person_id, compare(of, ready[person_id]), person_id in elsewhere)
            for person_id in near.get(hashed, ())
            if person_id in ready
        )
        for hashed, of in asked.items()
    }


async def _identified(session: AsyncSession, known_as: Mapping[UUID, UUID]) -> set[UUID]:
    """Those whose identification number is known."""
    found: set[UUID] = set()
    for some in chunks(sorted(known_as)):
        rows = await session.execute(
            select(col(Identification.person_id)).where(col(Identification.person_id).in_(some))
        )
        found.update(known_as[person_id] for person_id in rows.scalars())
    return found


async def _known_to(session: AsyncSession, register_id: UUID, known_as: Mapping[UUID, UUID]) -> set[UUID]:
    """Those whom the register knows by some number."""
    found: set[UUID] = set()
    for some in chunks(sorted(known_as)):
        rows = await session.execute(
            select(col(Link.person_id)).where(
                col(Link.person_id).in_(some), col(Link.register_id) == register_id
            )
        )
        found.update(known_as[person_id] for person_id in rows.scalars())
    return found


def _each_once(found: dict[bytes, Found]) -> dict[bytes, Found]:
    claimed: dict[UUID, list[bytes]] = {}
    for hashed, one in found.items():
        if one.meant is not None:
            claimed.setdefault(one.meant, []).append(hashed)
    for several in claimed.values():
        if len(several) > 1:
            found |= {hashed: Judged(Verdict.DOUBT, found[hashed].candidates) for hashed in several}
    return found


def sure(found: Mapping[bytes, Found]) -> dict[bytes, UUID]:
    """The numbers that mean somebody for sure."""
    return {hashed: one.meant for hashed, one in found.items() if one.meant is not None}


def doubtful(found: Mapping[bytes, Found]) -> Sequence[bytes]:
    """The numbers about which a case worker has to be asked."""
    return [hashed for hashed, one in found.items() if one.verdict is Verdict.DOUBT]
