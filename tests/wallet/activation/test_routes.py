"""A code from the desk or a letter makes whoever signs in and enters it that person, once, and nobody else."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx import Response
from sqlalchemy import select

from core.access.rules import Role
from entitlements.people.models import ActivationCode, Guardianship
from tests.makers import sign_in
from tests.wallet.makers import Headers, Town
from wallet.codes.picture import smallest_version
from wallet.codes.text import activation_text


async def newcomer(town: Town) -> Headers:
    return await sign_in(town.database, town.vault, town.clock.now(), Role.CITIZEN)


async def given(town: Town, person: UUID | str, until: str | None = None, *, expect: int = 201) -> Any:
    kind = "activation-codes" if until is None else "guardian-codes"
    body = None if until is None else {"until": until}
    answer = await town.client.post(f"/v1/people/{person}/{kind}", json=body, headers=await town.staff())
    assert answer.status_code == expect, answer.text
    return answer.json()


async def enter(town: Town, headers: Headers, code: str) -> Response:
    return await town.client.post("/v1/me/activation", json={"code": code}, headers=headers)


@pytest.mark.parametrize("form", ["code", "text"])
async def test_whoever_types_or_scans_the_code_is_that_person(town: Town, form: str) -> None:
    person, login = await town.person(given="Mila", family="Sommer"), await newcomer(town)
    code = await given(town, person.id)
    answer = await enter(town, login, code[form])
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"person_id": str(person.id), "wards": []}
    assert (await enter(town, await newcomer(town), code[form])).status_code == 422
    assert (await town.client.get("/v1/card", headers=login)).status_code == 200


async def test_a_parent_who_enters_the_own_code_is_told_of_the_children(town: Town) -> None:
    parent, child, login = (
        await town.person(),
        await town.person(given="Mila", family="Sommer"),
        await newcomer(town),
    )
    await town.guardian(parent, child)
    answer = await enter(town, login, (await given(town, parent.id))["code"])
    assert [ward["given_name"] for ward in answer.json()["wards"]] == ["Mila"]


async def test_a_childs_code_makes_a_guardian_until_its_day(town: Town) -> None:
    child, parent = (
        await town.person(given="Mila", family="Sommer", tariffs=("reduced",)),
        await town.person(),
    )
    code = await given(town, child.id, "2031-05-03")
    answer = await enter(town, parent.headers, code["code"])
    ward = {"person_id": str(child.id), "given_name": "Mila", "until": "2031-05-03"}
    assert answer.json() == {"person_id": str(parent.id), "wards": [ward]}
    phone = await town.phone(parent)
    assert (await phone.ask(acting_for=child.id)).status_code == 201


async def test_a_guardian_whom_the_city_does_not_know_acts_for_the_child_and_is_nothing_else(
    town: Town,
) -> None:
    child, login = await town.person(given="Mila", family="Sommer"), await newcomer(town)
    answer = (await enter(town, login, (await given(town, child.id, "2031-05-03"))["text"])).json()
    assert answer["person_id"] not in (None, str(child.id))
    assert [ward["person_id"] for ward in answer["wards"]] == [str(child.id)]
    assert (await town.client.get("/v1/card", headers=login)).json()["holds"] is False


async def test_nobody_is_the_own_guardian_and_the_code_stays_good(town: Town) -> None:
    child, parent = await town.person(given="Mila", family="Sommer"), await town.person()
    code = (await given(town, child.id, "2031-05-03"))["code"]
    assert (await enter(town, child.headers, code)).status_code == 422
    assert (await enter(town, parent.headers, code)).status_code == 200


async def test_a_login_that_is_somebody_else_is_refused_and_the_code_stays_good(town: Town) -> None:
    person, other = await town.person(), await town.person()
    code = (await given(town, person.id))["code"]
    assert (await enter(town, other.headers, code)).status_code == 409
    assert (await enter(town, await newcomer(town), code)).status_code == 200


async def test_a_code_ends_after_thirty_days(town: Town) -> None:
    person = await town.person()
    code = (await given(town, person.id))["code"]
    town.clock.forward(timedelta(days=30))
    assert (await enter(town, await newcomer(town), code)).status_code == 422


async def test_whoever_guesses_must_wait_even_with_the_right_code_at_last(town: Town) -> None:
    person, login = await town.person(), await newcomer(town)
    code = (await given(town, person.id))["code"]
    wrong = "-".join(["AAAA"] * 6 + ["AA"])
    assert [(await enter(town, login, wrong)).status_code for _ in range(5)] == [422] * 5
    refused = await enter(town, login, code)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0


async def test_a_card_is_no_activation_code_and_an_activation_code_no_card(town: Town) -> None:
    owner, login = await town.person(given="Eva", family="Muster", tariffs=("reduced",)), await newcomer(town)
    desk = await town.staff() | {"Acting-For": str(owner.id), "Channel": "desk"}
    paper = (await town.client.post("/v1/printed-cards", headers=desk)).json()["text"]
    text = (await given(town, owner.id))["text"]
    for shown in (paper, text.replace("/A#", "/P#"), text.replace("/A#", "/L#")):
        assert (await enter(town, login, shown)).status_code == 422


async def test_a_signature_or_nobody_at_all_uses_no_code(town: Town) -> None:
    code = (await given(town, (await town.person()).id))["code"]
    assert (await town.client.post("/v1/me/activation", json={"code": code})).status_code == 401
    assert (await enter(town, await town.staff(), code)).status_code == 403


async def test_only_the_desk_gives_codes_and_only_of_somebody(town: Town) -> None:
    person = await town.person()
    for kind, body in (("activation-codes", None), ("guardian-codes", {"until": "2031-05-03"})):
        url = f"/v1/people/{person.id}/{kind}"
        assert (await town.client.post(url, json=body, headers=person.headers)).status_code == 403
        assert (await town.client.post(url, json=body)).status_code == 401
    await given(town, uuid4(), expect=404)
    await given(town, uuid4(), "2031-05-03", expect=404)
    await given(town, person.id, "2026-09-15", expect=422)


async def test_the_city_keeps_no_code_that_could_be_entered(town: Town) -> None:
    person = await town.person()
    code = await given(town, person.id)
    async with town.database.reading() as session:
        (row,) = (await session.execute(select(ActivationCode))).scalars()
        assert (await session.execute(select(Guardianship))).first() is None
    assert len(row.code_hash) == 32
    assert row.code_hash.hex() not in code["text"].lower()


async def test_the_picture_is_small_enough_for_any_camera(town: Town) -> None:
    code = await given(town, (await town.person()).id)
    assert 3 <= smallest_version(code["text"]) <= 5
    side = int(re.search(r'viewBox="0 0 (\d+) ', code["picture"])[1]) - 8  # type: ignore[index]
    assert side == 17 + 4 * smallest_version(code["text"])
    for host in ("KARTE.STADT-DORTMUND.DE:8443", "A.DE"):
        assert 3 <= smallest_version(activation_text(host, bytes(16))) <= 5


async def test_the_page_takes_the_same_code(town: Town) -> None:
    person, login = await town.person(), await newcomer(town)
    code = await given(town, person.id)
    wrong = await town.client.post("/card/activation", data={"code": "nonsense"}, headers=login)
    assert wrong.status_code == 422
    right = await town.client.post(
        "/card/activation", data={"code": code["code"]}, headers=login, follow_redirects=False
    )
    assert right.status_code == 303
    mine = await town.client.get("/v1/me/persons", headers=login)
    assert mine.json()["person_id"] == str(person.id)
