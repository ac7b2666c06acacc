"""The desk suspends a credential and lets it count again; a revoked one is gone for good."""

from datetime import timedelta

import anyio
import pytest
from httpx import Response

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


def slug(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


async def statuses(town: Town) -> list[Status | None]:
    return [status for _, status in await town.credentials()]


@pytest.mark.parametrize("all_at_once", [True, False])
async def test_a_suspended_phone_gets_no_fresh_cards_until_the_card_is_resumed(
    town: Town, all_at_once: bool
) -> None:
    owner = await town.person(tariffs=("reduced",))
    phone = await town.phone(owner)
    await phone.ask(3)
    desk = await town.staff() | {"Acting-For": str(owner.id), "Channel": "desk"}
    listed = (await town.client.get("/v1/credentials", headers=desk)).json()["credentials"]

    async def say(door: str) -> None:
        paths = ["card"] if all_at_once else [f"credentials/{one['id']}" for one in listed]
        for path in paths * 2:
            answer = await town.client.post(f"/v1/{path}/{door}", headers=desk)
            assert answer.status_code in {200, 201}, answer.text

    await say("suspension")
    assert (await town.client.get("/v1/card", headers=owner.headers)).json()["paused"]
    for kind in ("nameless", "named"):
        assert slug(await phone.ask(1, kind=kind)) == (409, "card-paused")
    assert await statuses(town) == [Status.SUSPENDED] * 3
    path = f"/v1/devices/{phone.id}"
    (held,) = (await town.client.get(path, headers=owner.headers)).json()["holds"]
    assert (held["cards"], held["paused"]) == (3, True)
    await say("resumption")
    (held,) = (await town.client.get(path, headers=owner.headers)).json()["holds"]
    assert not held["paused"]
    assert not (await town.client.get("/v1/card", headers=owner.headers)).json()["paused"]
    assert (await phone.ask(1)).status_code == 201
    assert await statuses(town) == [Status.VALID] * 4
    codes = [code for code, _, _ in await inbox(town, owner)]
    assert codes[-2:] == ["card.suspended", "card.resumed"]


async def test_one_suspended_card_is_enough_and_the_last_one_resumed_too(town: Town) -> None:
    owner = await town.person(tariffs=("reduced",))
    phone = await town.phone(owner)
    await phone.ask(3)
    desk = await town.staff() | {"Acting-For": str(owner.id), "Channel": "desk"}
    listed = (await town.client.get("/v1/credentials", headers=desk)).json()["credentials"]
    for one in listed[:2]:
        await town.client.post(f"/v1/credentials/{one['id']}/suspension", headers=desk)
    assert slug(await phone.ask(1)) == (409, "card-paused")
    for one, after in zip(listed[:2], (409, 201), strict=True):
        await town.client.post(f"/v1/credentials/{one['id']}/resumption", headers=desk)
        assert (await phone.ask(1)).status_code == after


async def test_a_suspension_outlasts_the_cards_and_what_the_holder_does_to_them(town: Town) -> None:
    owner = await town.person(tariffs=("reduced",))
    phone = await town.phone(owner)
    await phone.ask(2)
    desk = await town.staff() | {"Acting-For": str(owner.id), "Channel": "desk"}
    await town.client.post("/v1/card/suspension", headers=desk)
    listed = (await town.client.get("/v1/credentials", headers=owner.headers)).json()["credentials"]
    lost = f"/v1/credentials/{listed[0]['id']}/revocation"
    assert (await town.client.post(lost, json={"reason": "lost"}, headers=owner.headers)).status_code == 201
    # Another phone in the same hand, the same one anew, and time are no way round either.
    other = await town.phone(owner)
    assert slug(await other.ask(1)) == (409, "card-paused")
    assert (await town.client.delete(f"/v1/devices/{phone.id}", headers=owner.headers)).status_code == 204
    assert slug(await other.ask(1)) == (409, "card-paused")
    town.clock.forward(timedelta(days=20))
    other.owner = await town.again(owner)
    assert slug(await other.ask(1)) == (409, "card-paused")
    # Nothing that is suspended runs any more; the desk can let go of it all the same.
    desk = await town.staff() | {"Acting-For": str(owner.id), "Channel": "desk"}
    await town.client.post("/v1/card/resumption", headers=desk)
    assert (await other.ask(1)).status_code == 201


async def test_when_the_city_itself_revokes_the_last_suspended_card_the_matter_is_decided(town: Town) -> None:
    owner = await town.person(tariffs=("reduced",))
    phone = await town.phone(owner)
    await phone.ask(1)
    desk = await town.staff() | {"Acting-For": str(owner.id), "Channel": "desk"}
    await town.client.post("/v1/card/suspension", headers=desk)
    (card,) = (await town.client.get("/v1/credentials", headers=desk)).json()["credentials"]
    taken = await town.client.post(
        f"/v1/credentials/{card['id']}/revocation", json={"reason": "replaced"}, headers=desk
    )
    assert taken.status_code == 201
    assert (await phone.ask(1)).status_code == 201


async def test_somebody_elses_suspension_and_a_card_on_paper_hold_nobody_back(town: Town) -> None:
    owner, ward, stranger = [await town.person("Mia", "Yıldız", tariffs=("reduced",)) for _ in range(3)]
    phone, foreign = await town.phone(owner), await town.phone(stranger)
    await town.guardian(owner, ward)
    assert (await phone.ask(1, acting_for=ward.id)).status_code == 201
    at_the_desk = await town.staff() | {"Acting-For": str(ward.id), "Channel": "desk"}
    await town.client.post("/v1/card/suspension", headers=at_the_desk)
    assert slug(await phone.ask(1, acting_for=ward.id)) == (409, "card-paused")
    assert (await phone.ask(1)).status_code == 201
    assert (await foreign.ask(1)).status_code == 201
    # Whoever needs the card meanwhile gets it on paper, from the desk.
    assert (await town.client.post("/v1/printed-cards", headers=at_the_desk)).status_code == 201
    listed = (await town.client.get("/v1/credentials", headers=at_the_desk)).json()["credentials"]
    (paper,) = [one for one in listed if one["kind"] == "printed"]
    desk = await town.staff() | {"Acting-For": str(stranger.id), "Channel": "desk"}
    await town.client.post("/v1/printed-cards", headers=desk)
    (other,) = [
        one
        for one in (await town.client.get("/v1/credentials", headers=desk)).json()["credentials"]
        if one["kind"] == "printed"
    ]
    await town.client.post(f"/v1/credentials/{other['id']}/suspension", headers=desk)
    assert (await foreign.ask(1)).status_code == 201
    assert not paper["suspended"]


async def test_of_a_suspension_and_a_top_up_at_once_no_usable_card_is_left(town: Town) -> None:
    owner = await town.person(tariffs=("reduced",))
    phone = await town.phone(owner)
    await phone.ask(1)
    desk = await town.staff() | {"Acting-For": str(owner.id), "Channel": "desk"}

    async def suspend() -> None:
        assert (await town.client.post("/v1/card/suspension", headers=desk)).status_code == 200

    async def top_up() -> None:
        assert (await phone.ask(2)).status_code in {201, 409}

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(top_up)
        tasks.start_soon(suspend)
    assert set(await statuses(town)) == {Status.SUSPENDED}
    assert slug(await phone.ask(1)) == (409, "card-paused")


async def test_only_the_desk_suspends_the_card(town: Town) -> None:
    owner = await town.person(tariffs=("reduced",))
    operator = await town.staff(Role.OPERATOR)
    for door in ("suspension", "resumption"):
        for headers in (owner.headers, operator):
            assert (await town.client.post(f"/v1/card/{door}", headers=headers)).status_code == 403
        assert (await town.client.post(f"/v1/card/{door}")).status_code == 401
        nobody = await town.staff()  # on behalf of nobody
        assert (await town.client.post(f"/v1/card/{door}", headers=nobody)).status_code == 404
