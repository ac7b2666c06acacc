from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import anyio
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import func, select
from sqlmodel import col

from core.access.rules import Role
from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import Vault
from entitlements.deliveries import applying, receiving, rules, service
from entitlements.deliveries.models import Delivery, DeliveryRow, DeliverySubject
from entitlements.facts.models import Fact
from entitlements.facts.service import subjects, subjects_on
from entitlements.people.models import Identity, Person
from entitlements.people.service import identity_of
from entitlements.registers.models import Register
from entitlements.registers.service import number_hash, person_by_number
from tests.entitlements.deliveries.making import Office, fact, household, lines, person
from tests.makers import sign_in

TODAY = date(2026, 9, 16)

Work = Callable[[], Awaitable[int]]


async def meant(database: Database, vault: Vault, office: Office, number: str) -> UUID:
    async with database.reading() as session:
        found = await person_by_number(
            session, number_hash(vault, office.register.id, number), office.register.id
        )
    assert found is not None
    return found


async def known(
    database: Database, vault: Vault, office: Office, number: str, on: date = TODAY
) -> dict[str, Any]:
    """What rules see of whoever this number means."""
    found = await meant(database, vault, office, number)
    async with database.reading() as session:
        subject = (await subjects(session, [found], on))[found]
        assert subject == (await subjects_on(session, [found], on))[found]
    return {name: stated.value for name, stated in subject.facts.items()}


async def count(database: Database, table: Any) -> int:
    async with database.reading() as session:
        return int((await session.execute(select(func.count()).select_from(table))).scalar_one())


async def test_a_register_makes_persons_and_their_facts_known(
    melde: Office, database: Database, vault: Vault
) -> None:
    delivery = await melde.deliver(
        "first",
        [
            person("P-1", "Nazlı", "Öztürk", birth_date="1990-05-03"),
            person("P-2", "Иван", "Петров", birth_date="1985-00-00"),
            person("P-3", "محمد", "العلي", birth_date="2015-02"),
            fact("P-1", "main_residence", value=True, **{"from": "2024-01-01"}),
            household("H-1", "P-1", "P-3"),
        ],
    )
    assert delivery["state"] == "applied"
    assert delivery["results"] == {"accepted": 5}
    facts = await known(database, vault, melde, "P-1")
    assert facts["main_residence"] is True
    assert facts["birth_date"] == facts["birth_date_latest"] == date(1990, 5, 3)
    assert (await known(database, vault, melde, "P-2"))["birth_date_latest"] == date(1985, 12, 31)
    assert (await known(database, vault, melde, "P-3"))["birth_date_latest"] == date(2015, 2, 28)
    async with database.reading() as session:
        first = await meant(database, vault, melde, "P-1")
        subject = (await subjects(session, [first], TODAY))[first]
        assert len(subject.households["registered_household"]) == 2
        named = await identity_of(session, vault, await meant(database, vault, melde, "P-3"))
    assert named is not None
    assert named.name == "محمد العلي"


async def test_the_same_delivery_twice_changes_nothing_and_answers_the_same(
    melde: Office, database: Database
) -> None:
    rows = [person("P-1"), fact("P-1", "main_residence", value=True)]
    first = await melde.deliver("one", rows)
    before = await count(database, Fact), await count(database, DeliveryRow)
    assert await melde.deliver("one", rows) == first
    assert (await count(database, Fact), await count(database, DeliveryRow)) == before
    other = await melde.post("one", lines(rows[:1]), 1)
    assert other.status_code == 409
    assert other.json()["type"].endswith("delivery-name-taken")


async def test_the_same_rows_under_another_name_are_known(melde: Office, database: Database) -> None:
    rows = [
        person("P-1", birth_date="1990-05-03"),
        fact("P-1", "main_residence", value=True),
        household("H-1", "P-1"),
    ]
    await melde.deliver("one", rows)
    again = await melde.deliver("two", rows)
    assert again["results"] == {"unchanged": 3}
    assert await count(database, Fact) == 3


async def test_the_same_delivery_sent_twice_at_once_is_one(melde: Office, database: Database) -> None:
    rows = [person(f"P-{n}") for n in range(20)]
    found: list[dict[str, Any]] = []

    async def send() -> None:
        found.append(await melde.deliver("twin", rows))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(send)
    assert len({view["id"] for view in found}) == 1
    assert await count(database, Person) == 20
    assert await count(database, Delivery) == 1


async def test_with_another_number_of_rows_nothing_is_applied(melde: Office, database: Database) -> None:
    answer = await melde.post("half", lines([person("P-1")]), 2, mode="full", as_of=melde_moment())
    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["reason"]) == ("rejected", "row-count")
    assert await count(database, Person) == 0
    assert await count(database, DeliveryRow) == 0


def melde_moment(hours: int = 0) -> Any:
    from tests.entitlements.facts.making import NOON

    return NOON + timedelta(hours=hours)


async def test_each_row_has_a_result_of_its_own_and_a_bad_one_stops_no_other(melde: Office) -> None:
    rows = [
        person("P-1"),
        fact("P-1", "main_residence", value=True),
        fact("P-1", "main_residence", value="perhaps", **{"from": "2025-01-01"}),
        fact("P-1", "sgb2", value=True),
        fact("P-1", "shoe_size", value=43),
        fact("P-1", "main_residence", value=True, **{"from": "2025-02-30"}),
        fact("P-1", "main_residence", value=True, **{"from": "2025-02-02", "until": "2025-02-01"}),
        fact("P-1", "main_residence", value=True, stated_at="2026-09-16 10:00"),
        fact("P-9", "main_residence", value=True),
        fact("P-1", "main_residence", value=False),
        household("H-1", "P-1", kind="band"),
        household("H-2", "P-1", kind="bedarfsgemeinschaft"),
        {"row": "fact", "number": "P-1"},
        {"row": "poem"},
        person(""),
        person("P-2", given="a\u0000b"),
        fact("P-1", "main_residence", value=True, colour="red"),
    ]
    delivery = await melde.deliver("mixed", rows)
    assert await melde.results(delivery) == [
        "accepted",
        "accepted",
        "wrong-type",
        "not-in-remit",
        "unknown-fact",
        "bad-days",
        "bad-days",
        "bad-moment",
        "no-link",
        "duplicate",
        "unknown-household-kind",
        "not-in-remit",
        "malformed",
        "malformed",
        "bad-number",
        "bad-text",
        "malformed",
    ]


async def test_a_register_without_the_right_makes_nobody_known(jobcenter: Office, database: Database) -> None:
    delivery = await jobcenter.deliver("x", [person("J-1")])
    assert await jobcenter.results(delivery) == ["not-in-remit"]
    assert await count(database, Person) == 0


async def test_deliveries_out_of_order_settle_by_their_own_times(
    melde: Office, database: Database, vault: Vault
) -> None:
    await melde.deliver("base", [person("P-1")], as_of=melde_moment(-10))
    late = [fact("P-1", "main_residence", value=False, **{"from": "2026-01-01"})]
    await melde.deliver("second", late, as_of=melde_moment(-1))
    early = [fact("P-1", "main_residence", value=True, **{"from": "2026-01-01"})]
    delivery = await melde.deliver("first", early, as_of=melde_moment(-2))
    assert await melde.results(delivery) == ["superseded"]
    assert (await known(database, vault, melde, "P-1"))["main_residence"] is False


async def test_a_number_that_means_nobody_waits_for_a_case_worker(
    melde: Office, jobcenter: Office, database: Database, vault: Vault, clock: FixedClock
) -> None:
    await melde.deliver("people", [person("P-1"), person("P-2"), household("H-1", "P-1", "P-2")])
    delivery = await jobcenter.deliver(
        "grants",
        [
            fact("J-1", "sgb2", value=True),
            household("B-1", "J-1", "J-2", kind="bedarfsgemeinschaft"),
            fact("J-1", "sgb2", value=False, **{"from": "2027-01-01"}),
        ],
    )
    assert delivery["results"] == {"no-link": 3}
    desk = await sign_in(database, vault, clock.now(), Role.CASE_WORKER)
    waiting = (await melde.client.get("/v1/reviews", headers=desk)).json()["reviews"]
    assert [one["number"] for one in waiting] == ["J-1", "J-2"]
    first, second = [await meant(database, vault, melde, number) for number in ("P-1", "P-2")]

    async def link(place: int, person_id: UUID) -> Any:
        return await melde.client.post(
            f"/v1/reviews/{waiting[place]['id']}/link", json={"person_id": str(person_id)}, headers=desk
        )

    assert (await link(0, first)).status_code == 200
    assert await jobcenter.results(delivery) == ["accepted", "no-link", "accepted"]
    assert (await known(database, vault, jobcenter, "J-1"))["sgb2"] is True
    linked = await link(1, second)
    assert linked.json()["number"] == ""
    assert await jobcenter.results(delivery) == ["accepted", "accepted", "accepted"]
    async with database.reading() as session:
        subject = (await subjects(session, [first], TODAY))[first]
    assert len(subject.households["bedarfsgemeinschaft"]) == 2
    assert (await link(1, second)).status_code == 409
    assert (await melde.client.get("/v1/reviews", headers=desk)).json()["reviews"] == []


async def test_a_dismissed_number_is_not_asked_for_again(
    jobcenter: Office, database: Database, vault: Vault, clock: FixedClock
) -> None:
    await jobcenter.deliver("one", [fact("J-1", "sgb2", value=True)])
    desk = await sign_in(database, vault, clock.now(), Role.CASE_WORKER)
    (review,) = (await jobcenter.client.get("/v1/reviews", headers=desk)).json()["reviews"]
    dismissed = await jobcenter.client.post(f"/v1/reviews/{review['id']}/dismiss", headers=desk)
    assert dismissed.json()["state"] == "dismissed"
    await jobcenter.deliver("two", [fact("J-1", "sgb2", value=True)])
    assert (await jobcenter.client.get("/v1/reviews", headers=desk)).json()["reviews"] == []


async def test_the_identification_number_links_two_registers(
    melde: Office, jobcenter: Office, database: Database, vault: Vault
) -> None:
    await melde.deliver("people", [person("P-1", identification_number="12345678901")])
    delivery = await jobcenter.deliver(
        "grants",
        [
            {"row": "person", "number": "J-1", "identification_number": "12345678901"},
            {"row": "person", "number": "J-2", "identification_number": "12345678902"},
            fact("J-1", "sgb2", value=True),
        ],
    )
    assert await jobcenter.results(delivery) == ["unchanged", "no-link", "accepted"]
    assert await meant(database, vault, jobcenter, "J-1") == await meant(database, vault, melde, "P-1")


async def test_a_full_delivery_ends_what_it_leaves_out_and_its_silence_means_no(
    melde: Office, jobcenter: Office, database: Database, vault: Vault, clock: FixedClock
) -> None:
    numbers = [f"{n}" for n in range(40)]
    await melde.deliver(
        "people", [person(f"P-{n}", identification_number=f"{int(n) + 1:011}") for n in numbers]
    )
    link = [
        {"row": "person", "number": f"J-{n}", "identification_number": f"{int(n) + 1:011}"} for n in numbers
    ]
    await jobcenter.deliver("links", link[:-1])
    assert "sgb2" not in await known(database, vault, melde, "P-39")
    rows = [fact(f"J-{n}", "sgb2", value=True, **{"from": "2026-01-01"}) for n in numbers[:-2]]
    first = await jobcenter.deliver("full-1", rows, mode="full", as_of=melde_moment(-2))
    assert first["state"] == "applied"
    assert (await known(database, vault, melde, "P-39"))["sgb2"] is False
    assert (await known(database, vault, melde, "P-38"))["sgb2"] is False
    assert (await known(database, vault, melde, "P-0"))["sgb2"] is True
    # One of 38 is less than the share at which a person must look.
    second = await jobcenter.deliver("full-2", rows[1:], mode="full", as_of=melde_moment(-1))
    assert (second["state"], second["ends"], second["standing"]) == ("applied", 1, 38)
    assert (await known(database, vault, melde, "P-0"))["sgb2"] is False
    async with database.reading() as session:
        who = await meant(database, vault, melde, "P-0")
        yesterday = (await subjects_on(session, [who], TODAY - timedelta(days=1)))[who]
    assert yesterday.facts["sgb2"].value is True
    # What was stated before the complete list, and comes after it, does not bring it back.
    late = await jobcenter.deliver(
        "late", [fact("J-0", "sgb2", value=True, **{"from": "2026-01-01"})], as_of=melde_moment(-3)
    )
    assert late["state"] == "applied"
    assert (await known(database, vault, melde, "P-0"))["sgb2"] is False


async def test_a_delivery_that_would_end_much_is_held_until_somebody_looks(
    melde: Office, database: Database, vault: Vault, clock: FixedClock, work: Work
) -> None:
    rows = [person(f"P-{n}") for n in range(10)]
    rows += [fact(f"P-{n}", "main_residence", value=True, **{"from": "2026-01-01"}) for n in range(10)]
    await melde.deliver("base", rows, mode="full", as_of=melde_moment(-5))
    held = await melde.deliver("empty", [], mode="full", as_of=melde_moment(-4))
    assert (held["state"], held["reason"], held["ends"]) == ("held", "ends-too-much", 10)
    assert (await known(database, vault, melde, "P-1"))["main_residence"] is True
    url = f"/v1/deliveries/{held['id']}"
    assert (await melde.client.post(f"{url}/release", headers=melde.headers)).status_code == 403
    desk = await sign_in(database, vault, clock.now(), Role.CASE_WORKER)
    rejected = await melde.client.post(f"{url}/rejection", headers=desk)
    assert rejected.json()["state"] == "rejected"
    assert (await melde.client.post(f"{url}/release", headers=desk)).status_code == 409
    again = await melde.deliver("empty-2", [], mode="full", as_of=melde_moment(-3))
    released = await melde.client.post(f"/v1/deliveries/{again['id']}/release", headers=desk)
    assert released.json()["state"] == "applying"
    await work()
    done = await melde.client.get(f"/v1/deliveries/{again['id']}", headers=melde.headers)
    assert done.json()["state"] == "applied"
    assert (await known(database, vault, melde, "P-1"))["main_residence"] is False


async def test_rows_that_cannot_be_read_let_nobody_be_left_out(
    melde: Office, database: Database, vault: Vault
) -> None:
    rows = [person(f"P-{n}") for n in range(30)]
    facts = [fact(f"P-{n}", "main_residence", value=True, **{"from": "2026-01-01"}) for n in range(30)]
    await melde.deliver("base", rows + facts, mode="full", as_of=melde_moment(-5))
    wrong = [*facts[1:], fact("P-0", "main_residence", value="ja", **{"from": "2026-01-01"})]
    delivery = await melde.deliver("wrong", wrong, mode="full", as_of=melde_moment(-4))
    assert (delivery["state"], delivery["results"]["wrong-type"]) == ("applied", 1)
    assert (await known(database, vault, melde, "P-0"))["main_residence"] is True
    body = lines(facts[1:]) + b"{broken\n"
    answer = await melde.post("torn", body, 30, mode="full", as_of=melde_moment(-3))
    assert (answer.json()["state"], answer.json()["reason"]) == ("held", "unreadable-rows")


async def test_a_full_delivery_needs_its_moment(melde: Office) -> None:
    assert (await melde.post("x", b"", 0, mode="full")).status_code == 400
    ahead = await melde.post("x", b"", 0, mode="full", as_of=melde_moment(1))
    assert ahead.status_code == 422


async def test_csv_says_the_same_as_json(melde: Office, database: Database, vault: Vault) -> None:
    body = (
        "\ufeffrow,number,given_name,family_name,birth_date,household,kind,members,fact,value,from,withdraw\r\n"
        'person,P-1,"Ana, ""die Große""",Ñuñez,1990-05-00,,,,,,,\r\n'
        "person,P-2,Bo,Li,,,,,,,,\r\n"
        "household,,,,,H-1,registered_household,P-1; P-2,,,2024-01-01,\r\n"
        "fact,P-1,,,,,,,main_residence,true,2024-01-01,\r\n"
        "fact,P-1,,,,,,,deceased,,2024-01-01,true\r\n"
        "fact,P-1\r\n"
    ).encode()
    answer = await melde.post("csv", body, 6, media="text/csv; charset=utf-8")
    assert answer.status_code == 200, answer.text
    assert await melde.results(answer.json()) == [*["accepted"] * 5, "malformed"]
    assert (await known(database, vault, melde, "P-1"))["main_residence"] is True
    async with database.reading() as session:
        named = await identity_of(session, vault, await meant(database, vault, melde, "P-1"))
    assert named is not None
    assert named.given_name == 'Ana, "die Große"'
    unknown = await melde.post("csv-2", b"row,colour\nfact,red\n", 1, media="text/csv")
    assert unknown.status_code == 422
    assert await count(database, Delivery) == 1
    assert (await melde.post("xml", b"<a/>", 1, media="text/xml")).status_code == 400


async def test_a_large_delivery_goes_on_after_the_answer(
    melde: Office,
    database: Database,
    vault: Vault,
    work: Work,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "SMALL", 5)
    monkeypatch.setattr(receiving, "SMALL", 5)
    monkeypatch.setattr(rules, "CHUNK", 4)
    monkeypatch.setattr(receiving, "BATCH", 3)
    rows = [person(f"P-{n}") for n in range(9)]
    rows += [fact(f"P-{n}", "main_residence", value=True) for n in range(9)]
    answer = await melde.post("large", lines(rows), 18)
    assert answer.status_code == 202
    assert answer.json()["state"] == "checking"
    await work()
    view = (await melde.client.get(f"/v1/deliveries/{answer.json()['id']}", headers=melde.headers)).json()
    assert (view["state"], view["done"], view["results"]) == ("applied", 18, {"accepted": 18})
    assert (await known(database, vault, melde, "P-8"))["main_residence"] is True


async def test_a_delivery_that_broke_off_goes_on_where_it_was(  # noqa: PLR0917
    melde: Office,
    database: Database,
    vault: Vault,
    work: Work,
    clock: FixedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rules, "CHUNK", 4)
    steps = 0
    real = applying.reassess

    async def falls_over(*args: Any, **more: Any) -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            raise RuntimeError("the power went")
        await real(*args, **more)

    monkeypatch.setattr(applying, "reassess", falls_over)
    rows = [person(f"P-{n}") for n in range(10)]
    rows += [fact(f"P-{n}", "main_residence", value=True) for n in range(10)]
    answer = await melde.post("broken", lines(rows), 20)
    assert answer.status_code == 500
    assert 0 < await count(database, Person) < 10
    clock.forward(timedelta(minutes=6))
    await work()
    desk = await sign_in(database, vault, clock.now(), Role.OPERATOR)
    (again,) = (await melde.client.get("/v1/deliveries", headers=desk)).json()["deliveries"]
    done = await melde.client.get(f"/v1/deliveries/{again['id']}", headers=desk)
    assert (done.json()["state"], done.json()["results"]) == ("applied", {"accepted": 20})
    assert await count(database, Person) == 10
    assert await count(database, Fact) == 10


async def test_a_household_is_applied_in_one_piece(
    melde: Office, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "CHUNK", 2)
    seen: list[set[UUID]] = []
    real = applying.reassess

    async def watch(session: Any, person_ids: Any, **more: Any) -> None:
        seen.append(set(person_ids))
        await real(session, person_ids, **more)

    monkeypatch.setattr(applying, "reassess", watch)
    rows = [person(f"P-{n}") for n in range(6)]
    rows += [household("H-1", "P-0", "P-2", "P-4"), household("H-2", "P-1", "P-3", "P-5")]
    rows += [fact(f"P-{n}", "main_residence", value=True) for n in range(6)]
    await melde.deliver("homes", rows)
    assert [len(persons) for persons in seen if persons] == [3, 3]


async def test_a_register_sees_its_own_deliveries_only(melde: Office, jobcenter: Office) -> None:
    mine = await melde.deliver("mine", [person("P-1")])
    url = f"/v1/deliveries/{mine['id']}"
    assert (await melde.client.get(url, headers=melde.headers)).status_code == 200
    assert (await melde.client.get(url, headers=jobcenter.headers)).status_code == 404
    assert (await melde.client.get(f"{url}/rows", headers=jobcenter.headers)).status_code == 404
    listed = await melde.client.get("/v1/deliveries", headers=jobcenter.headers)
    assert listed.json()["deliveries"] == []


async def test_rows_can_be_paged_and_sifted(melde: Office) -> None:
    rows = [person(f"P-{n}") for n in range(5)] + [fact("P-1", "sgb2", value=True)]
    mine = await melde.deliver("mine", rows)
    url = f"/v1/deliveries/{mine['id']}/rows"
    page = (await melde.client.get(url, params={"limit": 4}, headers=melde.headers)).json()
    assert ([row["position"] for row in page["rows"]], page["next"]) == ([1, 2, 3, 4], 4)
    rest = (await melde.client.get(url, params={"after": 4}, headers=melde.headers)).json()
    assert ([row["position"] for row in rest["rows"]], rest["next"]) == ([5, 6], None)
    sifted = await melde.client.get(url, params={"result": "not-in-remit"}, headers=melde.headers)
    assert sifted.json()["rows"] == [{"position": 6, "result": "not-in-remit"}]


async def test_two_persons_that_turn_out_to_be_one_are_one_from_then_on(
    melde: Office, jobcenter: Office, database: Database, vault: Vault, clock: FixedClock
) -> None:
    await melde.deliver("people", [person("P-1"), person("P-2"), fact("P-1", "main_residence", value=True)])
    desk = await sign_in(database, vault, clock.now(), Role.CASE_WORKER)
    kept, gone = [await meant(database, vault, melde, number) for number in ("P-1", "P-2")]
    act = {"gone_id": str(gone), "kept_id": str(kept)}
    assert (await melde.client.post("/v1/merges", json=act, headers=desk)).status_code == 201
    assert (await melde.client.post("/v1/merges", json=act, headers=desk)).status_code == 409
    assert await meant(database, vault, melde, "P-2") == kept
    await melde.deliver("more", [fact("P-2", "deceased", value=True)])
    facts = await known(database, vault, melde, "P-1")
    assert (facts["deceased"], facts["main_residence"]) == (True, True)


async def test_whoever_is_forgotten_cannot_be_read_any_more(
    melde: Office, database: Database, vault: Vault, clock: FixedClock
) -> None:
    await melde.deliver(
        "people", [person("P-1", "Nazlı", "Öztürk"), fact("P-1", "main_residence", value=True)]
    )
    who = await meant(database, vault, melde, "P-1")
    async with database.reading() as session:
        backup = await session.get_one(Identity, who)
    officer = await sign_in(database, vault, clock.now(), Role.DATA_PROTECTION_OFFICER)
    answer = await melde.client.post(f"/v1/people/{who}/forgetting", headers=officer)
    assert answer.status_code == 204
    async with database.writing() as session:
        assert await identity_of(session, vault, who) is None
        # An old backup of everything but the keys says nothing either.
        session.add(Identity(**backup.model_dump()))
        await session.flush()
        assert await identity_of(session, vault, who) is None
        await session.rollback()
    again = await melde.deliver(
        "again", [person("P-1", "Nazlı", "Öztürk"), fact("P-1", "main_residence", value=False)]
    )
    assert again["results"] == {"forgotten": 2}
    async with database.reading() as session:
        assert await identity_of(session, vault, who) is None
        assert (
            await session.execute(select(DeliverySubject).where(col(DeliverySubject.person_id) == who))
        ).all()


async def test_no_name_and_no_number_stands_in_the_rows(
    melde: Office, database: Database, url_bytes: Any
) -> None:
    await melde.deliver("people", [person("P-SECRET-4711", "Nazlıxyz", "Öztürkxyz", email="a@b.example")])
    await melde.deliver("waits", [fact("P-WAITING-4712", "main_residence", value=True)])
    for secret in (
        b"P-SECRET-4711",
        b"P-WAITING-4712",
        "Nazlıxyz".encode(),
        "Öztürkxyz".encode(),
        b"a@b.example",
    ):
        assert not await url_bytes(secret)


@pytest.fixture
def url_bytes(database: Database) -> Any:
    """Whether bytes stand anywhere in the tables."""
    from sqlmodel import SQLModel

    async def find(secret: bytes) -> bool:
        async with database.reading() as session:
            for table in SQLModel.metadata.sorted_tables:
                for row in await session.execute(select(table)):
                    if any(
                        secret in cell if isinstance(cell, bytes) else secret.decode() in str(cell)
                        for cell in row
                    ):
                        return True
        return False

    return find


async def test_the_night_turns_what_begins_and_ends(
    melde: Office, database: Database, vault: Vault, work: Work, clock: FixedClock
) -> None:
    tomorrow = TODAY + timedelta(days=1)
    rows = [
        person("P-1"),
        fact("P-1", "main_residence", value=True, **{"from": tomorrow.isoformat()}),
    ]
    await melde.deliver("people", rows)
    await work()
    assert "main_residence" not in await known(database, vault, melde, "P-1")
    clock.forward(timedelta(days=1))
    await work()
    from entitlements.facts.models import CURRENT

    async with database.reading() as session:
        found = await session.execute(select(CURRENT.c.main_residence, CURRENT.c.on_day))
        assert found.one() == (True, tomorrow)


async def test_a_machine_that_is_no_register_delivers_nothing(
    client: AsyncTestClient[Litestar], database: Database, vault: Vault, settings: Settings, clock: FixedClock
) -> None:
    from tests.makers import machine_in, make_machine

    machine = await make_machine(database, clock.now())
    headers = await machine_in(database, vault, settings, clock.now(), machine)
    stranger = Office(client, Register(principal_id=machine.principal_id, kind="x", name="x"), headers)
    assert (await stranger.post("x", b"", 0)).status_code == 403


async def test_a_line_without_end_is_passed_over(melde: Office) -> None:
    body = lines([person("P-1")]) + b'{"row":"' + b"x" * 200_000 + b'"}\n' + lines([person("P-2")])
    answer = await melde.post("long", body, 3)
    assert await melde.results(answer.json()) == ["accepted", "too-long", "accepted"]
