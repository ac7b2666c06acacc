from dataclasses import replace
from datetime import date, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.models import Principal
from core.access.rules import Caller, Channel, Method, PrincipalKind, Role
from core.errors import NotFound
from core.vault import SealBroken, Vault
from entitlements.people import merging, service
from entitlements.people.activation import ACTIVATION_AAD, CodeRefused, make_code, use_code
from entitlements.people.models import (
    ActivationCode,
    Identity,
    IdentityKey,
    Likemark,
    LinkedBy,
    Login,
    Makes,
    NameMark,
)
from entitlements.people.rules import PersonIdentity
from tests.entitlements.facts.making import NOON, some_persons

TODAY = NOON.date()
LATER = NOON + timedelta(hours=1)


async def somebody(
    session: AsyncSession,
    person_id: UUID | None = None,
    *roles: Role,
    acting_for: UUID | None = None,
    channel: Channel = Channel.WEB,
) -> Caller:
    principal = Principal(kind=PrincipalKind.LOGIN, created_at=NOON)
    session.add(principal)
    await session.flush()
    if person_id is not None:
        session.add(Login(principal_id=principal.id, person_id=person_id))
        await session.flush()
    return Caller(
        principal.id,
        PrincipalKind.LOGIN,
        frozenset(roles or (Role.CITIZEN,)),
        Method.SESSION,
        acting_for=acting_for,
        channel=channel,
    )


async def named(session: AsyncSession, vault: Vault, given: str, family: str) -> UUID:
    (person,) = await some_persons(session, 1)
    identity = PersonIdentity(given, family)
    await service.keep_identity(session, vault, person, identity, stated_at=NOON, now=NOON)
    return person


@pytest.mark.parametrize(
    ("given", "family"),
    [
        ("Nazlı", "Öztürk"),
        ("محمد", "العلي"),
        ("Иван", "Петров"),
        ("राज", "कुमार"),
        ("李", "小龍"),
        ("Ọlá", "Ṣàngó"),
    ],
)
async def test_names_of_every_script_come_back_as_they_were_given(
    session: AsyncSession, vault: Vault, given: str, family: str
) -> None:
    person = await named(session, vault, given, family)
    identity = await service.identity_of(session, vault, person)
    assert identity == PersonIdentity(given, family)
    found = await service.search_by_name(session, vault, f"{family} {given}")
    assert [who for who, _ in found] == [person]


async def test_a_search_finds_whoever_has_every_word(session: AsyncSession, vault: Vault) -> None:
    first = await named(session, vault, "Anna Maria", "Müller")
    second = await named(session, vault, "Anna", "Mueller-Lüdenscheidt")
    await named(session, vault, "Bert", "Meier")
    assert {who for who, _ in await service.search_by_name(session, vault, "mueller anna")} == {first, second}
    assert [who for who, _ in await service.search_by_name(session, vault, "maria")] == [first]
    assert await service.search_by_name(session, vault, "anna meier") == []
    assert await service.search_by_name(session, vault, "...") == []


async def test_an_older_name_that_comes_late_changes_nothing(session: AsyncSession, vault: Vault) -> None:
    person = await named(session, vault, "Ute", "Neu")
    old = PersonIdentity("Ute", "Alt")
    await service.keep_identity(session, vault, person, old, stated_at=NOON - timedelta(days=1), now=LATER)
    assert await service.identity_of(session, vault, person) == PersonIdentity("Ute", "Neu")


async def test_whoever_married_is_found_by_the_new_name_only(session: AsyncSession, vault: Vault) -> None:
    person = await named(session, vault, "Ute", "Alt")
    new = PersonIdentity("Ute", "Neu")
    await service.keep_identity(session, vault, person, new, stated_at=LATER, now=LATER)
    assert await service.search_by_name(session, vault, "alt") == []
    assert [who for who, _ in await service.search_by_name(session, vault, "neu")] == [person]


async def test_an_identity_opens_for_its_own_person_only(session: AsyncSession, vault: Vault) -> None:
    one = await named(session, vault, "Ute", "Eins")
    other = await named(session, vault, "Ute", "Zwei")
    first, second = await session.get_one(Identity, one), await session.get_one(Identity, other)
    first.sealed, second.sealed = second.sealed, first.sealed
    await session.flush()
    with pytest.raises(SealBroken):
        await service.identity_of(session, vault, one)


async def test_forgetting_destroys_the_key_at_once_and_for_good(session: AsyncSession, vault: Vault) -> None:
    person = await named(session, vault, "Ute", "Weg")
    await service.forget(session, person, caller=None, now=LATER)
    assert await service.identity_of(session, vault, person) is None
    assert await service.search_by_name(session, vault, "weg") == []
    for table in (IdentityKey, Identity, NameMark, Likemark):
        assert (await session.execute(select(table))).all() == []
    await service.keep_identity(
        session, vault, person, PersonIdentity("Ute", "Weg"), stated_at=LATER, now=LATER
    )
    assert await service.identity_of(session, vault, person) is None


async def test_every_read_follows_a_merge_however_often(session: AsyncSession, vault: Vault) -> None:
    first = await named(session, vault, "Ute", "Eins")
    second, third = await some_persons(session, 2)
    await merging.merge(session, None, first, second, NOON)
    await merging.merge(session, None, second, third, NOON)
    assert await service.roots(session, [first, second, third]) == dict.fromkeys(
        [first, second, third], third
    )
    identity = await service.identity_of(session, vault, third)
    assert identity == PersonIdentity("Ute", "Eins")
    caller = await somebody(session, first)
    assert await service.person_of(session, caller) == third
    with pytest.raises(merging.AlreadyMerged):
        await merging.merge(session, None, third, first, NOON)
    with pytest.raises(service.NotTwoPersons):
        await merging.merge(session, None, third, third, NOON)
    with pytest.raises(NotFound):
        await merging.merge(session, None, third, uuid4(), NOON)


async def test_a_login_without_a_person_is_nobody(session: AsyncSession) -> None:
    caller = await somebody(session)
    assert await service.whoami(session, caller) is None
    with pytest.raises(NotFound):
        await service.person_of(session, caller)


async def test_a_guardian_acts_for_the_child_until_the_last_day(session: AsyncSession) -> None:
    mother, child = await some_persons(session, 2)
    until = TODAY + timedelta(days=3)
    row = await service.make_guardian(session, None, mother, child, since=TODAY, until=until, now=NOON)
    caller = await somebody(session, mother, acting_for=child)
    assert await service.subject_of(session, caller, until) == child
    assert await service.wards_of(session, mother, until) == [child]
    assert await service.guardians_of(session, child, until) == [mother]
    for day in (TODAY - timedelta(days=1), until + timedelta(days=1)):
        with pytest.raises(NotFound):
            await service.subject_of(session, caller, day)
    desk = await somebody(session, None, Role.CASE_WORKER)
    await service.end_guardianship(session, desk, row.id, TODAY, today=TODAY, now=LATER)
    with pytest.raises(NotFound):
        await service.subject_of(session, caller, until)


async def test_a_guardianship_that_ends_before_it_begins_never_was(session: AsyncSession) -> None:
    mother, child = await some_persons(session, 2)
    row = await service.make_guardian(
        session, None, mother, child, since=TODAY, until=date(2030, 1, 1), now=NOON
    )
    desk = await somebody(session, None, Role.CASE_WORKER)
    await service.end_guardianship(session, desk, row.id, TODAY - timedelta(days=1), today=TODAY, now=NOON)
    assert await service.wards_of(session, mother, TODAY) == []


async def test_a_stranger_is_not_found(session: AsyncSession) -> None:
    me, stranger = await some_persons(session, 2)
    for acting_for in (stranger, uuid4()):
        with pytest.raises(NotFound):
            await service.subject_of(session, await somebody(session, me, acting_for=acting_for), TODAY)
    assert await service.subject_of(session, await somebody(session, me, acting_for=me), TODAY) == me


async def test_a_case_worker_acts_at_the_desk_and_by_phone_but_not_from_home(session: AsyncSession) -> None:
    (citizen,) = await some_persons(session, 1)
    for channel in (Channel.DESK, Channel.PHONE):
        caller = await somebody(session, None, Role.CASE_WORKER, acting_for=citizen, channel=channel)
        assert await service.subject_of(session, caller, TODAY) == citizen
    caller = await somebody(session, None, Role.CASE_WORKER, acting_for=citizen)
    with pytest.raises(NotFound):
        await service.subject_of(session, caller, TODAY)


async def test_a_code_is_used_once_and_by_somebody_who_has_signed_in(
    session: AsyncSession, vault: Vault
) -> None:
    (person,) = await some_persons(session, 1)
    desk = await somebody(session, None, Role.CASE_WORKER)
    secret, _ = await make_code(session, vault, desk, person, now=NOON)
    assert len(secret) == 16
    caller = await somebody(session)
    with pytest.raises(CodeRefused):
        await use_code(session, vault, replace(caller, kind=PrincipalKind.TILL), secret, NOON)
    assert (await use_code(session, vault, caller, secret, NOON)).person_id == person
    with pytest.raises(CodeRefused):
        await use_code(session, vault, await somebody(session), secret, NOON)


async def test_a_code_ends_with_its_time_and_with_the_next_code(session: AsyncSession, vault: Vault) -> None:
    (person,) = await some_persons(session, 1)
    desk = await somebody(session, None, Role.CASE_WORKER)
    first, _ = await make_code(session, vault, desk, person, now=NOON)
    second, expires_at = await make_code(session, vault, desk, person, now=NOON)
    assert expires_at == NOON + timedelta(days=30)
    for secret, now in ((first, NOON), (second, expires_at), (bytes(16), NOON)):
        with pytest.raises(CodeRefused):
            await use_code(session, vault, await somebody(session), secret, now)
    await use_code(session, vault, await somebody(session), second, NOON)


async def test_codes_for_two_guardians_stand_side_by_side(session: AsyncSession, vault: Vault) -> None:
    (child,) = await some_persons(session, 1)
    desk = await somebody(session, None, Role.CASE_WORKER)
    until = date(2031, 5, 3)
    secrets = [(await make_code(session, vault, desk, child, until=until, now=NOON))[0] for _ in range(2)]
    await make_code(session, vault, desk, child, now=NOON)
    for secret in secrets:
        code = await use_code(session, vault, await somebody(session), secret, NOON)
        assert (code.makes, code.until) == (Makes.GUARDIAN, until)


async def test_what_is_kept_of_a_code_opens_nothing(session: AsyncSession, vault: Vault) -> None:
    (person,) = await some_persons(session, 1)
    desk = await somebody(session, None, Role.CASE_WORKER)
    secret, _ = await make_code(session, vault, desk, person, now=NOON)
    (row,) = (await session.execute(select(ActivationCode))).scalars()
    assert secret not in (row.code_hash, row.code_hash[:16])
    for other in (sha256(secret).digest(), sha256(ACTIVATION_AAD + secret).digest()):
        assert row.code_hash != other


async def test_a_login_is_one_person(session: AsyncSession) -> None:
    one, other = await some_persons(session, 2)
    caller = await somebody(session, one)
    await service.link_login(session, caller.principal_id, one, by=LinkedBy.DESK, caller=None, now=NOON)
    with pytest.raises(service.AlreadyLinked):
        await service.link_login(session, caller.principal_id, other, by=LinkedBy.DESK, caller=None, now=NOON)
    links = await session.execute(select(Login).where(col(Login.principal_id) == caller.principal_id))
    assert [row.person_id for row in links.scalars()] == [one]
