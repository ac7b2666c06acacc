from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import event

from core.access.rules import Role
from core.vault import Vault
from entitlements.decisions import explaining
from entitlements.decisions.models import Decision
from entitlements.decisions.rules import facts_hash
from entitlements.language import Stated, Subject
from entitlements.people.merging import merge
from entitlements.people.service import make_guardian
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.programmes import Outcome, Rulebook
from tests.entitlements.decisions.making import City
from tests.makers import sign_in
from tests.rulebooks import dortmund

Client = AsyncTestClient[Litestar]
Headers = dict[str, str]
ADULT, CHILD = date(1990, 5, 4), date(2015, 3, 1)
KARTE, PASS, BILDUNG = "dortmund-karte", "sozialpass", "bildungskarte"


async def citizen(city: City, vault: Vault, person: UUID) -> Headers:
    return await sign_in(city.database, vault, city.clock.now(), Role.CITIZEN, person_id=person)


async def at_the_desk(city: City, vault: Vault, person: UUID) -> Headers:
    worker = await sign_in(city.database, vault, city.clock.now(), Role.CASE_WORKER)
    return worker | {"Acting-For": str(person), "Channel": "desk"}


async def explained(
    client: Client, decision: Decision, headers: Headers, language: str = "de"
) -> dict[str, Any]:
    answer = await client.get(f"/v1/decisions/{decision.id}/explanation?lang={language}", headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_refusal_says_which_facts_would_grant_it(client: Client, city: City, vault: Vault) -> None:
    person = await city.person(ADULT)
    await city.assess(person)
    headers = await citizen(city, vault, person)
    said = await explained(client, await city.decision(person, KARTE), headers)
    assert (said["stands"], said["reproduced"]) == (True, True)
    assert [way["text"] for way in said["what_would_grant"]][:1] == [
        "Der Anspruch entsteht, wenn das Jobcenter mitteilt: Grundsicherungsgeld – ja."
    ]
    assert len(said["what_would_grant"]) == 3
    assert said["what_would_end"] == []
    resting = {rested["fact"]: rested for rested in said["rests_on"] if rested["of_household"] is None}
    assert resting["sgb2"]["value"] == "false"
    assert resting["sgb2"]["register_kind"] == "jobcenter"
    assert said["next_on"] is None


async def test_it_is_worded_in_plain_german_and_english(client: Client, city: City, vault: Vault) -> None:
    person = await city.person(ADULT)
    await city.assess(person)
    headers, decision = await citizen(city, vault, person), await city.decision(person, KARTE)
    plain = await explained(client, decision, headers, "de-simple")
    assert plain["what_would_grant"][0]["text"] == (
        "So können Sie es bekommen. Das Jobcenter sagt uns: Grund-Sicherungs-Geld – ja."
    )
    english = await explained(client, decision, headers, "en")
    assert english["what_would_grant"][0]["text"] == (
        "You become entitled if the job centre states: basic income support (Grundsicherungsgeld) – yes."
    )


async def test_a_grant_says_on_what_it_rests_since_when_and_what_would_end_it(
    client: Client, city: City, vault: Vault
) -> None:
    person = await city.person(ADULT)
    await city.state(person, since=date(2026, 3, 1), until=date(2027, 2, 28), sgb2=True)
    await city.assess(person)
    said = await explained(client, await city.decision(person, KARTE), await citizen(city, vault, person))
    resting = {rested["fact"]: rested for rested in said["rests_on"]}
    assert set(resting) == {"main_residence", "sgb2"}
    assert resting["sgb2"]["text"] == (
        "Grundsicherungsgeld: ja (das Jobcenter; vom 1. März 2026 bis zum 28. Februar 2027;"
        " uns bekannt seit dem 16. September 2026)"
    )
    assert (resting["sgb2"]["since"], resting["sgb2"]["until"]) == ("2026-03-01", "2027-02-28")
    assert {way["text"] for way in said["what_would_end"]} == {
        "Der Anspruch endet, wenn die Meldebehörde mitteilt: die Hauptwohnung in der Stadt – nein.",
        "Der Anspruch endet, wenn das Jobcenter mitteilt: Grundsicherungsgeld – nein.",
    }
    assert (said["next_on"], said["what_would_grant"]) == ("2027-03-01", [])
    assert said["next_text"].startswith("Am 1. März 2027 kann sich das ändern")


async def test_who_lives_with_a_recipient_does_not_learn_who_it_is(
    client: Client, city: City, vault: Vault
) -> None:
    recipient, reader, third = [await city.person(ADULT) for _ in range(3)]
    await city.household("wohngeld_household", recipient, reader, third)
    await city.state(recipient, since=date(2026, 2, 1), wog=True)
    await city.assess(reader)
    decision = await city.decision(reader, KARTE)
    said = await explained(client, decision, await citizen(city, vault, reader))
    (theirs,) = [rested for rested in said["rests_on"] if rested["of_household"]]
    assert theirs["text"] == "Wohngeld: ja, bei einem Mitglied Ihres Haushalts (der Wohngeldhaushalt)"
    hidden = ("register_kind", "register_label", "since", "until", "learned_at", "member_id")
    assert [theirs[name] for name in hidden] == [None] * len(hidden)
    assert str(recipient) not in str(said)
    seen = await explained(client, decision, await at_the_desk(city, vault, reader))
    (theirs,) = [rested for rested in seen["rests_on"] if rested["of_household"]]
    assert (theirs["member_id"], theirs["since"]) == (str(recipient), "2026-02-01")


async def test_what_nobody_meets_as_a_whole_is_not_said_of_each_part(
    client: Client, city: City, vault: Vault
) -> None:
    reader, recipient = await city.person(ADULT), await city.person(ADULT, sgb2=True)
    await city.household("registered_household", reader, recipient)
    await city.assess(reader)
    decision = await city.decision(reader, BILDUNG)
    said = await explained(client, decision, await at_the_desk(city, vault, reader))
    texts = {
        rested["fact"]: rested["text"]
        for rested in said["rests_on"]
        if rested["of_household"] == "registered_household"
    }
    # A member does receive it, and no member receives it with all else that this ground asks for.
    assert texts["sgb2"] == (
        "Grundsicherungsgeld: bei keinem Mitglied Ihres Haushalts zusammen mit allem, was sonst nötig ist"
        " (der gemeinsame Haushalt)"
    )
    assert texts["kiz"] == "Kinderzuschlag: bei keinem Mitglied Ihres Haushalts (der gemeinsame Haushalt)"


CHANGES = "sich etwas an dem ändert, was über Ihren Haushalt bekannt ist (der gemeinsame Haushalt)"
KEPT_BACK = "Es kommt auch auf das an, was über Ihren Haushalt bekannt ist (der gemeinsame Haushalt)"


async def flat(city: City, born: date = ADULT, **stated: bool) -> tuple[UUID, UUID]:
    """Two of whom the registration office says that they live together; and what is stated of the other one."""
    reader, other = await city.person(born), await city.person(ADULT, **stated)
    await city.household("registered_household", reader, other)
    await city.assess(reader, other)
    return reader, other


@pytest.mark.parametrize(("programme", "born"), [(KARTE, ADULT), (BILDUNG, ADULT), (BILDUNG, CHILD)])
async def test_who_shares_a_flat_does_not_read_what_the_other_receives_or_does_not(
    client: Client, city: City, vault: Vault, programme: str, born: date
) -> None:
    told = []
    for stated in ({}, {"sgb2": True, "kindergeld_recipient": True}, {"kiz": True}):
        reader, other = await flat(city, born, **stated)
        said = await explained(
            client, await city.decision(reader, programme), await citizen(city, vault, reader)
        )
        assert str(other) not in str(said)
        assert said["reproduced"]
        lines = [rested for rested in said["rests_on"] if rested["of_household"] == "registered_household"]
        assert [(line["fact"], line["value"], line["text"]) for line in lines] == [
            ("registered_household", None, KEPT_BACK)
        ]
        changes = [change for way in said["what_would_grant"] for change in way["changes"]]
        assert not [one for one in changes if one["of_household"] == "registered_household"]
        rests_on = [(line["fact"], line["value"], line["of_household"]) for line in said["rests_on"]]
        told.append([rests_on, said["what_would_grant"]])
    # Whatever is known of the other one, the same is read.
    assert told[0] == told[1] == told[2]


async def test_who_holds_it_through_the_other_one_reads_that_it_comes_of_the_household(
    client: Client, city: City, vault: Vault
) -> None:
    reader, other = await flat(city, elternbeitrag_befreit=True)
    decision = await city.decision(reader, KARTE)
    assert decision.outcome is Outcome.GRANTED
    said = await explained(client, decision, await citizen(city, vault, reader))
    assert said["rests_on"][-1]["text"] == KEPT_BACK
    assert "elternbeitrag" not in str([said["rests_on"], said["what_would_end"]])
    assert {way["text"] for way in said["what_would_end"]} == {
        "Der Anspruch endet, wenn die Meldebehörde mitteilt: die Hauptwohnung in der Stadt – nein.",
        f"Der Anspruch endet, wenn {CHANGES}.",
    }
    everything = await client.get(
        "/v1/entitlements/?explain=true", headers=await citizen(city, vault, reader)
    )
    (karte,) = [one for one in everything.json() if one["programme"] == KARTE]
    assert karte["explanation"]["rests_on"] == said["rests_on"]
    # A case worker at the desk reads whose it is; their own look at home shows them nothing.
    seen = await explained(client, decision, await at_the_desk(city, vault, reader))
    (theirs,) = [rested for rested in seen["rests_on"] if rested["of_household"]]
    assert (theirs["fact"], theirs["member_id"]) == ("elternbeitrag_befreit", str(other))


@pytest.mark.parametrize("language", ["de-simple", "en"])
async def test_it_is_kept_back_in_every_language(
    client: Client, city: City, vault: Vault, language: str
) -> None:
    reader, _ = await flat(city, elternbeitrag_befreit=True)
    headers = await citizen(city, vault, reader)
    said = await explained(client, await city.decision(reader, KARTE), headers, language)
    kept_back = {
        "de-simple": (
            "Wir wissen etwas über die Menschen",
            "Bei den Menschen in Ihrer Wohnung ändert sich etwas.",
        ),
        "en": (
            "It also depends on what is known",
            "if something changes in what is known about your household",
        ),
    }[language]
    assert said["rests_on"][-1]["text"].startswith(kept_back[0])
    assert any(kept_back[1] in way["text"] for way in said["what_would_end"])


async def test_parents_read_what_is_known_of_their_own_minor_children(
    client: Client, city: City, vault: Vault
) -> None:
    mother, child = await city.person(ADULT), await city.person(CHILD, elternbeitrag_befreit=True)
    await city.household("registered_household", mother, child)
    async with city.database.writing() as session:
        await make_guardian(
            session, None, mother, child, since=CHILD, until=date(2033, 2, 28), now=city.clock.now()
        )
    await city.assess(mother, child)
    decision, headers = await city.decision(mother, KARTE), await citizen(city, vault, mother)
    said = await explained(client, decision, headers)
    (theirs,) = [rested for rested in said["rests_on"] if rested["of_household"]]
    assert theirs["fact"] == "elternbeitrag_befreit"
    assert "bei einem Mitglied Ihres Haushalts" in theirs["text"]
    # Once the child is of age, it is somebody else at the same address.
    city.clock.at = city.clock.at.replace(year=2033, month=3)
    said = await explained(client, decision, await citizen(city, vault, mother))
    assert said["rests_on"][-1]["text"] == KEPT_BACK


async def test_a_child_does_not_read_what_the_parents_receive_and_the_parent_who_acts_for_it_does(
    client: Client, city: City, vault: Vault
) -> None:
    mother, father = await city.person(ADULT, kiz=True), await city.person(ADULT, elternbeitrag_befreit=True)
    child = await city.person(CHILD, kindergeld=True, school_stage="sek1")
    await city.household("registered_household", mother, father, child)
    async with city.database.writing() as session:
        await make_guardian(
            session, None, mother, child, since=CHILD, until=date(2033, 2, 28), now=city.clock.now()
        )
    await city.assess(child)
    decision = await city.decision(child, KARTE)
    said = await explained(client, decision, await citizen(city, vault, child))
    assert not {rested["fact"] for rested in said["rests_on"]} & {"kiz", "elternbeitrag_befreit"}
    acting = await citizen(city, vault, mother) | {"Acting-For": str(child)}
    said = await explained(client, decision, acting)
    # It is the mother's own; what the father has is not hers to read.
    assert "kiz" in {rested["fact"] for rested in said["rests_on"]}
    assert "elternbeitrag_befreit" not in str([said["rests_on"], said["what_would_end"]])


async def test_nobody_is_told_to_be_born_another_day(client: Client, city: City, vault: Vault) -> None:
    person, of_age = await city.person(date(2003, 1, 1), sgb2=True), await city.person(ADULT, sgb2=True)
    await city.assess(person, of_age)
    said = await explained(client, await city.decision(person, BILDUNG), await citizen(city, vault, person))
    assert said["decision"]["outcome"] == "refused"
    changed = {change["fact"] for way in said["what_would_grant"] for change in way["changes"]}
    assert changed == {"school_stage"}
    said = await explained(client, await city.decision(of_age, BILDUNG), await citizen(city, vault, of_age))
    assert (said["decision"]["outcome"], said["what_would_grant"]) == ("refused", [])


async def test_guardians_read_a_childs_explanation_and_strangers_find_none(
    client: Client, city: City, vault: Vault
) -> None:
    mother, child, stranger = (
        await city.person(ADULT, sgb2=True),
        await city.person(CHILD, sgb2=True, school_stage="primary"),
        await city.person(ADULT),
    )
    async with city.database.writing() as session:
        await make_guardian(
            session, None, mother, child, since=CHILD, until=date(2033, 2, 28), now=city.clock.now()
        )
    await city.assess(mother, child)
    decision = await city.decision(child, BILDUNG)
    path = f"/v1/decisions/{decision.id}/explanation"
    acting = await citizen(city, vault, mother) | {"Acting-For": str(child)}
    assert (await client.get(path, headers=acting)).status_code == 200
    for headers in (
        await citizen(city, vault, mother),
        await citizen(city, vault, stranger),
        await citizen(city, vault, stranger) | {"Acting-For": str(child)},
    ):
        assert (await client.get(path, headers=headers)).status_code == 404


async def test_an_explanation_is_of_the_decision_and_not_of_what_was_learned_since(
    client: Client, city: City, vault: Vault
) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    first = await city.decision(person, PASS)
    city.clock.forward(timedelta(days=3))
    await city.state(person, sgb2=False)
    await city.assess(person)
    headers = await citizen(city, vault, person)
    said = await explained(client, first, headers)
    assert (said["stands"], said["reproduced"], said["decision"]["outcome"]) == (False, True, "granted")
    assert [(rested["fact"], rested["value"]) for rested in said["rests_on"]] == [("sgb2", "true")]
    now = await explained(client, await city.decision(person, PASS), headers)
    assert (now["stands"], now["decision"]["outcome"]) == (True, "refused")


async def test_the_whole_overview_explains_itself_when_asked(
    client: Client, city: City, vault: Vault
) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    headers = await citizen(city, vault, person)
    short = (await client.get("/v1/entitlements/", headers=headers)).json()
    assert {one["explanation"] for one in short} == {None}
    full = (await client.get("/v1/entitlements/?explain=true", headers=headers)).json()
    assert all(one["explanation"]["reproduced"] for one in full)
    assert [one["explanation"]["decision"]["programme"] for one in full] == [o["programme"] for o in full]


async def test_an_explanation_costs_one_statement_besides_who_asks(city: City) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    decision = await city.decision(person, KARTE)

    async def explain() -> explaining.Explanation:
        async with city.database.reading() as session:
            return await explaining.explain(session, await explaining.ask(session, person, decision.id))

    await explain()
    statements: list[str] = []
    engine = (city.database._readers if city.database.is_sqlite else city.database.engine).sync_engine

    def heard(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", heard)
    found = await explain()
    event.remove(engine, "before_cursor_execute", heard)
    assert found.reproduced
    assert len([s for s in statements if not s.startswith("BEGIN")]) == 1


def without_housing_benefit(since: date) -> Rulebook:
    """The rulebook with a stricter Sozialpass from a day on."""
    book = dortmund()
    rules = book.programmes[PASS]
    before = replace(rules.versions[-1], until=since - timedelta(days=1))
    stricter = replace(
        rules.versions[-1],
        since=since,
        grounds=tuple(ground for ground in before.grounds if ground.name != "wog"),
    )
    changed = replace(rules, versions=(*rules.versions[:-1], before, stricter))
    return replace(book, programmes={**book.programmes, PASS: changed})


# --- replay -------------------------------------------------------------------------------------------------


async def test_years_later_every_decision_comes_out_the_same_bit_for_bit(
    client: Client, silent_city: City, vault: Vault
) -> None:
    """After corrections of the past, a merge, a household that split, and a law that renamed a benefit."""
    city = silent_city
    city.clock.at = city.clock.at.replace(month=6, day=10)
    await city.lists_complete(*city.registers)
    mother = await city.person(ADULT, sgb2=True)
    double = await city.person(ADULT, residence=False, bafoeg=True)
    child = await city.person(CHILD, kindergeld=True, school_stage="primary")
    await city.household("bedarfsgemeinschaft", mother, child)
    await city.assess(mother, double)
    early = [d for p in (mother, double, child) for d in await city.decisions(p)]
    assert len(early) == 3 * len(dortmund().programmes)
    city.clock.forward(timedelta(days=20))
    await city.state(mother, since=date(2026, 2, 1), until=date(2026, 5, 31), sgb2=True)
    await city.state(mother, since=date(2026, 6, 1), sgb2=False)
    await city.assess(mother)
    city.clock.forward(timedelta(minutes=1))
    async with city.database.writing() as session:
        await merge(session, None, double, mother, city.clock.now())
    await city.assess(mother)
    city.clock.forward(timedelta(days=1))
    await city.household("bedarfsgemeinschaft", child, since=date(2026, 7, 1))
    await city.state(child, since=date(2026, 7, 1), sgb12_hlu=True)
    await city.assess(mother, child)
    later = [d for p in (mother, child) for d in await city.decisions(p) if d not in early]
    assert len(later) >= 5

    city.clock.forward(timedelta(days=3 * 365))
    async with city.database.writing() as session:
        await rulebook.load(session, without_housing_benefit(date(2028, 1, 1)), city.clock.now())
    await city.assess(mother, child)
    auditor = await sign_in(city.database, vault, city.clock.now(), Role.AUDITOR)
    for decision in (*early, *later):
        answer = await client.get(f"/v1/decisions/{decision.id}/replay", headers=auditor)
        assert answer.status_code == 200
        assert answer.json()["same"] is True, answer.json()
    # A benefit is called what it was called when it was decided.
    first = next(d for d in early if d.person_id == mother and d.programme == PASS)
    said = await explained(client, first, await citizen(city, vault, mother))
    assert [rested["label"] for rested in said["rests_on"]] == ["Bürgergeld"]
    assert said["reproduced"] is True


@pytest.mark.parametrize("part", ["facts", "parameters", "ruling"])
async def test_a_replay_says_what_is_no_longer_the_same(
    client: Client, city: City, vault: Vault, part: str
) -> None:
    person = await city.person(ADULT, sgb2=True)
    await city.assess(person)
    decision_id = (await city.decision(person, KARTE)).id
    async with city.database.writing() as session:
        row = await session.get_one(Decision, decision_id)
        match part:
            case "facts":
                row.facts_hash = "0" * 64
            case "parameters":
                row.parameter_hash = "0" * 64
            case _:
                row.outcome = Outcome.REFUSED
        session.add(row)
    auditor = await sign_in(city.database, vault, city.clock.now(), Role.AUDITOR)
    said = (await client.get(f"/v1/decisions/{decision_id}/replay", headers=auditor)).json()
    assert said["same"] is False
    assert [name for name in ("rule", "parameters", "facts", "ruling") if not said[f"same_{name}"]] == [part]
    headers = await citizen(city, vault, person)
    assert (await client.get(f"/v1/decisions/{decision_id}/replay", headers=headers)).status_code == 403
    if part != "ruling":
        why = await explained(client, row, headers)
        assert (why["reproduced"], why["rests_on"], why["what_would_grant"]) == (False, [], [])


def test_a_fact_that_the_rule_does_not_look_at_has_no_part_in_the_hash() -> None:
    (version,) = dortmund().programmes[PASS].versions
    stated = Stated(True, date(2026, 1, 1), None, "jobcenter", datetime(2026, 1, 1, tzinfo=UTC))
    known = Subject("p", {"sgb2": stated}, {"wohngeld_household": (Subject("p", {"sgb2": stated}),)})
    later = Subject("p", {"sgb2": stated, "new_kind_of_fact": stated}, {**known.households, "new_kind": ()})
    assert facts_hash(version, later) == facts_hash(version, known)
    less = Subject("p", {}, known.households)
    assert facts_hash(version, less) != facts_hash(version, known)
