from datetime import date, timedelta

import pytest
from sqlalchemy import delete

from core import cose
from core.access.rules import Role
from core.vault import KeyUse
from entitlements.people import service as people
from entitlements.people.models import Guardianship
from issuers.credentials.card import card_is_genuine, read_card
from issuers.credentials.rules import Revocation
from tests.issuers.makers import PhoneKey
from tests.makers import sign_in
from tests.wallet.makers import Phone, Somebody, Town
from wallet.cards.service import look_after_wards, on_guardianship_ended
from wallet.codes.text import parse, read_printed_code


async def family(town: Town, until: date | None = None) -> tuple[Somebody, Somebody, Phone]:
    parent = await town.person(given="Käthe", family="Müller-Lüdenscheidt")
    child = await town.person(given="Jörg", family="Müller", tariffs=("reduced", "reduced_youth"))
    await town.guardian(parent, child, until)
    return parent, child, await town.phone(parent)


async def test_a_phone_gets_a_card_for_each_of_its_keys(town: Town) -> None:
    phone = await town.phone(await town.person(tariffs=("reduced",)))
    answer = await phone.ask(8)
    assert answer.status_code == 201
    told = answer.json()
    assert (told["outstanding"], told["code_host"]) == (8, town.settings.code_host)
    assert told["server_time"] == "2026-09-16T10:00:00Z"
    for key, signed_bytes in phone.cards:
        signed, _ = cose.read_sign1(signed_bytes)
        card = read_card(signed)
        assert (card.holder, card.name, card.tariff_bits) == (key.point, None, 1)
        assert card_is_genuine(signed, town.vault.keys(KeyUse.CARD)[0].public_key)


async def test_what_is_sent_to_a_phone_never_names_a_benefit(town: Town) -> None:
    phone = await town.phone(await town.person(given="Erika", family="Schmidt", tariffs=("reduced",)))
    for kind in ("nameless", "named"):
        answer = await phone.ask(2, kind=kind)
        said = (answer.text + str(answer.headers)).lower()
        for word in ("sgb", "sozial", "jobcenter", "dortmund-karte", "reduced", "ermäßigt"):
            assert word not in said


@pytest.mark.parametrize(
    ("tampered", "reason"),
    [
        ({"key": PhoneKey()}, "signature"),
        ({"typ": "citycard-device+jwt"}, "signature"),
        ({"holder_key": PhoneKey()}, "signature"),
        ({"holders": ["another"]}, "content"),
        ({"device": "another"}, "content"),
        ({"nonce": "never-given-out"}, "nonce"),
    ],
)
async def test_without_every_proof_there_is_no_card(
    town: Town, tampered: dict[str, object], reason: str
) -> None:
    phone = await town.phone(await town.person(tariffs=("reduced",)))
    answer = await phone.ask(1, **tampered)
    assert (answer.status_code, answer.json()["reason"]) == (422, reason)
    assert await town.credentials() == []


async def test_one_key_gets_one_card_in_a_batch_and_ever(town: Town) -> None:
    phone = await town.phone(await town.person(tariffs=("reduced",)))
    key = PhoneKey()
    assert (await phone.ask(keys=[key, key])).status_code == 422
    assert (await phone.ask(keys=[key])).status_code == 201
    assert (await phone.ask(keys=[key])).status_code == 409
    assert len(await town.credentials()) == 1


async def test_a_batch_has_its_size_and_a_phone_its_fill(town: Town) -> None:
    phone = await town.phone(await town.person(tariffs=("reduced",)))
    assert (await phone.ask(town.settings.card_batch + 1)).status_code == 422
    for _ in range(8):
        assert (await phone.ask(town.settings.card_batch)).status_code == 201
    full = await phone.ask(1)
    assert full.status_code == 429
    assert 0 < int(full.headers["Retry-After"]) <= 14 * 86400
    assert len(await town.credentials()) == 8 * town.settings.card_batch
    town.clock.forward(timedelta(seconds=int(full.headers["Retry-After"])))
    phone.owner.headers = await sign_in(
        town.database, town.vault, town.clock.now(), Role.CITIZEN, person_id=phone.owner.id
    )
    assert (await phone.ask(1)).status_code == 201


async def test_who_holds_nothing_gets_no_card(town: Town) -> None:
    phone = await town.phone(await town.person())
    answer = await phone.ask()
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:citycard:problem:nothing-held")


async def test_a_named_card_carries_the_name_as_an_id_spells_it(town: Town) -> None:
    phone = await town.phone(await town.person(given="Jörg", family="Strauß", tariffs=("reduced",)))
    assert (await phone.ask(kind="named")).json()["cards"][0]["kind"] == "named"
    signed, _ = cose.read_sign1(phone.cards[0][1])
    assert read_card(signed).name == "STRAUSS<<JOERG"


@pytest.mark.parametrize(
    ("given", "family", "spelt"),
    [
        ("გიორგი", "გელაშვილი", "GELASHVILI<<GIORGI"),
        ("小明", "王", "WANG<<XIAOMING"),
        ("Mia 🙂", "Öz3", "OEZ<<MIA"),
    ],
)
async def test_a_name_in_any_script_gets_a_named_card_and_one_on_paper(
    town: Town, given: str, family: str, spelt: str
) -> None:
    owner = await town.person(given=given, family=family, tariffs=("reduced",))
    phone = await town.phone(owner)
    assert (await phone.ask(kind="named")).status_code == 201
    signed, _ = cose.read_sign1(phone.cards[0][1])
    desk = await town.staff() | {"Acting-For": str(owner.id), "Channel": "desk"}
    printed = await town.client.post("/v1/printed-cards", headers=desk)
    assert printed.status_code == 201, printed.text
    _, body = parse(printed.json()["text"], town.settings.code_host)
    assert (read_card(signed).name, read_printed_code(body).card.name) == (spelt, spelt)


async def test_a_named_card_needs_a_name_and_a_nameless_one_does_not(town: Town) -> None:
    owner = await town.person(given="Erika", family="Schmidt", tariffs=("reduced",))
    phone = await town.phone(owner)
    async with town.database.writing() as session:
        await people.forget(session, owner.id, caller=None, now=town.clock.now())
    answer = await phone.ask(kind="named")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:citycard:problem:name-missing")
    assert (await phone.ask()).status_code == 201


async def test_a_guardian_holds_the_childs_cards_on_the_own_phone(town: Town) -> None:
    parent, child, phone = await family(town)
    assert (await phone.ask(2, acting_for=child.id)).status_code == 201
    assert (await phone.ask()).status_code == 409  # the parent holds nothing
    assert {row.person_id for row, _ in await town.credentials()} == {child.id}
    assert (await phone.ask(kind="named", acting_for=child.id)).status_code == 201
    signed, _ = cose.read_sign1(phone.cards[-1][1])
    assert read_card(signed).name == "MUELLER<<JOERG"
    shown = await town.client.get("/v1/card", headers=parent.headers | {"Acting-For": str(child.id)})
    assert (shown.json()["holds"], shown.json()["on_phones"]) == (True, 3)


async def test_a_guardianship_that_ends_takes_that_childs_cards_and_no_others(town: Town) -> None:
    parent, child, phone = await family(town)
    other = await town.person(tariffs=("reduced",))
    await town.guardian(parent, other)
    await phone.ask(2, acting_for=child.id)
    await phone.ask(2, acting_for=other.id)
    own = await town.phone(child)
    await own.ask(1)
    async with town.database.writing() as session:
        await session.execute(delete(Guardianship).where(Guardianship.child_id == child.id))  # type: ignore[arg-type]
    payload = {"guardian_id": str(parent.id), "child_id": str(child.id)}
    for _ in range(2):
        async with town.database.writing() as session:
            await on_guardianship_ended(session, payload, town.clock.now(), settings=town.settings)
    standing = {
        (row.person_id, row.device_id): why
        for (row, _), why in zip(await town.credentials(), await town.standing(), strict=True)
    }
    assert {str(device): why for (_, device), why in standing.items()}[own.id] is None
    assert [
        why for (who, device), why in standing.items() if who == child.id and str(device) == phone.id
    ] == [Revocation.GUARDIANSHIP_ENDED]
    assert [why for (who, _), why in standing.items() if who == other.id] == [None]
    assert (await phone.ask(acting_for=child.id)).status_code == 404


async def test_the_night_finds_a_guardianship_that_ended_unannounced(town: Town) -> None:
    _, child, phone = await family(town)
    await phone.ask(2, acting_for=child.id)
    async with town.database.writing() as session:
        await session.execute(delete(Guardianship))
    assert await town.standing() == [None, None]
    async with town.database.writing() as session:
        await look_after_wards(session, {}, town.clock.now(), settings=town.settings)
    assert await town.standing() == [Revocation.GUARDIANSHIP_ENDED] * 2


async def test_a_childs_card_on_a_guardians_phone_ends_with_the_guardianship(town: Town) -> None:
    _, child, phone = await family(town, until=date(2026, 9, 19))
    answer = await phone.ask(acting_for=child.id)
    assert answer.json()["cards"][0]["expires_at"] == "2026-09-19T22:00:00Z"


async def test_a_stranger_finds_neither_the_card_nor_the_phone(town: Town) -> None:
    owner, stranger = await town.person(tariffs=("reduced",)), await town.person(tariffs=("reduced",))
    phone, theirs = await town.phone(owner), await town.phone(stranger)
    assert (await theirs.ask(acting_for=owner.id)).status_code == 404
    assert (await theirs.ask(path=phone.id, device=phone.id, key=phone.key)).status_code == 404
    shown = await town.client.get("/v1/card", headers=stranger.headers | {"Acting-For": str(owner.id)})
    assert shown.status_code == 404
    assert await town.credentials() == []


async def test_a_clerk_with_a_phone_gets_nobody_elses_card_onto_it(town: Town) -> None:
    citizen, clerk = await town.person(tariffs=("reduced",)), await town.person(tariffs=("reduced",))
    clerk.headers = await sign_in(
        town.database, town.vault, town.clock.now(), Role.CASE_WORKER, Role.CITIZEN, person_id=clerk.id
    )
    phone = await town.phone(clerk)
    clerk.headers |= {"Channel": "desk"}
    assert (await phone.ask(acting_for=citizen.id)).status_code == 404
    assert await town.credentials() == []


async def test_cards_are_taken_back_when_the_entitlement_is(town: Town) -> None:
    owner = await town.person(tariffs=("reduced",))
    phone = await town.phone(owner)
    await phone.ask(3)
    await town.work()
    assert await town.standing() == [None] * 3
    await town.lose(owner)
    await town.work()
    assert await town.standing() == [Revocation.NOT_HELD] * 3
    assert (await phone.ask()).status_code == 409


async def test_the_card_tells_its_holder_what_it_brings_in_their_language(town: Town) -> None:
    owner = await town.person(tariffs=("reduced",), until=date(2027, 2, 28))
    for language, tariff in (("de", "ermäßigt"), ("en", "reduced")):
        shown = await town.client.get("/v1/card", headers=owner.headers | {"Accept-Language": language})
        card = shown.json()
        assert (card["title"], card["holds"], card["until"]) == ("Dortmund-Karte", True, "2027-02-28")
        assert card["tariffs"] == [{"tariff": "reduced", "name": tariff}]
        assert [(held["programme"], held["until"]) for held in card["brings"]] == [
            ("dortmund-karte", "2027-02-28")
        ]
    simple = await town.client.get("/v1/card?lang=de-simple", headers=owner.headers)
    assert simple.json()["tariffs"][0]["name"] == "weniger Geld"


async def test_who_holds_nothing_sees_a_card_that_brings_nothing(town: Town) -> None:
    owner = await town.person()
    card = (await town.client.get("/v1/card", headers=owner.headers)).json()
    assert (card["holds"], card["brings"], card["tariffs"], card["on_phones"]) == (False, [], [], 0)


async def test_the_same_request_again_gives_the_same_cards(town: Town) -> None:
    owner = await town.person(tariffs=("reduced",))
    phone = await town.phone(owner)
    owner.headers |= {"Idempotency-Key": "abc"}
    key = PhoneKey()
    nonce = (
        await town.client.post("/v1/devices/challenges", headers={"Cookie": owner.headers["Cookie"]})
    ).json()["nonce"]
    first, second = await phone.ask(keys=[key], nonce=nonce), await phone.ask(keys=[key], nonce=nonce)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len(await town.credentials()) == 1
