"""Applies one part of a delivery: what it says of some subjects becomes persons, households and facts."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    String,
    Uuid,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    type_coerce,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col

from core.bulk import among, chunks, insert_new, table_of
from core.database import Moment, new_id
from core.vault import Vault
from entitlements.deliveries.checking import said_rows, waiting
from entitlements.deliveries.linking import opened
from entitlements.deliveries.models import (
    About,
    Delivery,
    DeliveryMember,
    DeliveryRow,
    DeliveryStatement,
    DeliverySubject,
    Mode,
)
from entitlements.deliveries.rules import ABOUT_SOMEBODY, Result
from entitlements.facts.belonging import Listing, learn_members
from entitlements.facts.catalogue import CATALOGUE
from entitlements.facts.history import Stating, deny, learn, plain
from entitlements.facts.models import Fact
from entitlements.facts.rules import UNREAD, gaps
from entitlements.facts.service import members
from entitlements.language import Kind, Value
from entitlements.people.models import Household, Membership, Person
from entitlements.people.newcomers import Kept, Newcomer, Secrets, keep, seal_all
from entitlements.people.rules import PersonIdentity
from entitlements.people.service import keep_identifications, keep_identities, make_persons
from entitlements.registers.models import Link, LinkMade, Register
from entitlements.registers.rules import Remit
from entitlements.registers.service import link, link_new

PARTS = 4
"""More than the facts that one row can state: the place of a part in a fact's id."""

Lists = Sequence[tuple[datetime, date]]
_VALUES = ("value_int", "value_text", "value_day")


async def decided(session: AsyncSession, delivery_id: UUID) -> Counter[str]:
    """How many rows of a delivery have which result, those without one left out."""
    row, who = aliased(DeliveryRow), aliased(DeliverySubject)
    first = and_(col(row.delivery_id) == delivery_id, col(row.part) == 0)
    tally: Counter[str] = Counter()
    for query in (
        select(col(row.result), func.count())
        .where(first, col(row.result).is_not(None))
        .group_by(col(row.result)),
        select(col(who.result), func.count())
        .where(
            first,
            col(row.result).is_(None),
            col(who.delivery_id) == delivery_id,
            col(who.place) == col(row.subject),
            col(who.result).is_not(None),
        )
        .group_by(col(who.result)),
    ):
        for result, count in (await session.execute(query)).all():
            tally[str(result)] += count
    return tally


class Part:
    """What is applied together, in one transaction."""

    def __init__(self, session: AsyncSession, vault: Vault, register: Register, now: datetime) -> None:
        self.session, self.vault, self.register, self.now = session, vault, register, now

    async def apply(
        self, delivery: Delivery, which: ColumnElement[bool], lists: Lists, *, waited: bool = False
    ) -> tuple[set[UUID], Counter[str]]:
        """Applies what is said of these subjects; gives the persons of whom something changed, and the results.

        What these persons are left without by a full delivery ends in the same transaction, unless they `waited`.
        """
        full = delivery.mode is Mode.FULL
        one = _One(self, delivery.id, and_(waiting(delivery.id), which), lists)
        await one.resolve_again()
        await one.read()
        concerned = await one.persons()
        concerned |= await one.households()
        concerned |= await one.facts()
        if full and not waited:
            concerned |= await one.left_out()
        if full:
            concerned |= await one.unread()
        await one.newcomers()
        return concerned, await one.finish()


class _One:
    """A part at work."""

    def __init__(self, part: Part, delivery_id: UUID, which: ColumnElement[bool], lists: Lists) -> None:
        self.session, self.vault, self.now = part.session, part.vault, part.now
        self.register_id, self.delivery_id = part.register.id, delivery_id
        self.names = Remit.of(part.register.remit).identities
        self.which, self.lists = which, lists
        self.newest = max((as_of for as_of, _ in lists), default=None)
        self.subjects: list[Any] = []
        self.tally: Counter[str] = Counter()
        self.results: dict[int, Result] = {}
        """By place, what became of all that was said of a subject and has no result of its own."""
        self.explained: dict[int, Result] = {}
        """By place, what became of the row that says who a person is."""
        self.new: set[UUID] = set()
        self.sealing: asyncio.Task[Kept] | None = None
        """Who the new ones are, on its way."""
        self.links: dict[UUID, tuple[bytes, UUID]] = {}
        """By the id of the link, the number and the new person that it will mean."""

    async def _mark(self, *where: ColumnElement[bool], **values: Any) -> None:
        await self.session.execute(
            update(DeliverySubject)
            .where(self.which, *where)
            .values(values)
            .execution_options(synchronize_session=False)
        )

    async def resolve_again(self) -> None:
        """Since the check, another delivery may have made the same person or household known."""
        one = DeliverySubject
        linked = (
            select(col(Link.person_id))
            .where(col(Link.register_id) == self.register_id, col(Link.number_hash) == col(one.number_hash))
            .scalar_subquery()
        )
        known = (
            select(col(Household.id))
            .where(
                col(Household.register_id) == self.register_id,
                col(Household.kind) == col(one.household_kind),
                col(Household.number_hash) == col(one.number_hash),
            )
            .scalar_subquery()
        )
        for about, mine, meant in (
            (About.PERSON, "person_id", linked),
            (About.HOUSEHOLD, "household_id", known),
        ):
            await self._mark(
                col(one.about) == about,
                meant.is_not(None),
                meant.is_distinct_from(table_of(one).c[mine]),
                **{mine: meant},
            )

    async def read(self) -> None:
        """Of whom this part speaks."""
        one = DeliverySubject
        found = await self.session.execute(
            select(
                *(
                    col(column)
                    for column in (
                        one.place,
                        one.about,
                        one.explained_at,
                        one.statement,
                        one.number_hash,
                        one.household_kind,
                        one.person_id,
                        one.household_id,
                    )
                )
            )
            .where(self.which)
            .order_by(col(one.place))
        )
        self.subjects = list(found)

    def _explained(self, about: About) -> list[Any]:
        return [one for one in self.subjects if one.about is about and one.explained_at is not None]

    async def _statements(self, numbers: Iterable[int | None]) -> dict[int, Any]:
        found: dict[int, Any] = {}
        for some in chunks(sorted({number for number in numbers if number is not None})):
            rows = await self.session.execute(
                select(DeliveryStatement).where(
                    col(DeliveryStatement.delivery_id) == self.delivery_id,
                    among(col(DeliveryStatement.number), some),
                )
            )
            found.update((row.number, row) for row in rows.scalars())
        return found

    # ---- persons ----

    async def persons(self) -> set[UUID]:
        """Makes known whom the rows explain; gives the new ones."""
        said = self._explained(About.PERSON)
        if not said:
            return set()
        new = {row.person_id for row in said if row.person_id is not None}
        for some in chunks(sorted(new)):
            known = await self.session.execute(select(col(Person.id)).where(among(col(Person.id), some)))
            new = new.difference(known.scalars())
        await make_persons(self.session, sorted(new), self.now)
        self.new = new
        contents = await self._contents()
        moments = await self._statements(row.statement for row in said)
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
            if content["identity"] is not None and self.names:
                before = identities.get(row.person_id)
                if before is None or before[1] <= stated_at:
                    identities[row.person_id] = (PersonIdentity(**content["identity"]), stated_at)
            if identification is not None:
                identifications[identification] = row.person_id
        self._introduce(numbers, identities)
        known_numbers = {hashed: one for hashed, one in numbers.items() if one[0] not in new}
        known_ones = {person_id: one for person_id, one in identities.items() if person_id not in new}
        await link(self.session, self.vault, self.register_id, known_numbers, self.now)
        renamed = await keep_identities(self.session, self.vault, known_ones, self.now)
        await keep_identifications(self.session, identifications)
        for row in said:
            changed = row.person_id in new or row.person_id in renamed
            self.explained[row.place] = Result.ACCEPTED if changed else Result.UNCHANGED
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
            identity, stated_at = identities.get(person_id, (None, self.now))
            newcomers.append(Newcomer(person_id, identity, stated_at, called_by))
        if newcomers:
            secrets = Secrets.of(self.vault)
            self.sealing = asyncio.create_task(asyncio.to_thread(seal_all, secrets, newcomers, self.now))

    async def newcomers(self) -> None:
        """Writes down who the new ones are."""
        if self.sealing is None:
            return
        kept = await self.sealing
        await keep(self.session, kept)
        links = {
            link_id: (hashed, person_id, kept.numbers[link_id])
            for link_id, (hashed, person_id) in self.links.items()
        }
        await link_new(self.session, self.register_id, links, self.now)

    async def _contents(self) -> dict[int, tuple[Any, bytes | None]]:
        one = DeliverySubject
        found = await self.session.execute(
            select(col(one.place), col(one.number_hash), col(one.sealed), col(one.identification_hash)).where(
                self.which,
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

    # ---- households ----

    async def households(self) -> set[UUID]:
        """Writes down who belongs to which household; gives whose household changed, and who is in it with them."""
        said = self._explained(About.HOUSEHOLD)
        if not said:
            return set()
        days = await self._statements(row.statement for row in said)
        heads, taken = [], set()
        for row in said:
            about = row.household_id, days[row.statement].valid_from
            # Of two that say who belongs to a household from the same day on, the first is taken.
            self.results[row.place] = Result.DUPLICATE
            if about not in taken:
                taken.add(about)
                heads.append(row)
        fresh = {
            row.household_id: {
                "id": row.household_id,
                "kind": row.household_kind,
                "register_id": self.register_id,
                "number_hash": row.number_hash,
            }
            for row in heads
        }
        await insert_new(self.session, Household, list(fresh.values()))
        together = await self._members()
        listings = [
            Listing(
                row.household_id,
                row.household_kind,
                frozenset(together[row.place]),
                days[row.statement].valid_from,
                days[row.statement].valid_next,
                days[row.statement].stated_at,
                self.delivery_id,
            )
            for row in heads
        ]
        outcomes, moved = await learn_members(self.session, self.register_id, listings, self.lists, self.now)
        for row, outcome in zip(heads, outcomes, strict=True):
            self.results[row.place] = Result(outcome.value)
        # Everybody in the household is judged by who else is in it.
        near = await members(self.session, {one.household_id for one in listings}) if moved else set()
        return moved | near

    async def _members(self) -> dict[int, set[UUID]]:
        listing, member, who = DeliverySubject, aliased(DeliveryMember), aliased(DeliverySubject)
        rows = await self.session.execute(
            select(col(listing.place), col(who.person_id)).where(
                self.which,
                col(listing.about) == About.HOUSEHOLD,
                col(listing.explained_at).is_not(None),
                col(member.delivery_id) == self.delivery_id,
                col(member.listing) == col(listing.place),
                col(who.delivery_id) == self.delivery_id,
                col(who.place) == col(member.member),
            )
        )
        together: dict[int, set[UUID]] = defaultdict(set)
        for place, person_id in rows:
            if person_id is not None:
                together[place].add(person_id)
        return together

    # ---- facts ----

    async def facts(self) -> set[UUID]:
        """Writes down what is stated: what was never said before at once, the rest settled with what was."""
        row, said = aliased(DeliveryRow), aliased(DeliveryStatement)
        mine = and_(said_rows(self.delivery_id, row, DeliverySubject, said), self.which)
        await self._set_aside(mine, said)
        one = DeliverySubject
        found = await self.session.execute(
            select(col(one.place), col(one.person_id), col(one.household_id), col(one.settles)).where(
                self.which
            )
        )
        fresh: list[Any] = []
        settling: list[Any] = []
        for subject in found:
            (settling if subject.settles else fresh).append(subject)
        concerned: set[UUID] = set()
        if fresh:
            await self._fresh(and_(mine, col(one.settles).is_(False)), row, said)
            for subject in fresh:
                self.results.setdefault(subject.place, Result.ACCEPTED)
            concerned |= {subject.person_id for subject in fresh if subject.person_id is not None}
            concerned |= await members(
                self.session, {subject.household_id for subject in fresh if subject.person_id is None}
            )
        if settling:
            for subject in settling:
                self.results.setdefault(subject.place, Result.UNCHANGED)
            concerned |= await self._settle(and_(mine, col(one.settles)), row, said)
        return concerned

    async def _set_aside(self, mine: ColumnElement[bool], said: Any) -> None:
        """Finds the subjects whose facts cannot go straight in."""
        one = DeliverySubject
        for whose, mine_too in (
            (col(Fact.person_id), col(one.person_id)),
            (col(Fact.household_id), col(one.household_id)),
        ):
            for counts in (col(Fact.known_until).is_(None), col(Fact.known_until).is_not(None)):
                # A look-up for each subject, not a join: a planner that expects few facts would go through them.
                earlier = (
                    select(col(Fact.id))
                    .where(whose == mine_too, col(Fact.register_id) == self.register_id, counts)
                    .limit(1)
                    .scalar_subquery()
                )
                await self._mark(col(one.settles).is_(False), earlier.is_not(None), settles=True)
        entity = func.coalesce(col(one.person_id), col(one.household_id))
        stale = func.min(col(said.stated_at)) < self.newest if self.newest is not None else false()
        found = await self.session.execute(
            select(entity, func.count())
            .where(mine)
            .group_by(entity, col(said.kind))
            .having(or_(func.count() > 1, func.max(case((col(said.withdrawn), 1), else_=0)) == 1, stale))
        )
        special = [(subject, count) for subject, count in found]
        for some in chunks(sorted({subject for subject, _ in special})):
            about = or_(among(col(one.person_id), some), among(col(one.household_id), some))
            await self._mark(about, settles=True)
        await self._refuse_repeated(said, sorted({subject for subject, count in special if count > 1}))

    async def _refuse_repeated(self, said: Any, subjects: Sequence[UUID]) -> None:
        """Of the rows that say something about the same from the same day on, the first is taken."""
        one, row = DeliverySubject, aliased(DeliveryRow)
        together = and_(said_rows(self.delivery_id, row, one, said), self.which)
        for some in chunks(subjects):
            found = await self.session.execute(
                select(
                    col(row.position),
                    func.coalesce(col(one.person_id), col(one.household_id)),
                    col(said.kind),
                    col(said.valid_from),
                )
                .where(together, or_(among(col(one.person_id), some), among(col(one.household_id), some)))
                .order_by(col(row.position))
            )
            taken: dict[tuple[Any, ...], int] = {}
            later = {
                position for position, *same in found if taken.setdefault(tuple(same), position) != position
            }
            await self._keep_results({Result.DUPLICATE: later}, all_parts=True)

    async def _keep_results(
        self, results: Mapping[Result, Collection[int]], *, all_parts: bool = False
    ) -> None:
        parts = col(DeliveryRow.statement).is_not(None) if all_parts else col(DeliveryRow.part) == 0
        for result, positions in results.items():
            for some in chunks(sorted(positions)):
                await self.session.execute(
                    update(DeliveryRow)
                    .where(
                        col(DeliveryRow.delivery_id) == self.delivery_id,
                        parts,
                        among(col(DeliveryRow.position), some),
                    )
                    .values(result=result.value)
                    .execution_options(synchronize_session=False)
                )
            self.tally[result.value] += await self._of_rows(positions) if all_parts else len(positions)

    async def _of_rows(self, positions: Collection[int]) -> int:
        """How many of these rows now have a result of their own; a person's has not, whose birth date was repeated."""
        count = 0
        for some in chunks(sorted(positions)):
            found = await self.session.execute(
                select(func.count()).where(
                    col(DeliveryRow.delivery_id) == self.delivery_id,
                    among(col(DeliveryRow.position), some),
                    col(DeliveryRow.part) == 0,
                    col(DeliveryRow.result).is_not(None),
                )
            )
            count += found.scalar_one()
        return count

    async def _fresh(self, mine: ColumnElement[bool], row: Any, said: Any) -> None:
        """What nothing was ever said about: straight into the history, without a look at each row."""
        who = DeliverySubject
        await self.session.execute(
            insert(Fact)
            .from_select(
                _FRESH,
                select(
                    self._fact_id(row),
                    col(who.person_id),
                    col(who.household_id),
                    col(said.kind),
                    *(col(getattr(said, name)) for name in _VALUES),
                    literal(False),
                    literal(False),
                    col(said.valid_from),
                    col(said.valid_until),
                    col(said.valid_next),
                    col(said.valid_from),
                    col(said.valid_next),
                    col(said.stated_at),
                    col(said.stated_at),
                    literal(self.now, Moment()),
                    literal(self.register_id, Uuid()),
                    literal(self.delivery_id, Uuid()),
                ).where(mine),
                include_defaults=False,
            )
            .execution_options(synchronize_session=False)
        )

    def _fact_id(self, row: Any) -> Any:
        """An id made of the delivery's and the row's place in it: in order, unlike any other, and the same again."""
        place = col(row.position) * PARTS + col(row.part)
        begin = self.delivery_id.hex[:20]
        if self.session.get_bind().dialect.name == "sqlite":
            return type_coerce(literal(begin, String()) + func.printf("%012x", place, type_=String()), Uuid())
        return cast(literal(begin, String()) + func.lpad(func.to_hex(place), 12, "0", type_=String()), Uuid())

    async def _settle(self, mine: ColumnElement[bool], row: Any, said: Any) -> set[UUID]:
        """What was said before about the same subjects, or is said of several periods: each for itself."""
        who = DeliverySubject
        await self._confirm(mine, who, said)
        found = await self.session.execute(
            select(
                col(row.position),
                col(row.part),
                col(row.subject).label("subject"),
                col(who.person_id).label("person_id"),
                col(who.household_id).label("household_id"),
                col(said.kind).label("kind"),
                *(col(getattr(said, name)).label(name) for name in _VALUES),
                col(said.valid_from).label("first"),
                col(said.valid_next).label("following"),
                col(said.stated_at).label("stated_at"),
            )
            .where(
                mine,
                *(~_stands(self.register_id, who, said, whose, confirmed=True) for whose in _WHOSE),
            )
            .order_by(col(row.position), col(row.part))
        )
        rows = found.all()
        statements = [
            Stating(
                one.person_id if one.person_id is not None else one.household_id,
                one.person_id is None,
                one.kind,
                _value(one),
                one.first,
                one.following,
                one.stated_at,
                self.delivery_id,
            )
            for one in rows
        ]
        outcomes, persons, households = await learn(
            self.session, self.register_id, statements, self.lists, self.now
        )
        await self._outcomes(rows, [Result(outcome.value) for outcome in outcomes])
        concerned = {person for person, _ in persons}
        return concerned | await members(self.session, {household for household, _ in households})

    async def _confirm(self, mine: ColumnElement[bool], who: Any, said: Any) -> None:
        """What stands already, word for word, is noted as said again."""
        for whose in _WHOSE:
            await self.session.execute(
                update(Fact)
                .where(
                    mine,
                    *_same(self.register_id, who, said, whose),
                    col(Fact.confirmed_at) < col(said.stated_at),
                )
                .values(confirmed_at=col(said.stated_at))
                .execution_options(synchronize_session=False)
            )

    async def _outcomes(self, rows: Sequence[Any], outcomes: Sequence[Result]) -> None:
        """Keeps what became of rows that were settled each for itself; of all others it is that they were known."""
        own: dict[Result, set[int]] = defaultdict(set)
        for row, outcome in zip(rows, outcomes, strict=True):
            # What became of a birth date within a row about a person is not what became of that row.
            if row.part == 0 and outcome is not self.results[row.subject]:
                own[outcome].add(row.position)
        await self._keep_results(own)

    # ---- what is left out ----

    async def left_out(self) -> set[UUID]:
        """What a full delivery leaves these persons without ends with it."""
        persons = {one.person_id for one in self.subjects if one.person_id is not None} - self.new
        listed: set[UUID] = set()
        for some in chunks(sorted(persons)):
            stands = or_(
                exists().where(
                    col(Fact.person_id) == col(Person.id),
                    col(Fact.register_id) == self.register_id,
                    col(Fact.known_until).is_(None),
                    col(Fact.confirmed_at) < self.newest,
                ),
                exists().where(
                    col(Membership.person_id) == col(Person.id),
                    col(Membership.register_id) == self.register_id,
                    col(Membership.known_until).is_(None),
                    col(Membership.confirmed_at) < self.newest,
                ),
            )
            found = await self.session.execute(
                select(col(Person.id)).where(among(col(Person.id), some), stands)
            )
            listed.update(found.scalars())
        if not listed:
            return set()
        changed, _, moved = await deny(
            self.session,
            self.register_id,
            person_ids=listed,
            household_ids=(),
            lists=self.lists,
            now=self.now,
        )
        return {person for person, _ in changed} | moved

    # ---- what could not be read ----

    async def unread(self) -> set[UUID]:
        """Notes of whom a full delivery says something that is not taken: in that, they are not left out.

        What stands about them stays (`checking.keep_mentioned`); of all other days nothing is known.
        """
        row, who, said = aliased(DeliveryRow), DeliverySubject, DeliveryStatement
        refused = select(
            col(who.person_id),
            col(said.kind),
            col(said.valid_from),
            col(said.valid_next),
            col(said.stated_at),
        ).where(
            self.which,
            col(who.person_id).is_not(None),
            col(row.delivery_id) == self.delivery_id,
            col(row.subject) == col(who.place),
            col(row.result).in_([result.value for result in ABOUT_SOMEBODY]),
            col(said.delivery_id) == self.delivery_id,
            col(said.number) == col(row.statement),
        )
        listing, member = aliased(DeliverySubject), aliased(DeliveryMember)
        # A household that waits for the link of somebody else in it.
        awaited = select(
            col(who.person_id),
            col(listing.household_kind),
            col(said.valid_from),
            col(said.valid_next),
            col(said.stated_at),
        ).where(
            self.which,
            col(who.person_id).is_not(None),
            col(member.delivery_id) == self.delivery_id,
            col(member.member) == col(who.place),
            col(listing.delivery_id) == self.delivery_id,
            col(listing.place) == col(member.listing),
            col(listing.result) == Result.NO_LINK.value,
            col(said.delivery_id) == self.delivery_id,
            col(said.number) == col(listing.statement),
        )
        unread: dict[tuple[UUID, str], set[tuple[date, date, datetime]]] = defaultdict(set)
        for query in (refused, awaited):
            found: Any = await self.session.execute(query)
            for person_id, kind, first, following, stated_at in found:
                unread[person_id, kind].add((first, following, stated_at))
        if not unread:
            return set()
        stands = await self._stand({person_id for person_id, _ in unread})
        statements = [
            Stating(person_id, False, kind, UNREAD, *period, stated_at, self.delivery_id)
            for (person_id, kind), said_of in unread.items()
            for first, following, stated_at in said_of
            for period in gaps(first, following, stands[person_id, kind])
        ]
        _, persons, _ = await learn(self.session, self.register_id, statements, self.lists, self.now)
        return {person for person, _ in persons}

    async def _stand(self, persons: Collection[UUID]) -> dict[tuple[UUID, str], list[tuple[date, date]]]:
        """On which days something of the register stands about these persons, by fact and kind of household."""
        found: dict[tuple[UUID, str], list[tuple[date, date]]] = defaultdict(list)
        for some in chunks(sorted(persons)):
            for model, counts in (
                (Fact, or_(col(Fact.withdrawn).is_(False), col(Fact.unread))),
                (Membership, true()),
            ):
                rows: Any = await self.session.execute(
                    select(
                        col(model.person_id), col(model.kind), col(model.valid_from), col(model.valid_next)
                    ).where(
                        among(col(model.person_id), some),
                        col(model.register_id) == self.register_id,
                        col(model.known_until).is_(None),
                        counts,
                    )
                )
                for person_id, kind, first, following in rows:
                    found[person_id, kind].append((first, following))
        return found

    async def finish(self) -> Counter[str]:
        """Keeps what became of what; gives how many rows have which result."""
        own: dict[Result, set[int]] = defaultdict(set)
        for one in self.subjects:
            explained = self.explained.get(one.place)
            if explained is not None and explained is not self.results.get(one.place, Result.ACCEPTED):
                own[explained].add(one.explained_at)
        await self._keep_results(own)
        by_result: dict[Result, list[int]] = defaultdict(list)
        for one in self.subjects:
            by_result[self.results.get(one.place, Result.ACCEPTED)].append(one.place)
        rest = await self._count()
        *few, most = sorted(by_result, key=lambda result: len(by_result[result])) or [Result.ACCEPTED]
        for result in few:
            for some in chunks(by_result[result]):
                these = among(col(DeliverySubject.place), some)
                count = await self._count(these)
                rest -= count
                self.tally[result.value] += count
                await self._mark(these, result=result.value, sealed=None)
        # The most common result is kept for whoever is left, in one statement.
        self.tally[most.value] += rest
        await self._mark(result=most.value, sealed=None)
        return self.tally

    async def _count(self, *where: ColumnElement[bool]) -> int:
        row, who = aliased(DeliveryRow), DeliverySubject
        found = await self.session.execute(
            select(func.count()).where(
                self.which,
                *where,
                col(row.delivery_id) == self.delivery_id,
                col(row.subject) == col(who.place),
                col(row.part) == 0,
                col(row.result).is_(None),
            )
        )
        return found.scalar_one()


_WHOSE = (("person_id", Fact.person_id), ("household_id", Fact.household_id))


def _same(register_id: UUID, who: Any, said: Any, whose: tuple[str, Any]) -> list[ColumnElement[bool]]:
    """The fact that stands as it is stated again: the same subject, value and days."""
    name, subject = whose
    return [
        col(subject) == col(getattr(who, name)),
        col(Fact.kind) == col(said.kind),
        col(Fact.register_id) == register_id,
        col(Fact.known_until).is_(None),
        col(Fact.valid_from) == col(said.valid_from),
        col(Fact.valid_next) == col(said.valid_next),
        col(Fact.stated_from) == col(said.valid_from),
        col(Fact.stated_next) == col(said.valid_next),
        *(col(getattr(Fact, name)).is_not_distinct_from(col(getattr(said, name))) for name in _VALUES),
    ]


def _stands(
    register_id: UUID, who: Any, said: Any, whose: tuple[str, Any], *, confirmed: bool
) -> ColumnElement[bool]:
    since = col(Fact.confirmed_at) >= col(said.stated_at) if confirmed else true()
    return exists().where(*_same(register_id, who, said, whose), since)


_FRESH = (
    "id",
    "person_id",
    "household_id",
    "kind",
    *_VALUES,
    "withdrawn",
    "unread",
    "valid_from",
    "valid_until",
    "valid_next",
    "stated_from",
    "stated_next",
    "stated_at",
    "confirmed_at",
    "known_from",
    "register_id",
    "delivery_id",
)


def _value(row: Any) -> Value | None:
    value = plain(row)
    return bool(value) if value is not None and CATALOGUE[row.kind].type is Kind.BOOL else value
