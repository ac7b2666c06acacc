"""When two persons become one, the cards of the one that goes end first; parted again, neither keeps the other's."""

from typing import Any

from issuers.status.rules import Status
from tests.wallet.makers import Somebody, Town


async def desk(
    town: Town, url: str, body: Any = None, *, expect: int = 200, about: Somebody | None = None
) -> Any:
    headers = await town.staff()
    if about is not None:
        headers |= {"Acting-For": str(about.id), "Channel": "desk"}
    answer = await town.client.post(url, json=body, headers=headers)
    assert answer.status_code == expect, answer.text
    return answer.json()


async def valid(town: Town) -> list[tuple[Any, Any]]:
    """Whose cards still hold, and on which phone."""
    return sorted(
        (
            (row.person_id, row.device_id)
            for row, status in await town.credentials()
            if status is Status.VALID
        ),
        key=str,
    )


async def test_cards_of_the_one_that_goes_end_and_the_phones_get_new_ones(town: Town) -> None:
    gone = await town.person(given="Erika", family="Schmidt", tariffs=("reduced",))
    kept = await town.person(given="Erika", family="Schmidt", tariffs=("reduced",))
    old, own = await town.phone(gone), await town.phone(kept)
    assert (await old.ask(2)).status_code == 201
    assert (await own.ask(1)).status_code == 201
    paper = await desk(town, "/v1/printed-cards", expect=201, about=gone)
    act = await desk(town, "/v1/merges", {"gone_id": str(gone.id), "kept_id": str(kept.id)}, expect=201)
    await town.work()
    mine = [(row.person_id, str(row.device_id)) for row, s in await town.credentials() if s is Status.VALID]
    assert mine == [(kept.id, own.id)]
    headers = await town.staff() | {"Acting-For": str(kept.id), "Channel": "desk"}
    picture = await town.client.get(f"/v1/printed-cards/{paper['id']}.png", headers=headers)
    assert picture.status_code == 404
    inbox = await town.client.get("/v1/inbox", headers=gone.headers)
    assert "person.merged" in {message["code"] for message in inbox.json()["messages"]}
    # The old phone goes on, for the one person that there is.
    assert (await old.ask(2)).status_code == 201
    assert (await desk(town, "/v1/printed-cards", expect=201, about=kept))["id"] != paper["id"]
    assert {person for person, _ in await valid(town)} == {kept.id}
    assert len(await valid(town)) == 4
    await desk(town, f"/v1/merges/{act['id']}/undo")
    await town.work()
    # Each phone has lost what it held for the other; each gets its own again.
    assert (kept.id, old.id) not in [(person, str(phone)) for person, phone in await valid(town)]
    assert (kept.id, own.id) in [(person, str(phone)) for person, phone in await valid(town)]
    assert (await old.ask(1)).status_code == 201
    assert (await own.ask(1)).status_code == 201
    assert {person for person, _ in await valid(town)} == {gone.id, kept.id}


async def test_whoever_held_nothing_before_holds_nothing_after_the_undoing(town: Town) -> None:
    gone = await town.person(given="Erika", family="Schmidt", tariffs=("reduced",))
    kept = await town.person(given="Erika", family="Schmidt")
    own = await town.phone(kept)
    assert (await own.ask(1)).status_code == 409
    act = await desk(town, "/v1/merges", {"gone_id": str(gone.id), "kept_id": str(kept.id)}, expect=201)
    assert (await own.ask(2)).status_code == 201
    await desk(town, f"/v1/merges/{act['id']}/undo")
    await town.work()
    assert await valid(town) == []
    assert (await own.ask(1)).status_code == 409
