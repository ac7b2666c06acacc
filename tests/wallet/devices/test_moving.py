"""A card moves to another phone in a minute; the old one is told, and money waits until its owner has heard."""

from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from core.access.rules import Level, Role
from core.texts import b64url
from tests.makers import sign_in
from tests.wallet.makers import Headers, Phone, Somebody, Town
from wallet.devices.models import Device
from wallet.devices.service import may_pay, may_pay_with

DAY = timedelta(hours=24)


async def device(town: Town, phone: Phone) -> Device:
    async with town.database.reading() as session:
        return await session.get_one(Device, UUID(phone.id))


async def pays(town: Town, phone: Phone) -> bool:
    """Whether the phone may pay now; the row, the view of its owner and what a booking asks must agree."""
    row = await device(town, phone)
    now = town.clock.now()
    async with town.database.reading() as session:
        assert await may_pay_with(session, row.id, now) is may_pay(row, now)
    return may_pay(row, now)


async def told(town: Town, somebody: Somebody) -> list[dict[str, Any]]:
    await town.work()
    box = await town.client.get("/v1/inbox", headers=somebody.headers)
    return [m for m in box.json()["messages"] if m["code"].startswith("device.")]


async def sync(town: Town, phone: Phone, headers: Headers | None = None) -> Any:
    answer = await town.client.get(f"/v1/devices/{phone.id}", headers=headers or phone.owner.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def again(town: Town, owner: Somebody, level: Level = Level.SUBSTANTIAL) -> None:
    owner.headers = await sign_in(
        town.database, town.vault, town.clock.now(), Role.CITIZEN, person_id=owner.id, level=level
    )


async def test_a_first_phone_pays_at_once_and_nobody_is_told_of_it(town: Town) -> None:
    owner = await town.person(tariffs=("reduced",))
    phone = await town.phone(owner)
    assert await pays(town, phone)
    assert (await sync(town, phone))["may_pay"] is True
    assert await told(town, owner) == []


async def test_a_moved_phone_shows_the_card_at_once_and_pays_after_a_day(town: Town) -> None:
    owner = await town.person(tariffs=("reduced",))
    old = await town.phone(owner)
    await old.ask(2)
    new = await town.phone(owner, replaces=old.id, name="Neues Handy")
    assert (await new.ask(2)).status_code == 201
    assert not await pays(town, new)
    shown = await sync(town, new)
    assert (shown["may_pay"], shown["pays_from"]) == (False, "2026-09-17T10:00:00Z")
    listed = (await town.client.get("/v1/devices", headers=owner.headers)).json()["devices"]
    assert [row["pays_from"] for row in listed] == ["2026-09-17T10:00:00Z"]
    town.clock.forward(DAY - timedelta(seconds=1))
    assert not await pays(town, new)
    town.clock.forward(timedelta(seconds=1))
    assert await pays(town, new)


async def test_a_second_phone_waits_like_one_that_moved(town: Town) -> None:
    owner = await town.person()
    first, second = await town.phone(owner), await town.phone(owner)
    assert (await pays(town, first), await pays(town, second)) == (True, False)
    (message,) = await told(town, owner)
    assert (message["code"], "17. September 2026" in message["body"]) == ("device.added", True)


async def test_removing_the_old_phone_first_does_not_spare_the_wait(town: Town) -> None:
    owner = await town.person()
    old = await town.phone(owner)
    await town.client.delete(f"/v1/devices/{old.id}", headers=owner.headers)
    assert not await pays(town, await town.phone(owner))


async def test_with_an_online_id_a_moved_phone_pays_at_once(town: Town) -> None:
    owner = await town.person()
    old = await town.phone(owner)
    await again(town, owner, Level.HIGH)
    new = await town.phone(owner, replaces=old.id)
    assert await pays(town, new)
    assert not await pays(town, old)
    (message,) = await told(town, owner)
    assert "16. September 2026" in message["body"]


async def test_the_desk_vouches_for_a_phone_and_it_pays(town: Town) -> None:
    owner = await town.person()
    old = await town.phone(owner)
    new = await town.phone(owner, replaces=old.id)
    url = f"/v1/devices/{new.id}/confirmation"
    assert (await town.client.post(url, headers=owner.headers)).status_code == 403
    desk = await town.staff()
    assert (await town.client.post(url, headers=desk)).status_code == 404
    desk |= {"Acting-For": str(owner.id), "Channel": "desk"}
    called = await town.client.post(url, headers=desk | {"Channel": "phone"})
    assert (called.status_code, called.json()["type"].rpartition(":")[2]) == (403, "not-at-the-desk")
    assert not await pays(town, new)
    gone = await town.client.post(f"/v1/devices/{old.id}/confirmation", headers=desk)
    assert gone.status_code == 404
    answer = await town.client.post(url, headers=desk)
    assert (answer.status_code, answer.json()["pays_from"]) == (200, "2026-09-16T10:00:00Z")
    assert await pays(town, new)
    town.clock.forward(timedelta(hours=1))
    desk = await town.staff() | {"Acting-For": str(owner.id), "Channel": "desk"}
    assert (await town.client.post(url, headers=desk)).json()["pays_from"] == "2026-09-16T10:00:00Z"


async def test_a_clerk_does_not_vouch_for_the_own_phone_nor_for_a_strangers(town: Town) -> None:
    clerk, owner = await town.person(), await town.person()
    clerk.headers = await sign_in(
        town.database, town.vault, town.clock.now(), Role.CASE_WORKER, Role.CITIZEN, person_id=clerk.id
    )
    await town.phone(clerk)
    own = await town.phone(clerk)
    at_desk = clerk.headers | {"Channel": "desk"}
    url = f"/v1/devices/{own.id}/confirmation"
    for acting_for, status in ((clerk.id, 403), (owner.id, 404)):
        answer = await town.client.post(url, headers=at_desk | {"Acting-For": str(acting_for)})
        assert answer.status_code == status
    assert not await pays(town, own)


async def test_the_old_phone_is_told_by_the_inbox_and_when_it_asks(town: Town) -> None:
    owner = await town.person(tariffs=("reduced",))
    old = await town.phone(owner)
    await old.ask(3)
    assert (await sync(town, old))["state"] == "in-use"
    await town.phone(owner, replaces=old.id, name="Neues Handy")
    (message,) = await told(town, owner)
    assert message["code"] == "device.moved"
    said = await sync(town, old)
    assert (said["state"], said["replaced_by"], said["ended_at"]) == (
        "replaced",
        "Neues Handy",
        "2026-09-16T10:00:00Z",
    )
    assert (said["may_pay"], said["holds"]) == (False, [])
    assert said["taken_back"] == sorted(b64url(sha256(card).digest()) for _, card in old.cards)


async def test_a_phone_hears_what_it_holds_and_what_it_must_not_show(town: Town) -> None:
    parent = await town.person(given="Eva", family="Sommer", tariffs=("reduced",))
    child = await town.person(tariffs=("reduced",))
    guardianship = await town.guardian(parent, child)
    phone = await town.phone(parent)
    await phone.ask(3)
    await phone.ask(1, kind="named")
    await phone.ask(2, acting_for=child.id)
    held = {(row["person_id"], row["named"]): row["cards"] for row in (await sync(town, phone))["holds"]}
    assert held == {(str(parent.id), False): 3, (str(parent.id), True): 1, (str(child.id), False): 2}
    ended = await town.client.post(
        f"/v1/guardianships/{guardianship}/end", json={}, headers=await town.staff()
    )
    assert ended.status_code == 200
    await town.work()
    said = await sync(town, phone)
    assert sum(row["cards"] for row in said["holds"]) == 4
    assert said["taken_back"] == sorted(b64url(sha256(card).digest()) for _, card in phone.cards[-2:])
    town.clock.forward(timedelta(days=15))
    await again(town, parent)
    said = await sync(town, phone)
    assert (said["taken_back"], said["holds"]) == ([], [])


async def test_nobody_asks_about_somebody_elses_phone(town: Town) -> None:
    owner, stranger = await town.person(), await town.person()
    phone = await town.phone(owner)
    refused = await town.client.get(f"/v1/devices/{phone.id}", headers=stranger.headers)
    assert refused.status_code == 404


async def test_a_removed_phone_is_told_that_it_was_removed(town: Town) -> None:
    owner = await town.person()
    phone = await town.phone(owner)
    await town.client.delete(f"/v1/devices/{phone.id}", headers=owner.headers)
    said = await sync(town, phone)
    assert (said["state"], said["replaced_by"]) == ("removed", None)


async def test_paper_pays_without_a_phone_and_an_unknown_phone_does_not(town: Town) -> None:
    async with town.database.reading() as session:
        assert await may_pay_with(session, None, town.clock.now())
        assert not await may_pay_with(session, uuid4(), town.clock.now())
