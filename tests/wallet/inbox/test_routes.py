from datetime import date, timedelta

from sqlalchemy import func, select

from core.access.rules import Role
from entitlements.notices import service as notices
from entitlements.notices.models import Notice
from tests.makers import sign_in
from tests.wallet.makers import Headers, Somebody, Town
from wallet.inbox.models import Message
from wallet.inbox.service import deliver


async def inbox(town: Town, headers: Headers, language: str = "de") -> dict[str, object]:
    answer = await town.client.get("/v1/inbox", headers=headers | {"Accept-Language": language})
    assert answer.status_code == 200, answer.text
    told: dict[str, object] = answer.json()
    return told


async def messages(town: Town, somebody: Somebody, language: str = "de") -> list[dict[str, str]]:
    return (await inbox(town, somebody.headers, language))["messages"]  # type: ignore[return-value]


async def test_what_was_granted_is_told_in_the_readers_language(town: Town) -> None:
    owner = await town.person(tariffs=("reduced",))
    await town.work()
    (german,) = await messages(town, owner)
    assert german["code"] == "entitlement.granted"
    assert german["title"] == "Dortmund-Karte: Sie haben Anspruch"
    assert "keinen Antrag" in german["body"]
    assert (await messages(town, owner, "en"))[0]["title"] == "Dortmund Card: you are entitled"
    simple = await town.client.get("/v1/inbox?lang=de-simple", headers=owner.headers)
    assert simple.json()["messages"][0]["title"] == "Sie bekommen: Dortmund-Karte"
    assert simple.json()["language"] == "de-simple"


async def test_a_notice_lies_there_once_and_counts_as_sent_from_then_on(town: Town) -> None:
    owner = await town.person(tariffs=("reduced",))
    await town.work()
    async with town.database.writing() as session:
        notice = (await session.execute(select(Notice))).scalar_one()
        assert notice.sent_at == town.clock.now()
        assert notice.deemed_received_on == date(2026, 9, 20)
        town.clock.forward(timedelta(days=3))
        await deliver(session, {"notice_id": str(notice.id)}, town.clock.now(), settings=town.settings)
        assert (await session.execute(select(func.count()).select_from(Message))).scalar_one() == 1
        assert notice.deemed_received_on == date(2026, 9, 20)
    owner.headers = await sign_in(
        town.database, town.vault, town.clock.now(), Role.CITIZEN, person_id=owner.id
    )
    assert len(await messages(town, owner)) == 1


async def test_a_message_is_unread_until_it_is_read_and_the_first_time_counts(town: Town) -> None:
    owner = await town.person(tariffs=("reduced",))
    await town.work()
    told = await inbox(town, owner.headers)
    assert told["unread"] == 1
    (message,) = await messages(town, owner)
    for minutes in (1, 5):
        town.clock.forward(timedelta(minutes=minutes))
        answer = await town.client.post(f"/v1/inbox/{message['id']}/read", headers=owner.headers)
        assert answer.status_code == 204
    (message,) = await messages(town, owner)
    assert message["read_at"] == "2026-09-16T10:01:00Z"
    assert (await inbox(town, owner.headers))["unread"] == 0


async def test_a_guardian_reads_what_the_child_is_told(town: Town) -> None:
    parent, child = await town.person(), await town.person(tariffs=("reduced",))
    await town.guardian(parent, child)
    await town.work()
    (message,) = await messages(town, parent)
    assert message["person_id"] == str(child.id)
    as_child = await inbox(town, parent.headers | {"Acting-For": str(child.id)})
    assert [told["id"] for told in as_child["messages"]] == [message["id"]]  # type: ignore[attr-defined]
    assert (
        await town.client.post(f"/v1/inbox/{message['id']}/read", headers=parent.headers)
    ).status_code == 204


async def test_a_stranger_reads_nothing_of_it(town: Town) -> None:
    owner, stranger = await town.person(tariffs=("reduced",)), await town.person()
    await town.work()
    (message,) = await messages(town, owner)
    assert await messages(town, stranger) == []
    path = f"/v1/inbox/{message['id']}/read"
    assert (await town.client.post(path, headers=stranger.headers)).status_code == 404
    acting = stranger.headers | {"Acting-For": str(owner.id)}
    assert (await town.client.get("/v1/inbox", headers=acting)).status_code == 404
    assert (await town.client.get("/v1/inbox")).status_code == 401


async def test_the_newest_comes_first(town: Town) -> None:
    owner = await town.person(tariffs=("reduced",))
    await town.work()
    town.clock.forward(timedelta(minutes=10))
    async with town.database.writing() as session:
        await notices.owe(
            session, owner.id, "entitlement.continues", {"programme": "dortmund-karte"}, now=town.clock.now()
        )
    await town.work()
    assert [message["code"] for message in await messages(town, owner)] == [
        "entitlement.continues",
        "entitlement.granted",
    ]
