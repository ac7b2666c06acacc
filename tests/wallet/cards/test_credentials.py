from core.access.rules import Role
from issuers.credentials.rules import Revocation
from tests.wallet.makers import Town


async def test_a_holder_sees_which_cards_run_and_takes_one_back_for_good(town: Town) -> None:
    owner = await town.person(tariffs=("reduced",))
    phone = await town.phone(owner)
    await phone.ask(2)
    listed = (await town.client.get("/v1/credentials", headers=owner.headers)).json()["credentials"]
    assert [(card["kind"], card["named"], card["device_id"]) for card in listed] == [
        ("card", False, phone.id)
    ] * 2
    path = f"/v1/credentials/{listed[0]['id']}/revocation"
    for reason in ("lost", "replaced"):
        answer = await town.client.post(path, json={"reason": reason}, headers=owner.headers)
        assert (answer.status_code, answer.json()["revoked_for"]) == (201, "lost")
    assert sorted(map(str, await town.standing())) == ["None", Revocation.LOST]
    left = (await town.client.get("/v1/credentials", headers=owner.headers)).json()["credentials"]
    assert [card["id"] for card in left] == [listed[1]["id"]]


async def test_a_stranger_sees_and_takes_back_nothing_and_the_desk_does(town: Town) -> None:
    owner, stranger = await town.person(tariffs=("reduced",)), await town.person()
    await (await town.phone(owner)).ask(1)
    (card,) = (await town.client.get("/v1/credentials", headers=owner.headers)).json()["credentials"]
    path = f"/v1/credentials/{card['id']}/revocation"
    lost = {"reason": "lost"}
    assert (await town.client.get("/v1/credentials", headers=stranger.headers)).json() == {"credentials": []}
    assert (await town.client.post(path, json=lost, headers=stranger.headers)).status_code == 404
    operator = await town.staff(Role.OPERATOR)
    assert (await town.client.post(path, json=lost, headers=operator)).status_code == 403
    assert await town.standing() == [None]
    at_desk = await town.staff() | {"Acting-For": str(owner.id), "Channel": "desk"}
    assert (await town.client.post(path, json=lost, headers=at_desk)).status_code == 201
    assert await town.standing() == [Revocation.LOST]
