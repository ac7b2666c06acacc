"""Keeps what many new persons are called at once: worked out apart from the database, then written as it is."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.bulk import insert_rows, table_of
from core.vault import Label, Vault, new_key, seal, wrap_key
from entitlements.people.marks import LIKEMARKS, like_mark
from entitlements.people.matching import marks, traits
from entitlements.people.models import Identity, IdentityKey, Likemark, NameMark
from entitlements.people.rules import PersonIdentity, name_words
from entitlements.people.service import NAME_MARKS, name_mark, seal_identity


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody of whom nothing is kept yet, and cannot be: made in this very transaction."""

    person_id: UUID
    identity: PersonIdentity | None
    stated_at: datetime
    numbers: Sequence[tuple[UUID, str]]
    """What registers call them, each with the id of the row in which it will stand."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The keys of the vault that it takes."""

    wrapping: bytes
    names: bytes
    alike: bytes

    @classmethod
    def of(cls, vault: Vault) -> "Secrets":
        return cls(vault.secret(Label.IDENTITY_KEYS), vault.secret(NAME_MARKS), vault.secret(LIKEMARKS))


@dataclass(slots=True)
class Kept:
    """The rows that say who the newcomers are, none of it readable without the vault."""

    keys: list[tuple[UUID, bytes]] = field(default_factory=list)
    identities: list[tuple[UUID, bytes, datetime, datetime]] = field(default_factory=list)
    names: list[tuple[int, UUID]] = field(default_factory=list)
    alike: list[tuple[int, UUID]] = field(default_factory=list)
    numbers: dict[UUID, bytes] = field(default_factory=dict)
    """By the row in which it will stand, the sealed number."""


def seal_all(secrets: Secrets, newcomers: Collection[Newcomer], now: datetime) -> Kept:
    """Makes a key for each newcomer and seals under it; touches no database, so that a thread can do it meanwhile."""
    kept = Kept()
    for one in newcomers:
        key = new_key()
        kept.keys.append((one.person_id, wrap_key(secrets.wrapping, key)))
        for row_id, number in one.numbers:
            kept.numbers[row_id] = seal(key, number.encode(), row_id.bytes)
        if one.identity is None:
            continue
        identity = one.identity
        sealed = seal_identity(key, one.person_id, identity)
        kept.identities.append((one.person_id, sealed, one.stated_at, now))
        names = {name_mark(secrets.names, word) for word in name_words(identity.name)}
        kept.names += [(mark, one.person_id) for mark in names]
        alike = {like_mark(secrets.alike, mark) for mark in marks(traits(identity))}
        kept.alike += [(mark, one.person_id) for mark in alike]
    return kept


async def keep(session: AsyncSession, kept: Kept) -> None:
    """Writes down who the newcomers are."""
    for table, columns, rows in (
        (IdentityKey, ("person_id", "wrapped"), kept.keys),
        (Identity, ("person_id", "sealed", "stated_at", "kept_at"), kept.identities),
        (NameMark, ("mark", "person_id"), sorted(kept.names)),
        (Likemark, ("mark", "person_id"), sorted(kept.alike)),
    ):
        await insert_rows(session, table_of(table), columns, rows)
