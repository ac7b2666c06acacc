"""What would change a decision is something that can be: nobody of age is told to go to a nursery."""

from datetime import date
from typing import Any

import pytest

from entitlements.decisions.changing import MOST_FACTS, MOST_WAYS, Way, ways_to_grant
from entitlements.facts.catalogue import CATALOGUE, RULEBOOKS
from entitlements.language import Subject
from entitlements.rulebook.cases import subject_of
from entitlements.rulebook.programmes import Outcome, WorkedCase
from entitlements.rulebook.rules import outcome_of
from tests.rulebooks import rulebook_of

ON = date(2026, 9, 16)
CITIES = sorted(path.parent.name for path in RULEBOOKS.glob("*/rulebook.yaml"))
PEOPLE: dict[str, dict[str, Any]] = {
    "a baby": {"birth_date": date(2026, 1, 1)},
    "a child of three": {"birth_date": date(2023, 1, 1)},
    "a pupil of ten": {"birth_date": date(2016, 1, 1), "school_stage": "primary", "school_full_time": True},
    "a pupil of sixteen": {"birth_date": date(2010, 1, 1), "school_stage": "sek1", "school_full_time": True},
    "an apprentice": {"birth_date": date(2007, 1, 1), "school_stage": "bk_part", "training_pay": True},
    "a student": {"birth_date": date(2004, 1, 1)},
    "somebody of forty": {"birth_date": date(1986, 1, 1), "sgb2": True},
    "a pensioner": {"birth_date": date(1950, 1, 1)},
    "a pensioner on basic income": {"birth_date": date(1950, 1, 1), "sgb12_gsi": True},
}
FAMILY = {"registered_household": ({"birth_date": date(1988, 1, 1)}, {"birth_date": date(2018, 1, 1)})}


def somebody(
    facts: dict[str, Any], households: dict[str, tuple[dict[str, Any], ...]] | None = None
) -> Subject:
    """Somebody who lives here, and of whom no register states more than this."""
    known = {"main_residence": True} | facts
    return subject_of(WorkedCase("", "", ON, known, households or {}, True, {}, "", 0))


def ways(city: str, programme: str, whom: Subject) -> tuple[Way, ...]:
    """What would grant it; programmes that wait for another are asked as if that had come out as needed."""
    book = rulebook_of(city)
    version = book.programmes[programme].on(ON)
    assert version is not None
    others = {needed.programme: Outcome(needed.outcomes[0]) for needed in version.depends_on}
    if outcome_of(version, whom, book.parameters_on(ON), ON, others) is Outcome.GRANTED:
        return ()
    return ways_to_grant(version, whom, book.parameters_on(ON), ON, others)


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("city", CITIES)
def test_nobody_is_told_what_can_be_of_another_age_only(city: str, who: str) -> None:
    for around in ({}, FAMILY):
        whom = somebody(PEOPLE[who], around)
        members = {member.key: member for member in whom.households["registered_household"]}
        for programme in rulebook_of(city).programmes:
            found = ways(city, programme, whom)
            assert len(found) <= MOST_WAYS
            for way in found:
                assert 0 < len(way) <= MOST_FACTS
                for change in way:
                    of = whom if not change.household else members.get(change.member)
                    born = of.facts["birth_date"].value if of is not None else None
                    ages = CATALOGUE[change.fact].ages.get(change.value)
                    assert ages is None or not isinstance(born, date) or ages.fit(born, ON), (
                        programme,
                        change,
                    )


def test_a_pensioner_is_told_of_nothing_that_would_bring_the_education_card() -> None:
    for who in ("a pensioner", "a pensioner on basic income", "somebody of forty"):
        assert ways("dortmund", "bildungskarte", somebody(PEOPLE[who])) == ()
        assert ways("dortmund", "deutschlandticket-schule", somebody(PEOPLE[who])) == ()


def test_a_pensioner_is_told_of_what_people_of_that_age_can_receive() -> None:
    found = ways("dortmund", "dortmund-karte", somebody(PEOPLE["a pensioner"]))
    facts = {change.fact for way in found for change in way}
    assert "sgb12_gsi" in facts
    assert not facts & {"sgb2", "sgb8_wjh", "bafoeg"}


def test_a_pupil_is_told_of_a_school_of_their_age() -> None:
    student = somebody({"birth_date": date(2004, 1, 1), "sgb2": True})
    found = ways("dortmund", "bildungskarte", student)
    stages = {change.value for way in found for change in way if change.fact == "school_stage"}
    assert stages == {"sek2"}


def test_who_has_no_known_birthday_is_told_what_the_rule_says() -> None:
    unknown = somebody({"sgb2": True})
    found = ways("dortmund", "sozialpass", somebody({}))
    assert unknown.facts.get("birth_date") is None
    assert {change.fact for way in found for change in way} >= {"sgb2"}
