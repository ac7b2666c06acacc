"""The demo city is the same each time, and could be one."""

from collections import Counter
from datetime import date

import pytest

from app.demo.accounts import logins, newcomer
from app.demo.city import REGISTERS, City, Known, Resident
from app.demo.telling import ndjson, remit_of, rows
from core.access.rules import Role
from core.clock import day_of
from entitlements.deliveries.rules import Frame, Said, read_json
from entitlements.facts.catalogue import CATALOGUE
from tests.conftest import NOON

TODAY = date(2026, 9, 16)


@pytest.fixture(scope="module")
def city() -> City:
    return City(TODAY)


def everything(city: City) -> bytes:
    return b"".join(ndjson(rows(city, register)) for register in REGISTERS)


def test_the_same_day_gives_the_same_city(city: City) -> None:
    assert everything(City(TODAY)) == everything(city)


def test_another_seed_gives_another_city(city: City) -> None:
    assert everything(City(TODAY, seed=1)) != everything(city)


def test_it_has_as_many_people_as_were_asked_for(city: City) -> None:
    assert sum(1 for _ in city.residents) == 2000
    assert sum(1 for _ in City(TODAY, persons=150).residents) == 150


def test_no_department_gives_two_people_one_number(city: City) -> None:
    for register in REGISTERS:
        numbers = [resident.number_at(register) for resident in city.residents]
        assert len(set(numbers)) == 2000


def test_parents_are_older_than_their_children(city: City) -> None:
    for home in city.homes:
        if home.kind in {"lone_parent", "couple_children"}:
            parent, *others = home.members
            children = [other for other in others if other.age(TODAY) <= 20 and home.kind == "lone_parent"]
            for child in children:
                assert parent.age(TODAY) - child.age(TODAY) >= 17


def test_nobody_in_a_home_is_called_as_another(city: City) -> None:
    for home in city.homes:
        names = Counter((member.given, member.family) for member in home.members)
        assert names.most_common(1)[0][1] == 1


def test_names_come_in_several_scripts(city: City) -> None:
    letters = {resident.family[0] for resident in city.residents}
    assert any("\u0400" <= letter <= "\u04ff" for letter in letters), "Cyrillic"
    assert any("\u0600" <= letter <= "\u06ff" for letter in letters), "Arabic"
    assert any("\u4e00" <= letter <= "\u9fff" for letter in letters), "Chinese"
    assert any(letter in "ÇŁŞÖÜ" for letter in letters), "Latin with marks"


def test_some_birth_dates_are_known_in_part(city: City) -> None:
    known = Counter(resident.known for resident in city.residents)
    assert known[Known.MONTH]
    assert known[Known.YEAR]
    partial = Resident(1, "Anna", "Becker", date(1990, 5, 7), Known.MONTH)
    assert partial.birth_date == "1990-05-00"


def test_there_are_all_three_kinds_of_households(city: City) -> None:
    kinds = Counter(group.kind for home in city.homes for group in home.groupings)
    assert set(kinds) == {"registered_household", "bedarfsgemeinschaft", "wohngeld_household"}
    assert kinds["registered_household"] == len(city.homes)


def test_a_tenth_of_the_city_lives_on_benefits_or_more(city: City) -> None:
    entitled = {
        resident.number
        for resident in city.residents
        if any(said.fact in {"sgb2", "wog", "sgb12_gsi", "asylblg_3"} for said in resident.facts)
    }
    assert 200 < len(entitled) < 800


@pytest.mark.parametrize("register", REGISTERS)
def test_every_row_can_be_taken_as_it_is(city: City, register: str) -> None:
    frame = Frame(remit_of(register), NOON, day_of(NOON, NOON.tzinfo), full=True, latest=NOON)  # type: ignore[arg-type]
    told = ndjson(rows(city, register)).splitlines()
    assert told
    for line in told:
        assert isinstance(read_json(line, frame), Said), line


def test_departments_state_every_kind_of_fact_but_a_few(city: City) -> None:
    stated = {said.fact for resident in city.residents for said in resident.facts} | {
        "birth_date",
        "birth_date_latest",
    }
    # Nobody has died today, incomes are no fact of the demo, and what only other cities ask is not stated.
    elsewhere = {"early_support", "nursing_home"}
    assert set(CATALOGUE) - stated - elsewhere <= {
        "deceased",
        "household_net_income",
        "household_need",
        "sgb8_wjh",
    }


def test_the_accounts_are_the_same_in_every_city(city: City) -> None:
    names = [login.account.sub for login in logins(city)]
    assert names == [login.account.sub for login in logins(City(TODAY, persons=20))]
    roles = {role for login in logins(city) for role in login.account.roles}
    assert roles == set(Role) - {Role.SCANNER, Role.INTEGRATION_CLIENT}


def test_the_family_has_children_and_lives_on_the_jobcenter(city: City) -> None:
    family = next(login for login in logins(city) if login.account.sub == "familie")
    assert len(family.children) == 2
    assert all(child.age(TODAY) < 18 for child in family.children)
    assert family.resident is not None
    assert any(said.fact == "sgb2" for said in family.resident.facts)


def test_a_newcomer_is_a_citizen_and_nothing_else() -> None:
    account = newcomer("neu-4f2a")
    assert account is not None
    assert account.person is None
    assert set(account.roles) == {Role.CITIZEN, Role.GUARDIAN}
    assert newcomer("betrieb") is None
    assert newcomer("neu-") is None
