"""The holder's page leads everybody somewhere, in any language, and stays with the child that was chosen."""

import re

import pytest

from core.access.rules import Role
from core.pages import LANGUAGES
from tests.makers import sign_in
from tests.wallet.makers import Headers, Town


async def newcomer(town: Town) -> Headers:
    return await sign_in(town.database, town.vault, town.clock.now(), Role.CITIZEN)


async def parent_of(town: Town) -> Headers:
    parent = await town.person(given="Käthe", family="Müller", tariffs=("reduced",))
    child = await town.person(given="Jörg", family="Müller", tariffs=("reduced_youth",))
    await town.guardian(parent, child)
    await town.work()
    return parent.headers


async def test_whoever_is_not_signed_in_is_sent_to_sign_in_and_comes_back(town: Town) -> None:
    answer = await town.client.get("/card?lang=en", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?return_to=%2Fcard%3Flang%3Den"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_an_account_for_work_is_told_so_and_not_sent_round_in_circles(
    town: Town, language: str
) -> None:
    answer = await town.client.get(
        f"/card?lang={language}", headers=await town.staff(), follow_redirects=False
    )
    assert answer.status_code == 403
    assert {"de": "Konto für die Arbeit", "de-simple": "ist für die Arbeit", "en": "account for work"}[
        language
    ] in answer.text
    assert 'action="/logout"' in answer.text


async def test_another_language_shows_the_same_child(town: Town) -> None:
    headers = await parent_of(town)
    page = await town.client.get("/card?of=1&lang=de", headers=headers)
    assert '<p class="lead"><bdi>Jörg Müller</bdi></p>' in page.text
    english = re.search(r'href="([^"]*)" hreflang="en"', page.text)[1].replace("&amp;", "&")  # type: ignore[index]
    assert english == "?of=1&lang=en"
    own = await town.client.get("/card?lang=de", headers=headers)
    assert 'href="?lang=en" hreflang="en"' in own.text


async def test_a_childs_message_is_put_away_on_the_childs_page(town: Town) -> None:
    headers = await parent_of(town)
    page = await town.client.get("/card?of=1&lang=en", headers=headers)
    put_away = re.findall(r'action="(/card/messages/[^"]*)"', page.text)
    assert put_away
    answer = await town.client.post(
        put_away[0].replace("&amp;", "&"), headers=headers, follow_redirects=False
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/card?of=1&lang=en#inbox")
    page = await town.client.get("/card?of=1&lang=en", headers=headers)
    assert len(re.findall('action="/card/messages/', page.text)) == len(put_away) - 1


async def test_after_a_wrong_code_the_other_languages_are_still_to_be_had(town: Town) -> None:
    headers = await newcomer(town)
    wrong = await town.client.post("/card/activation?lang=de", data={"code": "nonsense"}, headers=headers)
    assert wrong.status_code == 422
    english = re.search(r'href="([^"]*)" hreflang="en"', wrong.text)[1]  # type: ignore[index]
    assert english.startswith("/card?")
    answer = await town.client.get(english.replace("&amp;", "&"), headers=headers)
    assert "Connect your account" in answer.text
