"""Principals, their keys and their sessions: found, made, ended."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.models import Principal, PrincipalKey, Session, UsedAssertion
from core.access.rules import CEILINGS, Caller, Ceiling, Level, PrincipalKind, Role, is_over, known_roles
from core.audit.service import note
from core.database import new_id
from core.errors import Conflict, NotFound, Unprocessable
from core.jose import LEEWAY, ClientAssertion, KeyRefused, KeySet, jwk, read_jwk, thumbprint
from core.vault import Label, Vault

TOUCH_AFTER = timedelta(seconds=30)
"""A session's last use is written down at most this often: a page with ten requests is one write."""


# ---- logins ----


def subject_hash(vault: Vault, issuer: str, subject: str) -> bytes:
    """What a login is recognised by: of no use to anyone who does not hold the vault."""
    # The length in front keeps issuer and subject apart, whatever stands in them.
    known_as = f"{len(issuer)}:{issuer}{subject}".encode()
    return hmac.digest(vault.secret(Label.LOGIN_LINKS), known_as, hashlib.sha256)


async def find_login(session: AsyncSession, vault: Vault, issuer: str, subject: str) -> Principal | None:
    """The login of this subject of this issuer."""
    known_as = subject_hash(vault, issuer, subject)
    found = await session.execute(select(Principal).where(col(Principal.subject_hash) == known_as))
    return found.scalar_one_or_none()


async def login(session: AsyncSession, vault: Vault, issuer: str, subject: str, now: datetime) -> Principal:
    """The login of this subject of this issuer, made at its first sign-in; of two that come at once, once."""
    known_as = subject_hash(vault, issuer, subject)
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    new = insert(Principal).values(
        id=new_id(), kind=PrincipalKind.LOGIN, label="", subject_hash=known_as, roles=[], created_at=now
    )
    await session.execute(new.on_conflict_do_nothing(index_elements=["subject_hash"]))
    found = await session.execute(select(Principal).where(col(Principal.subject_hash) == known_as))
    principal: Principal = found.scalar_one()
    return principal


# ---- sessions ----


def token_hash(token: str) -> bytes:
    """What is kept of a session's cookie: who reads the table cannot make the cookie from it."""
    return hashlib.sha256(token.encode()).digest()


async def open_session(
    session: AsyncSession,
    principal_id: UUID,
    roles: Iterable[Role],
    level: Level,
    now: datetime,
    *,
    provider_session: str | None = None,
    authenticated_at: datetime | None = None,
    ceilings: Callable[[Level], Ceiling] = CEILINGS.__getitem__,
) -> str:
    """Begins a session under a new random id and gives the cookie's value, which nobody keeps."""
    token = secrets.token_urlsafe(32)
    session.add(
        Session(
            token_hash=token_hash(token),
            principal_id=principal_id,
            roles=sorted(roles),
            level=level,
            provider_session=provider_session,
            authenticated_at=authenticated_at or now,
            seen_at=now,
            expires_at=now + ceilings(level).absolute,
        )
    )
    await session.flush()
    return token


async def find_session(
    session: AsyncSession,
    token: str,
    now: datetime,
    *,
    ceilings: Callable[[Level], Ceiling] = CEILINGS.__getitem__,
) -> tuple[Session, Principal] | None:
    """The session of this cookie with its principal, as long as neither has ended."""
    found = await session.execute(
        select(Session, Principal)
        .join(Principal, col(Principal.id) == col(Session.principal_id))
        .where(
            col(Session.token_hash) == token_hash(token),
            col(Session.ended_at).is_(None),
            col(Principal.disabled_at).is_(None),
        )
    )
    row = found.one_or_none()
    if row is None:
        return None
    opened, principal = row
    ceiling = ceilings(Level(opened.level))
    if is_over(ceiling, seen_at=opened.seen_at, expires_at=opened.expires_at, now=now):
        return None
    return opened, principal


async def touch_session(session: AsyncSession, session_id: UUID, now: datetime) -> None:
    """Writes down that a session was used; its idle time begins anew."""
    await session.execute(
        update(Session)
        .where(col(Session.id) == session_id, col(Session.seen_at) < now)
        .values(seen_at=now)
        .execution_options(synchronize_session=False)
    )


async def end_session(session: AsyncSession, session_id: UUID, now: datetime) -> None:
    """Ends a session; it does not come back."""
    await session.execute(
        update(Session)
        .where(col(Session.id) == session_id, col(Session.ended_at).is_(None))
        .values(ended_at=now)
        .execution_options(synchronize_session=False)
    )


async def end_sessions(
    session: AsyncSession, now: datetime, *, principal_id: UUID | None, provider_session: str | None
) -> int:
    """Ends the sessions that began with one of the provider's, or all of a login's; gives how many there were."""
    concerned: list[ColumnElement[bool]] = [col(Session.ended_at).is_(None)]
    if principal_id is not None:
        concerned.append(col(Session.principal_id) == principal_id)
    if provider_session is not None:
        concerned.append(col(Session.provider_session) == provider_session)
    ended = await session.execute(
        update(Session)
        .where(*concerned)
        .values(ended_at=now)
        .returning(col(Session.id))
        .execution_options(synchronize_session=False)
    )
    return len(ended.all())


async def forget_sessions(session: AsyncSession, _payload: dict[str, Any], now: datetime) -> None:
    """The job that drops what can no longer be used: sessions that are over, assertions that have expired."""
    await session.execute(delete(Session).where(col(Session.expires_at) <= now))
    await session.execute(delete(Session).where(col(Session.ended_at) <= now))
    await session.execute(delete(UsedAssertion).where(col(UsedAssertion.kept_until) <= now))


# ---- machines and their keys ----

MACHINE_ROLES: Mapping[PrincipalKind, frozenset[Role]] = {
    PrincipalKind.REGISTER: frozenset({Role.INTEGRATION_CLIENT}),
    PrincipalKind.TILL: frozenset({Role.INTEGRATION_CLIENT, Role.VENUE_STAFF}),
    PrincipalKind.SCANNER: frozenset({Role.SCANNER}),
}
"""What a machine can be: never what takes a person's judgement."""


class RoleRefused(Unprocessable):
    """A machine of this kind cannot have this role."""

    slug, title = "role-refused", "A machine of this kind cannot have this role"


class LastKey(Conflict):
    """The machine would be locked out; disable it instead."""

    slug, title = "last-key", "A machine keeps at least one key until it is disabled"


async def enrol(
    session: AsyncSession,
    kind: PrincipalKind,
    label: str,
    now: datetime,
    *,
    roles: Iterable[Role],
    public_jwk: object,
) -> Principal:
    """A new machine with its first key; KeyRefused for a key that cannot be used, IntegrityError for a used one."""
    given = frozenset(roles)
    if kind not in MACHINE_ROLES or not given <= MACHINE_ROLES[kind]:
        raise RoleRefused
    machine_id = uuid4()
    machine = Principal(
        id=machine_id,
        kind=kind,
        label=label,
        client_id=None if kind is PrincipalKind.SCANNER else f"{kind}-{machine_id}",
        roles=sorted(given),
        created_at=now,
    )
    session.add(machine)
    await session.flush()
    await add_key(session, machine, public_jwk, now)
    return machine


async def add_key(
    session: AsyncSession, principal: Principal, public_jwk: object, now: datetime
) -> PrincipalKey:
    """Gives a machine one more key; the older ones stay good until they are removed."""
    public = read_jwk(public_jwk).public
    if principal.kind is PrincipalKind.SCANNER and not (
        isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name == ec.SECP256R1.name
    ):
        raise KeyRefused("a scanner signs with P-256")
    key = PrincipalKey(
        principal_id=principal.id, thumbprint=thumbprint(public), jwk=jwk(public), added_at=now
    )
    session.add(key)
    await session.flush()
    return key


async def keys_of(session: AsyncSession, principal_id: UUID) -> Sequence[PrincipalKey]:
    """The keys that a machine can use, oldest first."""
    found = await session.execute(
        select(PrincipalKey)
        .where(col(PrincipalKey.principal_id) == principal_id, col(PrincipalKey.removed_at).is_(None))
        .order_by(col(PrincipalKey.added_at), col(PrincipalKey.id))
    )
    return found.scalars().all()


async def remove_key(session: AsyncSession, principal_id: UUID, name: str, now: datetime) -> None:
    """Takes a key away for good; every instance knows within two seconds."""
    # The machine's row is locked first: of two who take away the last two keys, the second sees one.
    await session.execute(
        select(col(Principal.id)).where(col(Principal.id) == principal_id).with_for_update()
    )
    held = await keys_of(session, principal_id)
    key = next((each for each in held if each.thumbprint == name), None)
    if key is None:
        raise NotFound
    if len(held) == 1:
        raise LastKey
    key.removed_at = now
    session.add(key)
    await session.flush()


async def disable(session: AsyncSession, principal_id: UUID, now: datetime) -> None:
    """Lets nobody in as this principal any more; every instance knows within two seconds."""
    await session.execute(
        update(Principal)
        .where(col(Principal.id) == principal_id, col(Principal.disabled_at).is_(None))
        .values(disabled_at=now)
        .execution_options(synchronize_session=False)
    )


@dataclass(frozen=True, slots=True)
class Known:
    """A principal that can call at this moment, as the doors need it."""

    principal_id: UUID
    kind: PrincipalKind
    roles: frozenset[Role]


async def holder_of(session: AsyncSession, name: str) -> tuple[Known, dict[str, Any]] | None:
    """Whose key this thumbprint names, with the key, as long as both are good."""
    found = await session.execute(
        select(col(Principal.id), col(Principal.kind), col(Principal.roles), col(PrincipalKey.jwk))
        .join(PrincipalKey, col(PrincipalKey.principal_id) == col(Principal.id))
        .where(
            col(PrincipalKey.thumbprint) == name,
            col(PrincipalKey.removed_at).is_(None),
            col(Principal.disabled_at).is_(None),
        )
    )
    row = found.one_or_none()
    if row is None:
        return None
    principal_id, kind, roles, members = row
    return Known(principal_id, kind, known_roles(roles)), members


async def machine_named(session: AsyncSession, client_id: str) -> Principal | None:
    """The machine of this client id, unless it is disabled."""
    found = await session.execute(
        select(Principal).where(col(Principal.client_id) == client_id, col(Principal.disabled_at).is_(None))
    )
    machine: Principal | None = found.scalar_one_or_none()
    return machine


async def key_set(session: AsyncSession, principal_id: UUID) -> KeySet:
    """A machine's keys, each by its thumbprint, as its assertions name them."""
    held = await keys_of(session, principal_id)
    return KeySet(tuple(read_jwk({**key.jwk, "kid": key.thumbprint}) for key in held))


async def use_assertion(session: AsyncSession, principal_id: UUID, assertion: ClientAssertion) -> bool:
    """Takes the one use of an assertion; False where it was taken before."""
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    taken = await session.execute(
        insert(UsedAssertion)
        .values(
            id=new_id(),
            principal_id=principal_id,
            jti_hash=hashlib.sha256(assertion.jti.encode()).digest(),
            kept_until=assertion.expires_at + LEEWAY,
        )
        .on_conflict_do_nothing(index_elements=["principal_id", "jti_hash"])
        .returning(col(UsedAssertion.id))
    )
    return taken.scalar_one_or_none() is not None


# ---- machine clients, as an operator sees them ----


@dataclass(frozen=True, slots=True)
class Client:
    """A machine client with its keys."""

    id: UUID
    client_id: str
    label: str
    kind: PrincipalKind
    roles: tuple[Role, ...]
    keys: tuple[PrincipalKey, ...]
    created_at: datetime
    disabled_at: datetime | None


async def register_client(
    session: AsyncSession,
    caller: Caller,
    now: datetime,
    *,
    kind: PrincipalKind,
    label: str,
    roles: Iterable[Role],
    public_jwk: object,
) -> Client:
    """Takes in a department's system or a till."""
    machine = await enrol(session, kind, label, now, roles=roles, public_jwk=public_jwk)
    note(session, caller, "client.registered", ("principal", machine.id), now=now, kind=kind)
    return await _client(session, machine)


async def clients(session: AsyncSession) -> list[Client]:
    """Every machine client, oldest first."""
    found = await session.execute(
        select(Principal)
        .where(col(Principal.client_id).is_not(None))
        .order_by(col(Principal.created_at), col(Principal.id))
    )
    return [await _client(session, machine) for machine in found.scalars().all()]


async def client(session: AsyncSession, principal_id: UUID) -> Client:
    """One machine client; NotFound where there is none."""
    return await _client(session, await _machine(session, principal_id))


async def add_client_key(
    session: AsyncSession, caller: Caller, principal_id: UUID, public_jwk: object, now: datetime
) -> Client:
    """Gives a client one more key, so that keys can change without a gap."""
    machine = await _machine(session, principal_id)
    if machine.disabled_at is not None:
        raise Conflict("the client is disabled")
    key = await add_key(session, machine, public_jwk, now)
    note(session, caller, "client.key-added", ("principal", machine.id), now=now, key=key.thumbprint)
    return await _client(session, machine)


async def remove_client_key(
    session: AsyncSession, caller: Caller, principal_id: UUID, name: str, now: datetime
) -> Client:
    """Takes one of a client's keys away."""
    machine = await _machine(session, principal_id)
    await remove_key(session, principal_id, name, now)
    note(session, caller, "client.key-removed", ("principal", machine.id), now=now, key=name)
    return await _client(session, machine)


async def disable_client(session: AsyncSession, caller: Caller, principal_id: UUID, now: datetime) -> Client:
    """Lets a client in no more."""
    machine = await _machine(session, principal_id)
    if machine.disabled_at is None:
        await disable(session, principal_id, now)
        await session.refresh(machine)
        note(session, caller, "client.disabled", ("principal", machine.id), now=now)
    return await _client(session, machine)


async def _machine(session: AsyncSession, principal_id: UUID) -> Principal:
    machine = await session.get(Principal, principal_id)
    if machine is None or machine.client_id is None:
        raise NotFound
    return machine


async def _client(session: AsyncSession, machine: Principal) -> Client:
    return Client(
        id=machine.id,
        client_id=str(machine.client_id),
        label=machine.label,
        kind=machine.kind,
        roles=tuple(sorted(known_roles(machine.roles))),
        keys=tuple(await keys_of(session, machine.id)),
        created_at=machine.created_at,
        disabled_at=machine.disabled_at,
    )
