"""The fact catalogue: what is in it, and how a delivered value becomes a typed one."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entitlements.facts.catalogue import (
    CATALOGUE,
    HOUSEHOLDS,
    LANGUAGES,
    REGISTERS,
    RULEBOOKS,
    CatalogueError,
    ValueNotReadable,
    department_to_ask,
    label_of,
    load_catalogue,
    vocabulary,
)
from entitlements.language import Kind, parse


def test_every_benefit_is_a_fact_of_its_own_with_a_department_that_lists_all() -> None:
    benefits = (
        *("sgb2", "sgb12_hlu", "sgb12_gsi", "asylblg_2", "asylblg_3", "sgb8_wjh", "kiz", "wog"),
        *("bafoeg", "sgb14", "elternbeitrag_befreit", "kindergeld"),
    )
    for name in benefits:
        kind = CATALOGUE[name]
        assert (kind.type, kind.listing, kind.absent, kind.about) == (
            Kind.BOOL,
            "exhaustive",
            False,
            "person",
        )
        assert kind.suppliers


def test_every_thing_has_a_name_in_every_language() -> None:
    for thing in (*CATALOGUE.values(), *HOUSEHOLDS.values(), *REGISTERS.values()):
        for language in LANGUAGES:
            assert thing.label(language).strip(), thing.name
    assert all(register.department for register in REGISTERS.values())


def test_the_three_kinds_of_household_are_kept_apart() -> None:
    assert set(HOUSEHOLDS) == {"registered_household", "bedarfsgemeinschaft", "wohngeld_household"}


def test_a_benefit_is_called_as_the_law_called_it_on_that_day() -> None:
    assert label_of("sgb2", "de", date(2022, 12, 31)) == "Arbeitslosengeld II oder Sozialgeld"
    assert label_of("sgb2", "de", date(2026, 6, 30)) == "Bürgergeld"
    assert label_of("sgb2", "de", date(2026, 7, 1)) == label_of("sgb2", "de") == "Grundsicherungsgeld"


def test_whatever_is_missing_has_a_department_to_ask() -> None:
    assert department_to_ask("sgb2") == "jobcenter"
    assert department_to_ask("birth_date_precise") == "melderegister"
    assert department_to_ask("wohngeld_household") == "wohngeldstelle"
    assert {department_to_ask(name) for name in (*CATALOGUE, *HOUSEHOLDS)} <= set(REGISTERS)


@pytest.mark.parametrize(
    ("fact", "given_value", "expected"),
    [
        ("sgb2", True, {"sgb2": True}),
        ("sgb2", "false", {"sgb2": False}),
        ("school_route_m", 2001, {"school_route_m": 2001}),
        ("school_route_m", " 2001 ", {"school_route_m": 2001}),
        ("household_need", "95000", {"household_need": 95000}),
        ("school_stage", "sek1", {"school_stage": "sek1"}),
        (
            "birth_date",
            "2010-05-04",
            {"birth_date": date(2010, 5, 4), "birth_date_latest": date(2010, 5, 4)},
        ),
        (
            "birth_date",
            "1990-00-00",
            {"birth_date": date(1990, 1, 1), "birth_date_latest": date(1990, 12, 31)},
        ),
        (
            "birth_date",
            "1992-02-00",
            {"birth_date": date(1992, 2, 1), "birth_date_latest": date(1992, 2, 29)},
        ),
        ("birth_date", "1990", {"birth_date": date(1990, 1, 1), "birth_date_latest": date(1990, 12, 31)}),
    ],
)
def test_a_delivered_value_becomes_a_typed_one(fact: str, given_value: object, expected: object) -> None:
    found = CATALOGUE[fact].read(given_value)
    assert found == expected
    assert {type(value) for value in found.values()} == {type(v) for v in dict(expected).values()}  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("fact", "given_value"),
    [
        ("sgb2", 1),
        ("sgb2", "ja"),
        ("sgb2", None),
        ("school_route_m", True),
        ("school_route_m", 1.5),
        ("school_route_m", "12 m"),
        ("school_route_m", 2**63),
        ("school_route_m", "９"),
        ("school_stage", "Grundschule"),
        ("school_stage", 3),
        ("birth_date", "0000-00-00"),
        ("birth_date", "1990-00-12"),
        ("birth_date", "1990-13-01"),
        ("birth_date", "1990-02-30"),
        ("birth_date", "12.05.1990"),
        ("birth_date", 19900512),
        ("birth_date_latest", "1990-00-00"),
    ],
)
def test_what_is_not_of_the_facts_type_is_refused_without_repeating_it(
    fact: str, given_value: object
) -> None:
    with pytest.raises(ValueNotReadable) as caught:
        CATALOGUE[fact].read(given_value)
    assert fact in str(caught.value)
    if isinstance(given_value, str):
        assert given_value not in str(caught.value)


@given(st.sampled_from(sorted(CATALOGUE)), st.text() | st.integers() | st.none() | st.floats() | st.dates())
def test_any_value_is_read_or_refused(fact: str, given_value: object) -> None:
    kind = CATALOGUE[fact]
    try:
        found = kind.read(given_value)
    except ValueNotReadable:
        return
    assert fact in found
    assert kind.read(found[fact])[fact] == found[fact]


def test_rules_can_name_every_fact_and_household() -> None:
    words = vocabulary({})
    for name, kind in CATALOGUE.items():
        if kind.type is Kind.BOOL:
            parse(name, words)
    for household in HOUSEHOLDS:
        parse(f"any_member({household}, sgb2)", words)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("suppliers: [jobcenter]", "suppliers: [nobody]"),
        ("suppliers: [jobcenter]", "suppliers: []"),
        ("absent: none", "absent: missing"),
        ("type: cents", "type: string"),
        ("latest: birth_date_latest", "latest: nothing"),
        ("about: household", "about: city"),
        ("listing: open", "listing: sometimes"),
        ("unit: metres", "units: metres"),
        ("members: [none, primary, sek1, sek2, bk_full, bk_part]", "unit: ''"),
        ("en: child benefit (Kindergeld)", "fr: allocations"),
        ("from: 2023-01-01", "from: 2004-01-01"),
        ("department: Jugendamt", "place: Jugendamt"),
        ("ages: {true: {below: 14}}", "ages: {often: {below: 14}}"),
        ("ages: {true: {below: 14}}", "ages: {true: {under: 14}}"),
    ],
)
def test_a_catalogue_with_a_mistake_is_refused(tmp_path: Path, old: str, new: str) -> None:
    source = (RULEBOOKS / "facts.yaml").read_text(encoding="utf-8")
    assert old in source
    broken = tmp_path / "facts.yaml"
    broken.write_text(source.replace(old, new, 1), encoding="utf-8")
    with pytest.raises((CatalogueError, ValueNotReadable)):
        load_catalogue(broken)


def test_an_age_of_a_value_turns_on_the_birthday() -> None:
    ages = CATALOGUE["childcare_enrolment"].ages[True]
    assert ages.fit(date(2012, 9, 17), date(2026, 9, 16))
    assert not ages.fit(date(2012, 9, 16), date(2026, 9, 16))
    grown = CATALOGUE["sgb12_gsi"].ages[True]
    assert grown.fit(date(2008, 9, 16), date(2026, 9, 16))
    assert not grown.fit(date(2008, 9, 17), date(2026, 9, 16))
    # Not being listed is possible at every age.
    assert False not in CATALOGUE["childcare_enrolment"].ages
