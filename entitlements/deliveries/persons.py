"""Makes known whom a part's rows explain: new persons, their numbers at the register, and what they are called."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from core.bulk import among, chunks
from core.database import new_id
from core.vault import Vault
from entitlements.deliveries.linking import opened
from entitlements.deliveries.models import About, DeliverySubject
from entitlements.deliveries.results import Results
from entitlements.deliveries.rules import Result
from entitlements.deliveries.scope import Scope
from entitlements.people.models import Person
from entitlements.people.newcomers import Kept, Newcomer, Secrets, keep, seal_all
from entitlements.people.rules import PersonIdentity
from entitlements.people.service import keep_identifications, keep_identities, make_persons
from entitlements.registers.models import LinkMade
from entitlements.registers.service import link, link_new


class Persons:
    """Who the persons of a part are, as far as its rows say."""

    def __init__(self, scope: Scope, results: Results, vault: Vault, *, named: bool) -> None:
        self.scope, self.session, self.vault = scope, scope.session, vault
        self.results, self.named = results, named
        self.new: set[UUID] = set()
        """Who was not known before."""
        self.sealing: asyncio.Task[Kept] | None = None
        """Who the new ones are, on its way."""
        self.links: dict[UUID, tuple[bytes, UUID]] = {}
        """By the id of the link, the number and the new person that it will mean."""

    async def make_known(self, said: Sequence[Any]) -> set[UUID]:
        """Makes known whom these rows explain; gives the new ones."""
        if not said:
            return set()
        new = {row.person_id for row in said if row.person_id is not None}
        for some in chunks(sorted(new)):
            known = await self.session.execute(select(col(Person.id)).where(among(col(Person.id), some)))
            new = new.difference(known.scalars())
        await make_persons(self.session, sorted(new), self.scope.now)
        self.new = new
        contents = await self._contents()
        moments = await self.scope.statements(row.statement for row in said)
        numbers: dict[bytes, tuple[UUID, str | None, LinkMade]] = {}
        identities: dict[UUID, tuple[PersonIdentity, datetime]] = {}
        identifications: dict[bytes, UUID] = {}
        for row in said:
            content, identification = contents.get(row.place, (None, None))
            if row.person_id is None or content is None:
                continue
            stated_at = moments[row.statement].stated_at
            by = (
                LinkMade.STATED
                if row.person_id in new
                else LinkMade.IDENTIFICATION
                if identification is not None
                else LinkMade.LIKENESS
            )
            numbers[row.number_hash] = (row.person_id, content["number"], by)
            if content["identity"] is not None and self.named:
                before = identities.get(row.person_id)
                if before is None or before[1] <= stated_at:
                    identities[row.person_id] = (PersonIdentity(**content["identity"]), stated_at)
            if identification is not None:
                identifications[identification] = row.person_id
        self._introduce(numbers, identities)
        known_numbers = {hashed: one for hashed, one in numbers.items() if one[0] not in new}
        known_ones = {person_id: one for person_id, one in identities.items() if person_id not in new}
        await link(self.session, self.vault, self.scope.register_id, known_numbers, self.scope.now)
        renamed = await keep_identities(self.session, self.vault, known_ones, self.scope.now)
        await keep_identifications(self.session, identifications)
        for row in said:
            changed = row.person_id in new or row.person_id in renamed
            self.results.explained[row.place] = Result.ACCEPTED if changed else Result.UNCHANGED
        return new

    def _introduce(
        self,
        numbers: Mapping[bytes, tuple[UUID, str | None, LinkMade]],
        identities: Mapping[UUID, tuple[PersonIdentity, datetime]],
    ) -> None:
        """Begins to seal who the new ones are; meanwhile the database is told what is known of them."""
        called: dict[UUID, list[tuple[UUID, str]]] = {person_id: [] for person_id in self.new}
        for hashed, (person_id, number, _) in numbers.items():
            if person_id in called and number is not None:
                link_id = new_id()
                called[person_id].append((link_id, number))
                self.links[link_id] = hashed, person_id
        newcomers = []
        for person_id, called_by in called.items():
            identity, stated_at = identities.get(person_id, (None, self.scope.now))
            newcomers.append(Newcomer(person_id, identity, stated_at, called_by))
        if newcomers:
            secrets = Secrets.of(self.vault)
            self.sealing = asyncio.create_task(
                asyncio.to_thread(seal_all, secrets, newcomers, self.scope.now)
            )

    async def write_down_new(self) -> None:
        """Writes down who the new ones are."""
        if self.sealing is None:
            return
        kept = await self.sealing
        await keep(self.session, kept)
        links = {
            link_id: (hashed, person_id, kept.numbers[link_id])
            for link_id, (hashed, person_id) in self.links.items()
        }
        await link_new(self.session, self.scope.register_id, links, self.scope.now)

    async def _contents(self) -> dict[int, tuple[Any, bytes | None]]:
        one = DeliverySubject
        found = await self.session.execute(
            select(col(one.place), col(one.number_hash), col(one.sealed), col(one.identification_hash)).where(
                self.scope.which,
                col(one.about) == About.PERSON,
                col(one.explained_at).is_not(None),
                col(one.sealed).is_not(None),
            )
        )
        return {
            place: (opened(self.vault, hashed, sealed), identification)
            for place, hashed, sealed, identification in found
            if sealed is not None
        }
