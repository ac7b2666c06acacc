"""Registers, what they vouch for, and whom their numbers mean."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from types import MappingProxyType
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.models import Principal
from core.access.rules import Caller, PrincipalKind, Role
from core.access.service import enrol
from core.audit.service import note
from core.bulk import chunks, insert_new, insert_rows, table_of
from core.database import new_id
from core.errors import NotAllowed, NotFound, Unprocessable
from core.vault import Vault, open_sealed, seal
from entitlements.people.rules import PersonIdentity
from entitlements.people.service import aliases, identity_of, keys_of, roots, search_by_name
from entitlements.registers.models import Completion, Link, LinkMade, Register, Review, ReviewState
from entitlements.registers.rules import Remit

NUMBERS = "register-numbers/1"
"""Pepper of the HMAC over a register's numbers."""
REVIEWS = "review-numbers/1"
"""Seals the numbers that wait for a case worker."""


# ---- registers ----


async def make_register(
    session: AsyncSession,
    caller: Caller | None,
    *,
    principal_id: UUID,
    kind: str,
    name: str,
    remit: Remit,
    now: datetime,
) -> Register:
    """From now on this machine client speaks as a department's register."""
    principal = await session.get(Principal, principal_id)
    if principal is None or principal.kind is not PrincipalKind.REGISTER:
        raise NotFound
    register = Register(principal_id=principal.id, kind=kind, name=name, remit=remit.kept(), created_at=now)
    session.add(register)
    note(session, caller, "register.made", ("register", register.id), now=now, kind=kind)
    await session.flush()
    return register


async def enrol_register(
    session: AsyncSession,
    caller: Caller | None,
    *,
    public_jwk: object,
    kind: str,
    name: str,
    remit: Remit,
    now: datetime,
) -> Register:
    """A register and, at the same time, the machine client as which it signs in."""
    machine = await enrol(
        session, PrincipalKind.REGISTER, name, now, roles=[Role.INTEGRATION_CLIENT], public_jwk=public_jwk
    )
    return await make_register(
        session, caller, principal_id=machine.id, kind=kind, name=name, remit=remit, now=now
    )


async def registers(session: AsyncSession) -> list[Register]:
    """All registers, by kind and name."""
    rows = await session.execute(select(Register).order_by(col(Register.kind), col(Register.name)))
    return list(rows.scalars())


async def register_of(session: AsyncSession, caller: Caller) -> Register:
    """The register that calls. NotAllowed for an integration client that is none."""
    found = await session.execute(select(Register).where(col(Register.principal_id) == caller.principal_id))
    register: Register | None = found.scalar_one_or_none()
    if register is None:
        raise NotAllowed("this client is no register")
    return register


@dataclass(frozen=True, slots=True)
class Listed:
    """A complete list that a register has handed over."""

    register_id: UUID
    as_of: datetime
    day: date
    known_from: datetime


@dataclass(frozen=True, slots=True)
class Vouching:
    """Which registers there are, what each may state, and the first complete list of each."""

    kinds: Mapping[UUID, str]
    remits: Mapping[UUID, Remit]
    lists: Sequence[Listed]

    def stating_fact(self, name: str) -> frozenset[UUID]:
        """The registers whose lists say something about this fact."""
        return frozenset(
            register_id
            for register_id, remit in self.remits.items()
            if name in remit.facts and not remit.one_by_one
        )

    def stating_household(self, name: str) -> frozenset[UUID]:
        """The registers that may state this kind of household."""
        return frozenset(
            register_id for register_id, remit in self.remits.items() if name in remit.households
        )

    def at(self, known_at: datetime | None) -> "Vouching":
        """As far as it was known at a moment."""
        if known_at is None:
            return self
        return replace(self, lists=[one for one in self.lists if one.known_from <= known_at])


async def vouching(session: AsyncSession) -> Vouching:
    """Which registers vouch for what, as it stands now."""
    found = await registers(session)
    rows = await session.execute(
        select(Completion).order_by(col(Completion.known_from), col(Completion.as_of), col(Completion.id))
    )
    first: dict[UUID, Listed] = {}
    for row in rows.scalars():
        # The earliest list says from when on silence means something; later ones only repeat it.
        one = Listed(row.register_id, row.as_of, row.day, row.known_from)
        first.setdefault(row.register_id, one)
    return Vouching(
        {one.id: one.kind for one in found},
        {one.id: Remit.of(one.remit) for one in found},
        list(first.values()),
    )


async def lists_of(session: AsyncSession, register_id: UUID) -> list[tuple[datetime, date]]:
    """The complete lists of a register: the moment of each and the first day that it speaks of."""
    rows = await session.execute(
        select(col(Completion.as_of), col(Completion.day))
        .where(col(Completion.register_id) == register_id)
        .order_by(col(Completion.as_of))
    )
    return [(as_of, day) for as_of, day in rows]


async def complete(
    session: AsyncSession, register_id: UUID, delivery_id: UUID, *, as_of: datetime, day: date, now: datetime
) -> bool:
    """Writes down that a complete list was taken over; True if it is the register's first."""
    earlier = await session.execute(
        select(col(Completion.id)).where(col(Completion.register_id) == register_id).limit(1)
    )
    is_first = earlier.scalar_one_or_none() is None
    session.add(
        Completion(register_id=register_id, delivery_id=delivery_id, as_of=as_of, day=day, known_from=now)
    )
    await session.flush()
    return is_first


# ---- numbers ----


def number_hash(vault: Vault, register_id: UUID, number: str, what: str = "person") -> bytes:
    """What is kept of a register's number: of no use to anyone who does not hold the vault."""
    return NumberHash(vault, register_id)(number, what)


class NumberHash:
    """Hashes many numbers of one register."""

    def __init__(self, vault: Vault, register_id: UUID) -> None:
        self._secret = vault.secret(NUMBERS)
        self._register = register_id.bytes

    def __call__(self, number: str, what: str = "person") -> bytes:
        return hmac.digest(
            self._secret, self._register + what.encode() + b"\x00" + number.encode(), hashlib.sha256
        )


async def person_by_number(session: AsyncSession, number: bytes, register_id: UUID) -> UUID | None:
    """Whom this number means today."""
    found = await session.execute(
        select(col(Link.person_id)).where(
            col(Link.register_id) == register_id, col(Link.number_hash) == number
        )
    )
    person_id: UUID | None = found.scalar_one_or_none()
    return (await roots(session, [person_id]))[person_id] if person_id is not None else None


async def link(
    session: AsyncSession,
    vault: Vault,
    register_id: UUID,
    numbers: Mapping[bytes, tuple[UUID, str | None, LinkMade]],
    now: datetime,
) -> None:
    """From now on these numbers of a register mean these persons; a number that means somebody stays with them."""
    plain = {person_id for person_id, number, _ in numbers.values() if number is not None}
    keys = await keys_of(session, vault, plain, make=True)
    rows = []
    for hashed, (person_id, number, made_by) in numbers.items():
        row_id, key = new_id(), keys.get(person_id)
        sealed = seal(key, number.encode(), row_id.bytes) if key and number is not None else None
        rows.append(
            {
                "id": row_id,
                "register_id": register_id,
                "number_hash": hashed,
                "sealed_number": sealed,
                "person_id": person_id,
                "made_by": made_by,
                "made_at": now,
            }
        )
    await insert_new(session, Link, rows)
    await _close_reviews(session, register_id, numbers, now)


async def link_new(
    session: AsyncSession, register_id: UUID, links: Mapping[UUID, tuple[bytes, UUID, bytes]], now: datetime
) -> None:
    """The same for persons who are new with these numbers; by the id of each link: hash, person, sealed number."""
    rows = [
        {
            "id": row_id,
            "register_id": register_id,
            "number_hash": hashed,
            "sealed_number": sealed,
            "person_id": person_id,
            "made_by": LinkMade.STATED,
            "made_at": now,
        }
        for row_id, (hashed, person_id, sealed) in links.items()
    ]
    await insert_new(session, Link, rows)
    numbers = {hashed: (person_id, None, LinkMade.STATED) for hashed, person_id, _ in links.values()}
    await _close_reviews(session, register_id, numbers, now)


async def _close_reviews(
    session: AsyncSession,
    register_id: UUID,
    numbers: Mapping[bytes, tuple[UUID, str | None, LinkMade]],
    now: datetime,
) -> None:
    """Nobody has to be asked any more about a number that found its person in another way."""
    open_ones = (col(Review.register_id) == register_id, col(Review.state) == ReviewState.OPEN)
    if (await session.execute(select(col(Review.id)).where(*open_ones).limit(1))).first() is None:
        return
    for some in chunks(list(numbers)):
        waiting = await session.execute(
            select(col(Review.id), col(Review.number_hash)).where(
                *open_ones, col(Review.number_hash).in_(some)
            )
        )
        for review_id, hashed in waiting.all():
            await session.execute(
                update(Review)
                .where(col(Review.id) == review_id)
                .values(
                    state=ReviewState.LINKED,
                    person_id=numbers[hashed][0],
                    sealed_number=b"",
                    sealed_identity=None,
                    decided_at=now,
                )
                .execution_options(synchronize_session=False)
            )


async def links_of(session: AsyncSession, vault: Vault, person_id: UUID) -> list[tuple[Link, str]]:
    """By which numbers the registers know a person, under whichever id; the number is empty for somebody forgotten."""
    ids = list(await aliases(session, [person_id]))
    keys = await keys_of(session, vault, ids)
    rows = await session.execute(
        select(Link).where(col(Link.person_id).in_(ids)).order_by(col(Link.made_at), col(Link.id))
    )
    return [(row, number_in(row, keys.get(row.person_id))) for row in rows.scalars()]


def number_in(row: Link, key: bytes | None) -> str:
    """The number as the register writes it, with the key of its person."""
    if key is None or row.sealed_number is None:
        return ""
    return open_sealed(key, row.sealed_number, row.id.bytes).decode()


async def numbers_of(session: AsyncSession, vault: Vault, person_id: UUID) -> list[tuple[UUID, str]]:
    """By which numbers the registers know a person; none of somebody forgotten."""
    return [(row.register_id, number) for row, number in await links_of(session, vault, person_id) if number]


# ---- numbers that mean nobody yet ----


async def open_reviews(
    session: AsyncSession,
    vault: Vault,
    register_id: UUID,
    numbers: Mapping[bytes, str],
    now: datetime,
    *,
    identities: Mapping[bytes, PersonIdentity] = MappingProxyType({}),
) -> None:
    """Puts numbers that mean nobody for sure before a case worker, with what the register calls whoever it is.

    What was dismissed stays dismissed; of what waits already, the identity is the one that was said last.
    """
    secret = vault.secret(REVIEWS)
    waiting: dict[bytes, UUID] = {}
    for some in chunks(list(numbers)):
        known = await session.execute(
            select(col(Review.number_hash), col(Review.id)).where(
                col(Review.register_id) == register_id, col(Review.number_hash).in_(some)
            )
        )
        waiting.update((hashed, review_id) for hashed, review_id in known)
    rows = []
    for hashed, number in numbers.items():
        row_id = waiting.get(hashed) or new_id()
        identity = _sealed_identity(secret, row_id, identities.get(hashed))
        if hashed not in waiting:
            sealed = seal(secret, number.encode(), row_id.bytes)
            rows.append((row_id, register_id, hashed, sealed, identity, ReviewState.OPEN.value, now))
        elif identity is not None:
            await session.execute(
                update(Review)
                .where(col(Review.id) == row_id, col(Review.state) == ReviewState.OPEN)
                .values(sealed_identity=identity)
                .execution_options(synchronize_session=False)
            )
    columns = (
        "id",
        "register_id",
        "number_hash",
        "sealed_number",
        "sealed_identity",
        "state",
        "opened_at",
    )
    await insert_rows(session, table_of(Review), columns, rows)


def _sealed_identity(secret: bytes, review_id: UUID, identity: PersonIdentity | None) -> bytes | None:
    if identity is None:
        return None
    said = json.dumps(asdict(identity), ensure_ascii=False).encode()
    return seal(secret, said, b"identity:" + review_id.bytes)


# ---- for the doors ----


class OneOfTwo(Unprocessable):
    """Either a key for a new client or an existing client, not both and not neither."""

    slug, title = "key-or-client", "Give either a key or an existing client"


async def take_in(
    session: AsyncSession,
    caller: Caller,
    *,
    public_jwk: object | None,
    principal_id: UUID | None,
    kind: str,
    name: str,
    remit: Remit,
    now: datetime,
) -> Register:
    """A register for a machine client that there is, or together with a new one."""
    if (public_jwk is None) is (principal_id is None):
        raise OneOfTwo
    if principal_id is not None:
        return await make_register(
            session, caller, principal_id=principal_id, kind=kind, name=name, remit=remit, now=now
        )
    return await enrol_register(
        session, caller, public_jwk=public_jwk, kind=kind, name=name, remit=remit, now=now
    )


@dataclass(frozen=True, slots=True)
class Described:
    """A register with what else there is to say about it."""

    id: UUID
    principal_id: UUID
    client_id: str
    kind: str
    name: str
    remit: Remit
    complete_since: datetime | None


async def describe(session: AsyncSession, some: Sequence[Register]) -> list[Described]:
    """Registers with their client ids and the moment since which they are complete."""
    lists = {one.register_id: one.as_of for one in (await vouching(session)).lists}
    rows = await session.execute(
        select(col(Principal.id), col(Principal.client_id)).where(
            col(Principal.id).in_([one.principal_id for one in some])
        )
    )
    clients = {principal_id: client_id for principal_id, client_id in rows if client_id is not None}
    return [
        Described(
            one.id,
            one.principal_id,
            clients.get(one.principal_id, ""),
            one.kind,
            one.name,
            Remit.of(one.remit),
            lists.get(one.id),
        )
        for one in some
    ]


async def find(
    session: AsyncSession,
    vault: Vault,
    caller: Caller,
    *,
    name: str | None,
    register_id: UUID | None,
    number: str | None,
    now: datetime,
) -> list[tuple[UUID, PersonIdentity]]:
    """Persons of that name, or the one whom that register's number means; the look itself is written down."""
    found: list[tuple[UUID, PersonIdentity]] = []
    if register_id is not None and number is not None:
        person_id = await person_by_number(session, number_hash(vault, register_id, number), register_id)
        if person_id is not None:
            found = [(person_id, await identity_of(session, vault, person_id) or PersonIdentity())]
    elif name is not None:
        found = await search_by_name(session, vault, name)
    note(session, caller, "people.searched", now=now, found=len(found), by="number" if number else "name")
    return found
