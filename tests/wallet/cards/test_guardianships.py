"""Whoever acted for somebody is told when that ends: once, kindly, and without a name."""

from datetime import date, timedelta

import pytest

from tests.wallet.makers import Headers, Somebody, Town
from wallet.cards.service import look_after_wards

TODAY = date(2026, 9, 16)


async def read(town: Town, somebody: Somebody, language: str = "de") -> list[tuple[str, str]]:
    """Code and text of what somebody reads of guardianships, the oldest first."""
    await town.work()
    headers = (await town.again(somebody)).headers | {"Accept-Language": language}
    found = (await town.client.get("/v1/inbox", headers=headers)).json()["messages"]
    mine = [one for one in reversed(found) if one["code"].startswith("guardianship.")]
    return [(one["code"], one["body"]) for one in mine]


async def couple(town: Town) -> tuple[Somebody, Somebody, Headers]:
    return await town.person(), await town.person("Jörg", "Müller", tariffs=("reduced",)), await town.staff()


async def end(town: Town, guardianship: object, last_day: date | None, desk: Headers) -> None:
    said = {} if last_day is None else {"last_day": last_day.isoformat()}
    answer = await town.client.post(f"/v1/guardianships/{guardianship}/end", json=said, headers=desk)
    assert answer.status_code in {200, 201}, answer.text


async def night(town: Town) -> None:
    async with town.database.writing() as session:
        await look_after_wards(session, {}, town.clock.now(), settings=town.settings)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("de", "Bis zum 16. September 2026 konnten Sie hier für eine andere Person handeln"),
        ("de-simple", "Das ging bis zum 16. September 2026."),
        ("en", "Until 16 September 2026 you could act here for somebody else"),
    ],
)
async def test_the_former_guardian_is_told_once_and_no_name_is_kept(
    town: Town, language: str, said: str
) -> None:
    parent, child, _ = await couple(town)
    guardianship = await town.guardian(parent, child)
    town.clock.forward(timedelta(days=2))
    desk = await town.staff()
    for _ in range(2):
        await end(town, guardianship, TODAY, desk)
    for _ in range(2):
        await night(town)
    messages = await read(town, parent, language)
    assert [code for code, _ in messages] == ["guardianship.ended"]
    assert said in messages[0][1]
    assert "Jörg" not in str(messages)
    assert await read(town, child) == []


@pytest.mark.parametrize("language", ["de", "de-simple", "en"])
async def test_an_end_that_is_to_come_is_told_at_once_and_not_again_when_it_has_come(
    town: Town, language: str
) -> None:
    parent, child, desk = await couple(town)
    await end(town, await town.guardian(parent, child), TODAY + timedelta(days=3), desk)
    ((code, body),) = await read(town, parent, language)
    assert code == "guardianship.ending"
    assert "19" in body
    town.clock.forward(timedelta(days=4))
    await night(town)
    assert len(await read(town, parent, language)) == 1


async def test_an_end_that_nobody_had_to_decide_is_told_in_the_night_after_it(town: Town) -> None:
    parent, child, _ = await couple(town)
    await town.guardian(parent, child, until=TODAY)
    await night(town)
    assert await read(town, parent) == []
    town.clock.forward(timedelta(days=1))
    for _ in range(3):
        await night(town)
        town.clock.forward(timedelta(days=1))
    assert [code for code, _ in await read(town, parent)] == ["guardianship.ended"]


async def test_a_guardianship_of_this_morning_has_held_and_one_to_come_has_not(town: Town) -> None:
    (parent, child, desk), (other, second, _) = await couple(town), await couple(town)
    await end(town, await town.guardian(parent, child), None, desk)
    assert [code for code, _ in await read(town, parent)] == ["guardianship.ended"]
    later = await town.guardian(other, second, since=TODAY + timedelta(days=5))
    await end(town, later, None, desk)
    assert await read(town, other) == []


async def test_who_may_act_on_by_another_guardianship_is_told_nothing(town: Town) -> None:
    parent, child, desk = await couple(town)
    await town.guardian(parent, child)
    for last_day in (TODAY - timedelta(days=1), TODAY + timedelta(days=3)):
        await end(town, await town.guardian(parent, child), last_day, desk)
    assert await read(town, parent) == []
