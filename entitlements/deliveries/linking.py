"""Finds, among the numbers of a delivery that no link and no identification number explains, whom they mean by likeness."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.bulk import chunks
from core.vault import Vault, open_sealed
from entitlements.deliveries.models import About, DeliverySubject
from entitlements.deliveries.rules import Result
from entitlements.deliveries.staging import ROWS
from entitlements.people.marks import anybody
from entitlements.people.rules import PersonIdentity
from entitlements.registers.linking import AT_ONCE, doubtful, judge_numbers, sure


async def link_by_likeness(session: AsyncSession, vault: Vault, delivery_id: UUID, register_id: UUID) -> None:
    """Gives a number its person where that is sure; where there is doubt, lets all that is said of it wait.

    What remains means nobody whom the city knows. Of two numbers that mean the same person, both wait.
    """
    if not await anybody(session):
        return
    one, after = DeliverySubject, 0
    claimed: dict[UUID, list[int]] = {}
    while True:
        rows = await session.execute(
            select(col(one.place), col(one.number_hash), col(one.sealed), col(one.identification_hash))
            .where(
                col(one.delivery_id) == delivery_id,
                col(one.about) == About.PERSON,
                col(one.explained_at).is_not(None),
                col(one.result).is_(None),
                col(one.person_id).is_(None),
                col(one.sealed).is_not(None),
                col(one.place) > after,
            )
            .order_by(col(one.place))
            .limit(AT_ONCE)
        )
        some = rows.all()
        if not some:
            break
        after = some[-1][0]
        places = {hashed: place for place, hashed, _, _ in some}
        identified = {hashed for _, hashed, _, number in some if number is not None}
        said = {
            hashed: identity
            for _, hashed, sealed, _ in some
            if sealed and (identity := identity_in(opened(vault, hashed, sealed))) is not None
        }
        found = await judge_numbers(session, vault, register_id, said, identified=identified)
        for hashed, person_id in sure(found).items():
            claimed.setdefault(person_id, []).append(places[hashed])
        await _let_wait(session, delivery_id, [places[hashed] for hashed in doubtful(found)])
    for person_id, places_of in claimed.items():
        if len(places_of) > 1:
            await _let_wait(session, delivery_id, places_of)
        else:
            await _mark(session, delivery_id, places_of, person_id=person_id)


def opened(vault: Vault, number_hash: bytes, sealed: bytes) -> Mapping[str, Any]:
    """What a row says of a number: the number itself and, in a row about a person, the identity."""
    content: Mapping[str, Any] = json.loads(open_sealed(vault.secret(ROWS), sealed, number_hash))
    return content


def identity_in(content: Mapping[str, Any]) -> PersonIdentity | None:
    """What a row about a person calls them, if it does."""
    return PersonIdentity(**content["identity"]) if content.get("identity") else None


async def _let_wait(session: AsyncSession, delivery_id: UUID, places: Sequence[int]) -> None:
    await _mark(session, delivery_id, places, result=Result.NO_LINK.value)


async def _mark(session: AsyncSession, delivery_id: UUID, places: Sequence[int], **values: Any) -> None:
    for some in chunks(places):
        await session.execute(
            update(DeliverySubject)
            .where(col(DeliverySubject.delivery_id) == delivery_id, col(DeliverySubject.place).in_(some))
            .values(values)
            .execution_options(synchronize_session=False)
        )
