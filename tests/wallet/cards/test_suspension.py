"""The desk suspends a credential and lets it count again; a revoked one is gone for good."""

from core.access.rules import Role
from issuers.status.rules import Status
from tests.wallet.makers import Town


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
