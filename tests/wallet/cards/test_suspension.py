"""The desk suspends a credential and lets it count again; a revoked one is gone for good."""

from datetime import timedelta

import pytest

from core.access.rules import Role
from issuers.status.rules import Status
from tests.wallet.makers import Somebody, Town


async def test_the_desk_suspends_a_card_and_lets_it_count_again(town: Town) -> None:
    owner = await town.person(tariffs=("reduced",))
    await (await town.phone(owner)).ask(2)
    desk = await town.staff() | {"Acting-For": str(owner.id), "Channel": "desk"}
    listed = (await town.client.get("/v1/credentials", headers=desk)).json()["credentials"]
    path = f"/v1/credentials/{listed[0]['id']}"
    for _ in range(2):  # twice is once
        answer = await town.client.post(f"{path}/suspension", headers=desk)
        assert (answer.status_code, answer.json()["suspended"]) == (201, True), answer.text
    assert sorted(status for _, status in await town.credentials() if status) == [Status.SUSPENDED]
    seen = (await town.client.get("/v1/credentials", headers=owner.headers)).json()["credentials"]
    assert {card["id"]: card["suspended"] for card in seen} == {
        listed[0]["id"]: True,
        listed[1]["id"]: False,
    }
    for _ in range(2):
        answer = await town.client.post(f"{path}/resumption", headers=desk)
        assert (answer.status_code, answer.json()["suspended"]) == (201, False)
    assert {status for _, status in await town.credentials()} == {Status.VALID}


async def test_nobody_else_suspends_and_nothing_that_is_revoked_comes_back(town: Town) -> None:
    owner = await town.person(tariffs=("reduced",))
    await (await town.phone(owner)).ask(1)
    (card,) = (await town.client.get("/v1/credentials", headers=owner.headers)).json()["credentials"]
    path = f"/v1/credentials/{card['id']}"
    operator, stranger = await town.staff(Role.OPERATOR), await town.person()
    for door in ("suspension", "resumption"):
        for headers in (owner.headers, operator):
            assert (await town.client.post(f"{path}/{door}", headers=headers)).status_code == 403
        astray = await town.staff() | {"Acting-For": str(stranger.id), "Channel": "desk"}
        assert (await town.client.post(f"{path}/{door}", headers=astray)).status_code == 404
    desk = await town.staff() | {"Acting-For": str(owner.id), "Channel": "desk"}
    await town.client.post(f"{path}/suspension", headers=desk)
    taken = await town.client.post(f"{path}/revocation", json={"reason": "lost"}, headers=owner.headers)
    assert (taken.status_code, taken.json()["suspended"]) == (201, False)
    for door in ("suspension", "resumption"):
        answer = await town.client.post(f"{path}/{door}", headers=desk)
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (409, "credential-revoked")
    assert {status for _, status in await town.credentials()} == {Status.INVALID}


async def inbox(town: Town, owner: Somebody, language: str = "de") -> list[tuple[str, str, str]]:
    """What the holder reads, the oldest first: code, title, text."""
    await town.work()
    headers = owner.headers | {"Accept-Language": language}
    found = (await town.client.get("/v1/inbox", headers=headers)).json()["messages"]
    return [(one["code"], one["title"], one["body"]) for one in reversed(found)]


async def test_the_holder_is_told_once_of_all_cards_on_the_phone_and_again_when_they_count(
    town: Town,
) -> None:
    owner = await town.person(tariffs=("reduced",))
    await (await town.phone(owner)).ask(3)
    desk = await town.staff() | {"Acting-For": str(owner.id), "Channel": "desk"}
    listed = (await town.client.get("/v1/credentials", headers=desk)).json()["credentials"]
    told = len(await inbox(town, owner))
    for door in ("suspension", "suspension", "resumption", "suspension"):
        for card in listed:
            await town.client.post(f"/v1/credentials/{card['id']}/{door}", headers=desk)
        town.clock.forward(timedelta(minutes=5))
    said = (await inbox(town, owner))[told:]
    assert [code for code, _, _ in said] == ["card.suspended", "card.resumed", "card.suspended"]
    assert "Ihre Karte auf dem Telefon gilt seit dem 16. September 2026 vorübergehend nicht" in said[0][2]


@pytest.mark.parametrize(
    ("language", "paused", "again"),
    [
        ("de", "auf Papier gilt seit dem 16. September 2026 vorübergehend nicht", "wieder"),
        ("de-simple", "aus Papier gilt gerade nicht", "gilt seit dem 16. September 2026 wieder"),
        ("en", "on paper does not count for the time being, since 16 September 2026", "counts again"),
    ],
)
async def test_a_paper_card_is_named_as_such_in_every_language(
    town: Town, language: str, paused: str, again: str
) -> None:
    owner = await town.person(tariffs=("reduced",), given="Mia", family="Yıldız")
    desk = await town.staff() | {"Acting-For": str(owner.id), "Channel": "desk"}
    await town.client.post("/v1/printed-cards", headers=desk)
    (listed,) = (await town.client.get("/v1/credentials", headers=desk)).json()["credentials"]
    for door in ("suspension", "resumption"):
        await town.client.post(f"/v1/credentials/{listed['id']}/{door}", headers=desk)
        town.clock.forward(timedelta(minutes=1))
    (_, _, first), (_, _, second) = (await inbox(town, owner, language))[-2:]
    assert paused in first
    assert again in second
