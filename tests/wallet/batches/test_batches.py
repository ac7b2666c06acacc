"""Cards for a whole city: each holder one, every file drawn from what is sealed, nothing made twice."""

import csv
import io
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from core.access.rules import Role
from core.audit.models import Entry
from core.jobs.models import Job
from entitlements.notices.models import Notice
from entitlements.people import service as people
from issuers.credentials.rules import Revocation
from issuers.credentials.service import outstanding, revoke
from issuers.status.rules import Status
from tests.wallet.makers import Headers, Somebody, Town
from tests.wallet.printing.makers import Opened
from wallet.batches import service
from wallet.batches.models import BatchPlace, BatchState, PrintBatch
from wallet.codes.picture import read_picture
from wallet.codes.text import parse, read_printed_code
from wallet.printing.models import PrintedCard

PATH = "/v1/print-batches"


@pytest.fixture
async def people_here(town: Town) -> list[Somebody]:
    return [
        await town.person(given="Erika", family=f"Name {letter}", tariffs=("reduced",))
        for letter in ("Anton", "Berta", "Cäsar")
    ]


async def begin(town: Town, **wish: Any) -> dict[str, Any]:
    answer = await town.client.post(PATH, json=wish, headers=await town.staff())
    assert answer.status_code == 201, answer.text
    begun: dict[str, Any] = answer.json()
    return begun


async def seen(town: Town, batch_id: str) -> dict[str, Any]:
    answer = await town.client.get(f"{PATH}/{batch_id}", headers=await town.staff(Role.AUDITOR))
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def rows(town: Town, batch_id: str, headers: Headers | None = None) -> list[dict[str, str]]:
    answer = await town.client.get(f"{PATH}/{batch_id}/files/1.csv", headers=headers or await town.staff())
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return list(csv.DictReader(io.StringIO(answer.text)))


async def test_everybody_who_holds_something_gets_one_card_and_a_notice(
    town: Town, people_here: list[Somebody]
) -> None:
    await town.person(given="Nie", family="Mand")
    nameless = await town.person(tariffs=("reduced",))
    begun = await begin(town)
    assert (begun["total"], begun["done"], begun["state"]) == (4, 0, "making")
    await town.work()
    found = await seen(town, begun["id"])
    assert (found["state"], found["done"], found["passed_over"], found["files"]) == ("ready", 4, 1, 1)
    assert await town.standing() == [None] * 3
    printed = await rows(town, begun["id"])
    assert sorted(" ".join((row["name_1"], row["name_2"])).strip() for row in printed) == [
        "Erika Name Anton",
        "Erika Name Berta",
        "Erika Name Cäsar",
    ]
    assert {row["valid_until"] for row in printed} == {"2027-02-28"}
    async with town.database.reading() as session:
        told = (await session.execute(select(Notice).where(Notice.code == "card.printed"))).scalars().all()
    assert {notice.person_id for notice in told} == {somebody.id for somebody in people_here}
    assert nameless.id not in {notice.person_id for notice in told}


async def test_who_has_a_card_in_force_gets_none_and_whose_was_taken_back_does(
    town: Town, people_here: list[Somebody]
) -> None:
    await begin(town)
    await town.work()
    answer = await town.client.post(PATH, json={}, headers=await town.staff())
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:citycard:problem:nobody-due")
    async with town.database.writing() as session:
        mine = (await outstanding(session, people_here[0].id, town.clock.now()))[0]
        await revoke(session, [mine.id], Revocation.LOST, now=town.clock.now())
    again = await begin(town)
    assert again["total"] == 1
    await town.work()
    assert sorted(map(str, await town.standing())) == ["None"] * 3 + [Revocation.LOST]


async def test_who_is_named_gets_a_new_card_in_place_of_the_old(
    town: Town, people_here: list[Somebody]
) -> None:
    await begin(town)
    await town.work()
    begun = await begin(town, person_ids=[str(people_here[0].id), str(uuid4())])
    assert begun["total"] == 1
    await town.work()
    assert sorted(map(str, await town.standing())) == ["None"] * 3 + [Revocation.REPLACED]
    listed = await town.client.get("/v1/printed-cards", headers=people_here[0].headers)
    assert [card["ended_at"] is None for card in listed.json()["cards"]].count(True) == 1


async def test_the_file_has_a_card_a_page_whose_code_is_read_and_was_signed(
    town: Town, people_here: list[Somebody]
) -> None:
    begun = await begin(town, language="en")
    await town.work()
    answer = await town.client.get(f"{PATH}/{begun['id']}/files/1.pdf", headers=await town.staff())
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    opened = Opened(answer.content, 1)
    assert opened.pages == 3
    assert "Valid until" in opened.text
    text = read_picture(opened.png())
    assert text in {row["code"] for row in await rows(town, begun["id"])}
    assert text is not None
    assert read_printed_code(parse(text, town.settings.code_host)[1]).card.tariff_bits == 1


async def test_cards_sent_ahead_count_from_their_day_and_not_before(
    town: Town, people_here: list[Somebody]
) -> None:
    begun = await begin(town, active_from="2026-10-01")
    await town.work()
    assert {status for _, status in await town.credentials()} == {Status.SUSPENDED}
    await town.lose(people_here[0])
    await town.work()
    await turned(town)
    assert (await seen(town, begun["id"]))["activated_at"] is None
    town.clock.forward(timedelta(days=15))
    await turned(town)
    assert (await seen(town, begun["id"]))["activated_at"] is not None
    assert sorted(int(status or 0) for _, status in await town.credentials()) == [0, 0, 1]


async def test_a_batch_that_breaks_off_goes_on_where_it_was(
    town: Town, people_here: list[Somebody], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "AT_ONCE", 1)
    begun = await begin(town)
    async with town.database.writing() as session:
        batch = (await session.execute(select(PrintBatch))).scalar_one()
        await service.step(session, town.vault, batch.id, settings=town.settings, now=town.clock.now())
    with pytest.raises(KeyboardInterrupt):
        async with town.database.writing() as session:
            await service.step(session, town.vault, batch.id, settings=town.settings, now=town.clock.now())
            raise KeyboardInterrupt
    assert len(await town.credentials()) == 1
    early = await town.client.get(f"{PATH}/{begun['id']}/files/1.csv", headers=await town.staff())
    assert (early.status_code, early.json()["type"]) == (409, "urn:citycard:problem:batch-not-ready")
    await town.work()
    assert (await seen(town, begun["id"]))["done"] == 3
    async with town.database.reading() as session:
        per_person = select(func.count()).select_from(PrintedCard).group_by(PrintedCard.person_id)
        assert (await session.execute(per_person)).scalars().all() == [1, 1, 1]
        assert (await session.execute(select(Job).where(Job.kind == service.STEP))).first() is None


async def test_a_closed_batch_gives_no_file_and_forgets_who_was_in_it(
    town: Town, people_here: list[Somebody]
) -> None:
    begun = await begin(town)
    await town.work()
    for _ in range(2):
        answer = await town.client.post(f"{PATH}/{begun['id']}/closing", headers=await town.staff())
        assert (answer.status_code, answer.json()["state"]) == (200, "closed")
    refused = await town.client.get(f"{PATH}/{begun['id']}/files/1.pdf", headers=await town.staff())
    assert refused.status_code == 409
    await turned(town)
    async with town.database.reading() as session:
        assert (await session.execute(select(BatchPlace))).first() is None
    assert await town.standing() == [None] * 3


async def test_a_batch_that_nobody_closes_is_closed_in_time(town: Town, people_here: list[Somebody]) -> None:
    begun = await begin(town)
    await town.work()
    town.clock.forward(timedelta(days=31))
    await turned(town)
    assert (await seen(town, begun["id"]))["state"] == BatchState.CLOSED


async def test_who_was_forgotten_is_in_no_file_that_is_drawn_afterwards(
    town: Town, people_here: list[Somebody]
) -> None:
    begun = await begin(town)
    await town.work()
    async with town.database.writing() as session:
        await people.forget(session, people_here[0].id, caller=None, now=town.clock.now())
    assert len(await rows(town, begun["id"])) == 2


async def test_files_are_for_case_workers_and_whoever_draws_one_is_written_down(
    town: Town, people_here: list[Somebody]
) -> None:
    begun = await begin(town)
    await town.work()
    path = f"{PATH}/{begun['id']}/files/1.csv"
    for role in (Role.OPERATOR, Role.AUDITOR, Role.CITIZEN):
        assert (await town.client.get(path, headers=await town.staff(role))).status_code == 403
    await rows(town, begun["id"])
    async with town.database.reading() as session:
        drawn = (
            (await session.execute(select(Entry).where(Entry.action == "print-batch.file-drawn")))
            .scalars()
            .all()
        )
    assert [entry.details for entry in drawn] == [{"file": 1, "cards": 3}]
    assert drawn[0].principal_id is not None


@pytest.mark.parametrize("name", ["0.pdf", "2.pdf", "1.doc", "x.pdf", "1", "1234567.pdf", "²_.pdf"])
async def test_what_is_no_file_of_the_batch_is_not_found(town: Town, name: str) -> None:
    await town.person(given="Erika", family="Anton", tariffs=("reduced",), until=date(2026, 12, 31))
    begun = await begin(town)
    await town.work()
    answer = await town.client.get(f"{PATH}/{begun['id']}/files/{name}", headers=await town.staff())
    assert answer.status_code == 404


async def turned(town: Town) -> None:
    async with town.database.writing() as session:
        await service.turn(session, {}, town.clock.now(), settings=town.settings)
