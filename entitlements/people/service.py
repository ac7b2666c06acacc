"""Find, name, link and forget persons; say who somebody is and for whom they may act."""

import hashlib
import hmac
import json
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Select, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller, Channel, Role
from core.audit.service import note
from core.bulk import among, chunks, insert_for, insert_new, insert_rows, table_of
from core.errors import Conflict, NotFound, Unprocessable
from core.jobs.service import enqueue
from core.vault import Label, Vault, new_key, open_sealed, seal, unwrap_key, wrap_key
from entitlements.people.marks import keep_marks
from entitlements.people.models import (
    ActivationCode,
    Guardianship,
    Identification,
    Identity,
    IdentityKey,
    Likemark,
    LinkedBy,
    Login,
    NameMark,
    Person,
)
from entitlements.people.rules import (
    IDENTITY_FIELDS,
    PersonIdentity,
    matches,
    name_words,
)

NAME_MARKS = "name-marks/1"
"""Pepper of the marks by which a name is found."""
IDENTIFICATION_NUMBERS = "identification-numbers/1"
"""Pepper of the HMAC over tax identification numbers."""
MARK_BITS = 20


class AlreadyLinked(Conflict):
    """The login is somebody else already."""

    slug, title = "login-already-linked", "This login is linked to another person already"


class NotTwoPersons(Unprocessable):
    """Both are the same person."""

    slug, title = "not-two-persons", "Both ids mean the same person"


# ---- persons ----


async def make_person(session: AsyncSession, now: datetime) -> Person:
    """A new person of whom nothing is known yet."""
    person = Person(created_at=now)
    session.add(person)
    await session.flush()
    return person


async def make_persons(session: AsyncSession, person_ids: Collection[UUID], now: datetime) -> None:
    """Persons under these ids, where there are none yet."""
    await insert_new(session, Person, [{"id": person_id, "created_at": now} for person_id in person_ids])


async def roots(session: AsyncSession, person_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """The person that each id means today, where two were merged the one that stayed; ids of nobody are left out."""
    found: dict[UUID, UUID] = {}
    for some in chunks(list(person_ids)):
        rows = await session.execute(
            select(col(Person.id), func.coalesce(col(Person.merged_into), col(Person.id))).where(
                among(col(Person.id), some)
            )
        )
        found.update((person_id, root) for person_id, root in rows)
    return found


async def aliases(session: AsyncSession, person_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Every id under which something may be kept about these persons, each with the person it means."""
    wanted = set((await roots(session, person_ids)).values())
    found = {person_id: person_id for person_id in wanted}
    for some in chunks(list(wanted)):
        rows = await session.execute(
            select(col(Person.id), col(Person.merged_into)).where(among(col(Person.merged_into), some))
        )
        found.update((gone, kept) for gone, kept in rows if kept is not None)
    return found


def known_as(person_id: UUID) -> Select[UUID]:
    """For a query: every id under which something may be kept about a person, given the id that they have today."""
    return select(col(Person.id)).where(
        or_(col(Person.id) == person_id, col(Person.merged_into) == person_id)
    )


async def forget(session: AsyncSession, person_id: UUID, *, caller: Caller | None, now: datetime) -> None:
    """Destroys the person's identity key and all that names them, at once.

    The person's facts and decisions stay, pseudonymous, until their own retention is over.
    """
    ids = list(await aliases(session, [person_id]))
    if not ids:
        raise NotFound
    for table in (IdentityKey, Identity, NameMark, Likemark, Identification, ActivationCode):
        await session.execute(delete(table).where(col(table.person_id).in_(ids)))
    await session.execute(update(Person).where(col(Person.id).in_(ids)).values(forgotten_at=now))
    note(session, caller, "person.forgotten", ("person", person_id), now=now)


# ---- identity ----


def place_of(person_id: UUID) -> bytes:
    """Where an identity stands: sealed for one person, it opens for no other."""
    return b"identity:" + person_id.bytes


async def keys_of(
    session: AsyncSession, vault: Vault, person_ids: Collection[UUID], *, make: bool = False
) -> dict[UUID, bytes]:
    """The identity keys of these persons, opened; with `make`, whoever has none gets one. Forgotten ones have none."""
    wrapping = vault.secret(Label.IDENTITY_KEYS)
    found: dict[UUID, bytes] = {}
    for some in chunks(list(person_ids)):
        rows = await session.execute(
            select(col(IdentityKey.person_id), col(IdentityKey.wrapped)).where(
                among(col(IdentityKey.person_id), some)
            )
        )
        found.update((person_id, unwrap_key(wrapping, wrapped)) for person_id, wrapped in rows)
        missing = [person_id for person_id in some if person_id not in found]
        if not make or not missing:
            continue
        alive = await session.execute(
            select(col(Person.id)).where(among(col(Person.id), missing), col(Person.forgotten_at).is_(None))
        )
        made = {person_id: new_key() for person_id in alive.scalars()}
        wrapped = [
            {"person_id": person_id, "wrapped": wrap_key(wrapping, key)} for person_id, key in made.items()
        ]
        await insert_new(session, IdentityKey, wrapped)
        # Somebody else may have been first: what stands is the key.
        found.update(await keys_of(session, vault, made.keys()))
    return found


async def keep_identities(
    session: AsyncSession,
    vault: Vault,
    identities: Mapping[UUID, tuple[PersonIdentity, datetime]],
    now: datetime,
) -> set[UUID]:
    """Keeps what persons are called, each as of the moment a register wrote it down; gives whose changed.

    What was written down earlier than what is kept changes nothing, and a forgotten person stays forgotten.
    """
    changed: set[UUID] = set()
    for some in chunks(list(identities)):
        keys = await keys_of(session, vault, some, make=True)
        rows = await session.execute(select(Identity).where(among(col(Identity.person_id), some)))
        kept = {row.person_id: row for row in rows.scalars()}
        fresh = []
        marks: dict[UUID, PersonIdentity] = {}
        for person_id in some:
            identity, stated_at = identities[person_id]
            key, before = keys.get(person_id), kept.get(person_id)
            if key is None or (before is not None and before.stated_at > stated_at):
                continue
            if before is not None:
                if _open(key, before) == identity:
                    before.stated_at = stated_at
                    continue
                before.sealed, before.stated_at, before.kept_at = (
                    seal_identity(key, person_id, identity),
                    stated_at,
                    now,
                )
            else:
                fresh.append((person_id, seal_identity(key, person_id, identity), stated_at, now))
            marks[person_id] = identity
        await session.flush()
        await insert_rows(session, table_of(Identity), ("person_id", "sealed", "stated_at", "kept_at"), fresh)
        renamed = marks.keys() & kept.keys()
        await _mark_names(session, vault, marks, renamed=renamed)
        await keep_marks(session, vault, marks, renamed=renamed)
        changed |= marks.keys()
    return changed


async def keep_identity(
    session: AsyncSession,
    vault: Vault,
    person_id: UUID,
    identity: PersonIdentity,
    *,
    stated_at: datetime,
    now: datetime,
) -> None:
    """Keeps what one person is called."""
    await keep_identities(session, vault, {person_id: (identity, stated_at)}, now)


async def identities_of(
    session: AsyncSession, vault: Vault, person_ids: Iterable[UUID]
) -> dict[UUID, PersonIdentity]:
    """What these persons are called, under the ids that were asked for; who was forgotten is left out."""
    asked = await roots(session, person_ids)
    everybody = await aliases(session, asked)
    keys = await keys_of(session, vault, everybody.keys())
    newest: dict[UUID, Identity] = {}
    for some in chunks(list(keys)):
        rows = await session.execute(select(Identity).where(among(col(Identity.person_id), some)))
        for row in rows.scalars():
            root = everybody[row.person_id]
            if root not in newest or newest[root].stated_at < row.stated_at:
                newest[root] = row
    opened = {root: _open(keys[row.person_id], row) for root, row in newest.items()}
    return {person_id: opened[root] for person_id, root in asked.items() if root in opened}


async def identity_of(session: AsyncSession, vault: Vault, person_id: UUID) -> PersonIdentity | None:
    """What a person is called; None for somebody nameless or forgotten."""
    return (await identities_of(session, vault, [person_id])).get(person_id)


async def identity_under(
    session: AsyncSession, vault: Vault, person_id: UUID
) -> tuple[PersonIdentity, datetime] | None:
    """What stands under this very id, whoever else it means by now, and when it was written down."""
    row = await session.get(Identity, person_id, populate_existing=True)
    key = (await keys_of(session, vault, [person_id])).get(person_id)
    return (_open(key, row), row.stated_at) if row is not None and key is not None else None


def seal_identity(key: bytes, person_id: UUID, identity: PersonIdentity) -> bytes:
    """What a person is called, under a key of that person's own."""
    said = {name: value for name in IDENTITY_FIELDS if (value := getattr(identity, name))}
    return seal(key, json.dumps(said, ensure_ascii=False).encode(), place_of(person_id))


def _open(key: bytes, row: Identity) -> PersonIdentity:
    return PersonIdentity(**json.loads(open_sealed(key, row.sealed, place_of(row.person_id))))


# ---- finding by name, by identification number ----


def name_mark(secret: bytes, word: str) -> int:
    """The mark of one word of a name: a few bits of a keyed hash."""
    return int.from_bytes(hmac.digest(secret, word.encode(), hashlib.sha256)[:4]) >> (32 - MARK_BITS)


async def _mark_names(
    session: AsyncSession, vault: Vault, named: Mapping[UUID, PersonIdentity], *, renamed: Iterable[UUID]
) -> None:
    secret = vault.secret(NAME_MARKS)
    for some in chunks(list(renamed)):
        await session.execute(delete(NameMark).where(among(col(NameMark.person_id), some)))
    rows = {
        (name_mark(secret, word), person_id)
        for person_id, identity in named.items()
        for word in name_words(identity.name)
    }
    await insert_rows(session, table_of(NameMark), ("mark", "person_id"), sorted(rows))


async def search_by_name(
    session: AsyncSession, vault: Vault, name: str, *, limit: int = 20
) -> list[tuple[UUID, PersonIdentity]]:
    """Persons in whose name every given word occurs, whatever the accents; at most `limit`, in order of name."""
    secret = vault.secret(NAME_MARKS)
    # One spelling suffices to find candidates: both spellings of a kept name are marked.
    plain = sorted(name_words(name), key=len)[:12]
    if not plain:
        return []
    marked = func.count(col(NameMark.mark).distinct())
    wanted = {name_mark(secret, word) for word in plain}
    rows = await session.execute(
        select(col(NameMark.person_id))
        .where(col(NameMark.mark).in_(wanted))
        .group_by(col(NameMark.person_id))
        .order_by(marked.desc(), col(NameMark.person_id))
        .limit(50 * limit)
    )
    known = await identities_of(session, vault, rows.scalars())
    meant = await roots(session, known)
    found = {
        meant[person_id]: identity for person_id, identity in known.items() if matches(name, identity.name)
    }
    return sorted(found.items(), key=lambda item: (item[1].family_name, item[1].given_name, item[0]))[:limit]


def identification_hash(vault: Vault, number: str) -> bytes:
    """What is kept of a tax identification number."""
    return hmac.digest(vault.secret(IDENTIFICATION_NUMBERS), number.encode(), hashlib.sha256)


async def keep_identifications(session: AsyncSession, numbers: Mapping[bytes, UUID]) -> None:
    """Remembers whose identification numbers these are; a number that is somebody's already stays theirs."""
    rows = [
        {"number_hash": number_hash, "person_id": person_id} for number_hash, person_id in numbers.items()
    ]
    await insert_new(session, Identification, rows)


# ---- logins ----


async def link_login(
    session: AsyncSession,
    principal_id: UUID,
    person_id: UUID,
    *,
    by: LinkedBy,
    caller: Caller | None,
    now: datetime,
) -> None:
    """From now on this login is this person. AlreadyLinked if it is another."""
    meant = await roots(session, [person_id])
    if person_id not in meant:
        raise NotFound
    taken = await session.execute(
        insert_for(session, Login)
        .values(principal_id=principal_id, person_id=meant[person_id], linked_by=by, linked_at=now)
        .on_conflict_do_nothing()
        .returning(col(Login.principal_id))
    )
    if taken.scalar_one_or_none() is not None:
        note(session, caller, "login.linked", ("person", meant[person_id]), now=now, by=by.value)
        return
    if await _login_person(session, principal_id) != meant[person_id]:
        raise AlreadyLinked


async def _login_person(session: AsyncSession, principal_id: UUID) -> UUID | None:
    found = await session.execute(
        select(func.coalesce(col(Person.merged_into), col(Person.id)))
        .join(Login, col(Login.person_id) == col(Person.id))
        .where(col(Login.principal_id) == principal_id)
    )
    return found.scalar_one_or_none()


async def logins_of(session: AsyncSession, person_ids: Collection[UUID]) -> list[UUID]:
    """The principals that are signed in as one of these persons when they are; ids as they stand, without aliases."""
    rows = await session.execute(select(col(Login.principal_id)).where(col(Login.person_id).in_(person_ids)))
    return list(rows.scalars())


async def who_is(session: AsyncSession, principal_id: UUID) -> UUID | None:
    """The person that this login is; None where nobody has linked it."""
    return await _login_person(session, principal_id)


async def whoami(session: AsyncSession, caller: Caller) -> UUID | None:
    """The person that the caller is; None for a login that nobody has linked yet."""
    return await _login_person(session, caller.principal_id)


async def person_of(session: AsyncSession, caller: Caller) -> UUID:
    """The person that the caller is. NotFound for a login that nobody has linked yet."""
    found = await whoami(session, caller)
    if found is None:
        raise NotFound
    return found


async def subject_of(session: AsyncSession, caller: Caller, today: date) -> UUID:
    """The person whom the request is about: the caller, a ward, or whoever stands at a case worker's desk.

    Somebody for whom the caller may not act is not found.
    """
    if caller.acting_for is None:
        return await person_of(session, caller)
    meant = (await roots(session, [caller.acting_for])).get(caller.acting_for)
    if meant is None:
        raise NotFound
    if caller.has(Role.CASE_WORKER) and caller.channel in {Channel.DESK, Channel.PHONE}:
        return meant
    own = await whoami(session, caller)
    if own is None or (own != meant and meant not in await wards_of(session, own, today)):
        raise NotFound
    return meant


# ---- guardians ----


async def make_guardian(
    session: AsyncSession,
    caller: Caller | None,
    guardian_id: UUID,
    child_id: UUID,
    *,
    since: date,
    until: date,
    now: datetime,
) -> Guardianship:
    """From a day and until a day, the guardian may act for the child."""
    meant = await roots(session, [guardian_id, child_id])
    if guardian_id not in meant or child_id not in meant:
        raise NotFound
    if meant[guardian_id] == meant[child_id]:
        raise NotTwoPersons
    if until < since:
        raise Unprocessable("the guardianship would end before it begins")
    row = Guardianship(
        guardian_id=meant[guardian_id],
        child_id=meant[child_id],
        since=since,
        until=until,
        recorded_at=now,
        recorded_by=caller.principal_id if caller else None,
    )
    session.add(row)
    note(session, caller, "guardianship.made", ("guardianship", row.id), now=now)
    await session.flush()
    return row


async def end_guardianship(
    session: AsyncSession,
    caller: Caller,
    guardianship_id: UUID,
    last_day: date,
    *,
    today: date,
    now: datetime,
) -> Guardianship:
    """Ends a guardianship with this day; one that ends earlier stays as it is."""
    row = await session.get(Guardianship, guardianship_id)
    if row is None:
        raise NotFound
    if last_day < row.since:
        # It never held; a period needs a day, and the day before its first says so to nobody.
        await session.delete(row)
        row.until = last_day
    else:
        row.until = min(row.until, last_day)
    note(session, caller, "guardianship.ended", ("guardianship", guardianship_id), now=now)
    await session.flush()
    # The child's cards leave the guardian's phones at once; where the last day is still to come, the night
    # after it takes them. Whoever has acted under it, if only since this morning, is told.
    told = {"until": row.until.isoformat()} if row.since <= today else {}
    joined = {"guardian_id": str(row.guardian_id), "child_id": str(row.child_id), **told}
    await enqueue(session, "guardianship.ended", joined, run_at=now)
    return row


async def guardianships_of(session: AsyncSession, person_id: UUID, today: date) -> list[Guardianship]:
    """The guardianships that this person holds today."""
    ids = list(await aliases(session, [person_id]))
    rows = await session.execute(
        select(Guardianship)
        .where(
            col(Guardianship.guardian_id).in_(ids),
            col(Guardianship.since) <= today,
            col(Guardianship.until) >= today,
        )
        .order_by(col(Guardianship.until), col(Guardianship.id))
    )
    return list(rows.scalars())


async def guardianships_about(session: AsyncSession, person_id: UUID, today: date) -> list[Guardianship]:
    """The guardianships on either side of this person that are not over; NotFound for nobody."""
    meant = list((await roots(session, [person_id])).values())
    if not meant:
        raise NotFound
    ids = list(await aliases(session, meant))
    rows = await session.execute(
        select(Guardianship)
        .where(
            or_(col(Guardianship.child_id).in_(ids), col(Guardianship.guardian_id).in_(ids)),
            col(Guardianship.until) >= today,
        )
        .order_by(col(Guardianship.since), col(Guardianship.id))
    )
    return list(rows.scalars())


async def wards_of(session: AsyncSession, person_id: UUID, today: date) -> list[UUID]:
    """The persons for whom this person may act today."""
    held = await guardianships_of(session, person_id, today)
    meant = await roots(session, [row.child_id for row in held])
    return list(dict.fromkeys(meant[row.child_id] for row in held))


async def guardians_of(session: AsyncSession, person_id: UUID, today: date) -> list[UUID]:
    """The persons who may act for this person today: whoever is told what this person is told."""
    ids = list(await aliases(session, [person_id]))
    rows = await session.execute(
        select(col(Guardianship.guardian_id)).where(
            col(Guardianship.child_id).in_(ids),
            col(Guardianship.since) <= today,
            col(Guardianship.until) >= today,
        )
    )
    meant = await roots(session, rows.scalars())
    return list(dict.fromkeys(meant.values()))
