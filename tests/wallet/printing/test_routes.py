import xml.etree.ElementTree as ET
from datetime import date
from typing import Any

import pytest
from httpx import Response

from core import cose
from core.vault import KeyUse
from entitlements.people import service as people
from issuers.credentials.card import printed_is_genuine
from issuers.credentials.rules import Revocation
from issuers.status.rules import Status
from tests.wallet.makers import Headers, Somebody, Town
from tests.wallet.printing.makers import Opened
from wallet.codes.picture import read_picture
from wallet.codes.text import Kind, parse, read_printed_code


async def desk(town: Town, somebody: Somebody) -> Headers:
    return await town.staff() | {"Acting-For": str(somebody.id), "Channel": "desk"}


async def erika(town: Town, **held: Any) -> Somebody:
    return await town.person(
        given="Erika", family="Müller-Lüdenscheidt", **(held or {"tariffs": ("reduced",)})
    )


async def make(town: Town, somebody: Somebody) -> dict[str, str]:
    answer = await town.client.post("/v1/printed-cards", headers=await desk(town, somebody))
    assert answer.status_code == 201, answer.text
    made: dict[str, str] = answer.json()
    return made


async def picture(town: Town, headers: Headers, name: str, **query: str) -> Response:
    return await town.client.get(f"/v1/printed-cards/{name}", headers=headers, params=query)


async def test_the_desk_prints_a_card_that_the_authority_signed(town: Town) -> None:
    made = await make(town, await erika(town))
    kind, body = parse(made["text"], town.settings.code_host)
    code = read_printed_code(body)
    assert kind is Kind.PRINTED
    assert code.card.name.startswith("MUELLER<LUEDENSCHEID<<")
    assert code.card.tariff_bits == 1
    assert printed_is_genuine(code.signed_card, town.vault.keys(KeyUse.PRINTED)[0].public_key)
    assert made["expires_at"] == "2027-02-28T23:00:00Z"
    assert len(made["number"].replace(" ", "")) == 12
    ((row, status),) = await town.credentials()
    assert (row.named, row.holder_point, status) == (True, None, Status.VALID)
    assert cose.read_sign1(body)[1] == len(body)


@pytest.mark.parametrize("size", ["card", "large"])
async def test_the_code_is_read_from_the_picture(town: Town, size: str) -> None:
    somebody = await erika(town)
    made = await make(town, somebody)
    answer = await picture(town, await desk(town, somebody), f"{made['id']}.png", size=size)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == "no-store"
    assert read_picture(answer.content) == made["text"]


@pytest.mark.parametrize(
    ("language", "until"),
    [("de", "28. Februar 2027"), ("en", "28 February 2027"), ("de-simple", "28. Februar 2027")],
)
async def test_the_card_says_name_number_and_last_day_and_no_benefit(
    town: Town, language: str, until: str
) -> None:
    somebody = await erika(town)
    made = await make(town, somebody)
    answer = await picture(town, await desk(town, somebody), f"{made['id']}.svg", lang=language)
    assert answer.headers["content-type"].startswith("image/svg+xml")
    root = ET.fromstring(answer.text)
    said = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "Dortmund-Karte" in said
    assert {"Erika Müller-", "Lüdenscheidt"} <= set(said)
    assert {made["number"], until} <= set(said)
    for word in ("ermäßigt", "reduced", "sgb", "sozial"):
        assert word not in answer.text.lower()


async def test_cards_of_other_tariffs_look_alike(town: Town) -> None:
    looks = set()
    for tariffs in (("reduced",), ("reduced", "reduced_youth")):
        somebody = await erika(town, tariffs=tariffs)
        made = await make(town, somebody)
        answer = await picture(town, await desk(town, somebody), f"{made['id']}.svg")
        root = ET.fromstring(answer.text.replace(made["number"], "NUMBER"))
        code = root.find(".//{http://www.w3.org/2000/svg}svg")
        assert code is not None
        looks.add(
            (code.attrib["viewBox"], *(text.text for text in root.iter("{http://www.w3.org/2000/svg}text")))
        )
    assert len(looks) == 1


async def test_a_name_in_another_script_is_printed_and_spelt(town: Town) -> None:
    somebody = await town.person(given="Олена", family="Шевченко", tariffs=("reduced",))
    made = await make(town, somebody)
    code = read_printed_code(parse(made["text"], town.settings.code_host)[1])
    assert code.card.name == "SHEVCHENKO<<OLENA"
    headers = await desk(town, somebody)
    assert "Шевченко" in (await picture(town, headers, f"{made['id']}.svg")).text
    assert read_picture((await picture(town, headers, f"{made['id']}.png")).content) == made["text"]


async def test_a_lost_card_ends_at_once_and_another_has_a_new_number(town: Town) -> None:
    somebody = await erika(town)
    made = await make(town, somebody)
    headers = await desk(town, somebody)
    answer = await town.client.post(f"/v1/printed-cards/{made['id']}/loss", headers=headers)
    assert answer.status_code == 201
    told = answer.json()
    assert told["lost"]["lost_at"] == "2026-09-16T10:00:00Z"
    assert told["replacement"]["number"] != made["number"]
    assert sorted(map(str, await town.standing())) == ["None", Revocation.LOST]
    again = await town.client.post(f"/v1/printed-cards/{made['id']}/loss", headers=headers)
    assert again.json()["replacement"] is None
    assert len(await town.credentials()) == 2
    assert (await picture(town, headers, f"{made['id']}.png")).status_code == 404
    assert (await picture(town, headers, f"{told['replacement']['id']}.png")).status_code == 200


async def test_a_loss_counts_even_where_no_new_card_is_due(town: Town) -> None:
    somebody = await erika(town)
    made = await make(town, somebody)
    await town.lose(somebody)
    answer = await town.client.post(f"/v1/printed-cards/{made['id']}/loss", headers=somebody.headers)
    assert (answer.status_code, answer.json()["replacement"]) == (201, None)
    assert await town.standing() == [Revocation.LOST]


async def test_a_person_has_one_printed_card_at_a_time(town: Town) -> None:
    somebody = await erika(town)
    first, second = await make(town, somebody), await make(town, somebody)
    assert sorted(map(str, await town.standing())) == ["None", Revocation.REPLACED]
    listed = (await town.client.get("/v1/printed-cards", headers=somebody.headers)).json()["cards"]
    assert {card["id"]: card["ended_at"] is None for card in listed} == {
        first["id"]: False,
        second["id"]: True,
    }


async def test_only_the_desk_prints_and_nobody_sees_a_strangers_card(town: Town) -> None:
    somebody, stranger = await erika(town), await erika(town)
    assert (await town.client.post("/v1/printed-cards", headers=somebody.headers)).status_code == 403
    made = await make(town, somebody)
    assert (await picture(town, somebody.headers, f"{made['id']}.svg")).status_code == 200
    assert (await picture(town, stranger.headers, f"{made['id']}.svg")).status_code == 404
    wrong_desk = await desk(town, stranger)
    assert (await picture(town, wrong_desk, f"{made['id']}.svg")).status_code == 404
    path = f"/v1/printed-cards/{made['id']}/loss"
    assert (await town.client.post(path, headers=stranger.headers)).status_code == 404
    assert await town.standing() == [None]


@pytest.mark.parametrize("name", ["nonsense", "nonsense.svg", "00000000-0000-4000-8000-000000000000.pdf"])
async def test_what_is_no_picture_is_not_found(town: Town, name: str) -> None:
    somebody = await erika(town)
    assert (await picture(town, somebody.headers, name)).status_code == 404


async def test_without_a_name_nothing_is_printed(town: Town) -> None:
    somebody = await town.person(tariffs=("reduced",))
    answer = await town.client.post("/v1/printed-cards", headers=await desk(town, somebody))
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:citycard:problem:name-missing")
    assert await town.credentials() == []


async def test_when_a_person_is_forgotten_their_printed_name_cannot_be_read_again(town: Town) -> None:
    somebody = await erika(town)
    made = await make(town, somebody)
    async with town.database.writing() as session:
        await people.forget(session, somebody.id, caller=None, now=town.clock.now())
    assert (await picture(town, somebody.headers, f"{made['id']}.svg")).status_code == 404


async def test_a_card_ends_with_what_it_stands_for(town: Town) -> None:
    made = await make(town, await erika(town, tariffs=("reduced",), until=date(2026, 12, 31)))
    assert made["expires_at"] == "2026-12-31T23:00:00Z"


async def test_a_card_that_was_taken_back_is_drawn_no_more_and_told_so(town: Town) -> None:
    somebody = await erika(town)
    made = await make(town, somebody)
    headers = await desk(town, somebody)
    assert (await picture(town, headers, f"{made['id']}.pdf")).status_code == 200
    await town.lose(somebody)
    await town.work()
    assert await town.standing() == [Revocation.NOT_HELD]
    for suffix in ("svg", "png", "pdf"):
        assert (await picture(town, headers, f"{made['id']}.{suffix}")).status_code == 404
    (told,) = (await town.client.get("/v1/printed-cards", headers=somebody.headers)).json()["cards"]
    assert told["ended_at"] is not None


async def test_the_card_comes_as_pdf_in_the_language_that_was_asked_for(town: Town) -> None:
    somebody = await erika(town)
    made = await make(town, somebody)
    headers = await desk(town, somebody)
    answer = await picture(town, headers, f"{made['id']}.pdf", size="large", lang="de-simple")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["cache-control"] == "no-store"
    sheet = Opened(answer.content)
    assert sheet.millimetres == (210, 297)
    assert "Die Karte gilt bis" in sheet.text
    assert read_picture(sheet.png()) == made["text"]
