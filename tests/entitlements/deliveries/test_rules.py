import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entitlements.deliveries.rules import (
    COLUMNS,
    FactSaid,
    Frame,
    HouseholdSaid,
    PersonSaid,
    Refused,
    Result,
    held_back,
    read_cells,
    read_json,
)
from entitlements.facts.catalogue import CATALOGUE
from entitlements.facts.rules import OPEN
from entitlements.registers.rules import Remit

AS_OF = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)
ALL = Remit(
    frozenset(CATALOGUE), frozenset({"registered_household"}), identities=True, identification_numbers=True
)
FRAME = Frame(ALL, AS_OF, AS_OF.date(), full=False, latest=AS_OF + timedelta(minutes=5))


def said(row: Any, frame: Frame = FRAME) -> Any:
    return read_json(json.dumps(row).encode(), frame)


def test_a_fact_holds_from_its_first_to_its_last_day() -> None:
    one = said(
        {
            "row": "fact",
            "number": " J-1 ",
            "fact": "sgb2",
            "value": True,
            "from": "2026-01-01",
            "until": "2026-06-30",
        }
    )
    assert isinstance(one, FactSaid)
    assert (one.number, one.values) == ("J-1", {"sgb2": True})
    assert (one.first, one.following, one.stated_at) == (date(2026, 1, 1), date(2026, 7, 1), AS_OF)


def test_a_fact_without_days_begins_on_the_day_of_the_delivery_and_stays_open() -> None:
    one = said({"row": "fact", "number": "J-1", "fact": "sgb2", "value": False})
    assert (one.first, one.following) == (AS_OF.date(), OPEN)


def test_a_birth_date_that_is_known_in_part_says_two_days() -> None:
    one = said({"row": "fact", "number": "J-1", "fact": "birth_date", "value": "1990-02-00"})
    assert one.values == {"birth_date": date(1990, 2, 1), "birth_date_latest": date(1990, 2, 28)}


def test_taking_back_takes_back_both() -> None:
    one = said({"row": "fact", "number": "J-1", "fact": "birth_date", "withdraw": True})
    assert one.values == {"birth_date": None, "birth_date_latest": None}


def test_a_fact_about_a_household_names_the_household() -> None:
    one = said({"row": "fact", "household": "H-1", "fact": "household_need", "value": 95_000})
    assert (one.household, one.household_kind, one.number) == ("H-1", "registered_household", None)
    assert said({"row": "fact", "number": "J-1", "fact": "household_need", "value": 1}) == Refused(
        Result.BAD_NUMBER
    )


def test_members_are_named_once_each() -> None:
    one = said(
        {"row": "household", "household": "H-1", "kind": "registered_household", "members": ["a", "b", "a"]}
    )
    assert isinstance(one, HouseholdSaid)
    assert one.members == ("a", "b")


def test_names_are_kept_in_one_spelling_of_their_letters() -> None:
    one = said({"row": "person", "number": "P-1", "given_name": "Zoe\u0308", "family_name": "N\u0303ez"})
    assert isinstance(one, PersonSaid)
    assert one.identity is not None
    assert one.identity.name == "Zo\u00eb \u00d1ez"


def test_in_a_complete_list_everything_is_stated_at_its_moment() -> None:
    row = {
        "row": "fact",
        "number": "J-1",
        "fact": "sgb2",
        "value": True,
        "stated_at": "2026-01-01T00:00:00+01:00",
    }
    assert said(row).stated_at == datetime(2025, 12, 31, 23, tzinfo=UTC)
    assert said(row, Frame(ALL, AS_OF, AS_OF.date(), full=True, latest=AS_OF)).stated_at == AS_OF


@pytest.mark.parametrize(
    ("change", "result"),
    [
        ({"fact": "shoe_size"}, Result.UNKNOWN_FACT),
        ({"value": "yes"}, Result.WRONG_TYPE),
        ({"value": 1.5}, Result.WRONG_TYPE),
        ({"value": None}, Result.WRONG_TYPE),
        ({"value": [True]}, Result.WRONG_TYPE),
        ({"from": "2026-13-01"}, Result.BAD_DAYS),
        ({"from": "20260101"}, Result.BAD_DAYS),
        ({"from": "1066-10-14"}, Result.BAD_DAYS),
        ({"from": "2026-02-01", "until": "2026-01-31"}, Result.BAD_DAYS),
        ({"stated_at": "2026-09-16"}, Result.BAD_MOMENT),
        ({"stated_at": "2027-09-16T10:00:00Z"}, Result.BAD_MOMENT),
        ({"number": ""}, Result.BAD_NUMBER),
        ({"number": 17}, Result.BAD_NUMBER),
        ({"number": "a\u0000b"}, Result.BAD_NUMBER),
        ({"number": "x" * 65}, Result.BAD_NUMBER),
        ({"withdraw": True}, Result.MALFORMED),
        ({"withdraw": "no"}, Result.MALFORMED),
        ({"household": "H-1"}, Result.MALFORMED),
        ({"members": []}, Result.MALFORMED),
        ({"row": "person"}, Result.MALFORMED),
        ({"row": None}, Result.MALFORMED),
    ],
)
def test_a_row_that_cannot_be_taken_says_why(change: dict[str, Any], result: Result) -> None:
    row = {"row": "fact", "number": "J-1", "fact": "sgb2", "value": True} | change
    one = said(row)
    assert isinstance(one, Refused)
    assert one.result is result


def test_what_is_not_in_the_remit_is_not_taken() -> None:
    narrow = Frame(Remit(frozenset({"sgb2"})), AS_OF, AS_OF.date(), full=False, latest=AS_OF)
    assert (
        said({"row": "fact", "number": "1", "fact": "kiz", "value": True}, narrow).result
        is Result.NOT_IN_REMIT
    )
    assert said({"row": "person", "number": "1", "town": "x"}, narrow).result is Result.NOT_IN_REMIT
    number = {"row": "person", "number": "1", "identification_number": "12345678901"}
    assert said(number, narrow).result is Result.NOT_IN_REMIT
    home = {"row": "household", "household": "1", "kind": "registered_household", "members": []}
    assert said(home, narrow).result is Result.NOT_IN_REMIT


@pytest.mark.parametrize("number", ["00000000000", "11111111111", "99999999999"])
def test_an_identification_number_that_stands_for_none_makes_nobody_one_person(number: str) -> None:
    row = {"row": "person", "number": "J-1", "identification_number": number}
    assert said(row) == Refused(Result.WRONG_TYPE, "J-1")


@pytest.mark.parametrize(
    "day", ["2026-W01-1", "2026W011", "20260101", "2026-1-1", "٢٠٢٦-01-01", " 2026-01-01"]
)
def test_a_day_is_written_in_one_way(day: str) -> None:
    row = {"row": "fact", "number": "J-1", "fact": "sgb2", "value": True, "from": day}
    assert said(row) == Refused(Result.BAD_DAYS, "J-1")


def test_a_refused_row_still_says_whom_it_was_about() -> None:
    assert said({"row": "fact", "number": "J-1", "fact": "sgb2", "value": "?"}) == Refused(
        Result.WRONG_TYPE, "J-1"
    )
    assert said({"row": "fact", "number": "J-1", "fact": "sgb-2", "value": True}) == Refused(
        Result.UNKNOWN_FACT, "J-1"
    )
    home = {
        "row": "household",
        "household": "H-1",
        "kind": "home",
        "members": ["a", 1, "b", "a"],
        "from": "x",
    }
    whose = (("H-1", "registered_household"),), ("a", "b")
    assert said(home) == Refused(Result.UNKNOWN_HOUSEHOLD_KIND, None, *whose)
    home |= {"kind": "registered_household", "members": ["a", "b"]}
    assert said(home) == Refused(Result.BAD_DAYS, None, *whose)
    need = {"row": "fact", "household": "H-1", "fact": "household_need", "value": "much"}
    assert said(need) == Refused(Result.WRONG_TYPE, None, whose[0])
    assert said({"row": "fact", "number": 7, "fact": "sgb-2", "value": True}) == Refused(Result.UNKNOWN_FACT)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"17",
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"row":' * 5_000,
        b"1e999",
        b'"\\ud800"',
    ],
)
def test_no_line_breaks_the_reader(line: bytes) -> None:
    assert read_json(line, FRAME) == Refused(Result.MALFORMED)


@given(st.binary(max_size=200))
def test_any_bytes_are_answered(line: bytes) -> None:
    assert isinstance(read_json(line, FRAME), FactSaid | PersonSaid | HouseholdSaid | Refused)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(sorted(CATALOGUE)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries(
        {"row": st.sampled_from(["fact", "person", "household"])},
        optional=dict.fromkeys(COLUMNS - {"row"}, anything),
    )
)
@example({"row": "household", "kind": []})
def test_any_members_are_answered(row: dict[str, Any]) -> None:
    one = said(row)
    assert isinstance(one, FactSaid | PersonSaid | HouseholdSaid | Refused)
    if isinstance(one, FactSaid):
        assert one.first < one.following


@given(st.lists(st.text(max_size=10), min_size=3, max_size=5))
def test_any_cells_are_answered(cells: list[str]) -> None:
    one = read_cells(["row", "number", "value", "members"], cells, FRAME)
    assert isinstance(one, Refused)


def test_a_person_must_look_when_a_complete_list_ends_much() -> None:
    assert held_back(6, 100, 0.05, full=True)
    assert not held_back(5, 100, 0.05, full=True)
    assert held_back(1, 1, 0.05, full=True)


def test_a_few_ends_that_were_each_written_down_need_no_second_look() -> None:
    assert not held_back(9, 9, 0.05, full=False)
    assert held_back(10, 100, 0.05, full=False)
    assert not held_back(0, 0, 0.05, full=True)


@pytest.mark.parametrize("day", ["9999-12-31", "2026-09-17", "2027-00-00", "1879-12-31", "0001-01-01"])
@pytest.mark.parametrize("form", ["person", "fact"])
def test_nobody_is_born_after_today_or_long_before_everybody_who_lives(day: str, form: str) -> None:
    row = {"row": form, "number": "P-1"}
    row |= {"fact": "birth_date", "value": day} if form == "fact" else {"given_name": "A", "birth_date": day}
    answer = said(row)
    assert isinstance(answer, Refused)
    assert answer.result is Result.BAD_DAYS


def test_somebody_born_today_is_taken() -> None:
    assert isinstance(said({"row": "person", "number": "P-1", "birth_date": "2026-09-16"}), PersonSaid)


@pytest.mark.parametrize(
    "line",
    [
        b'{"row": "fact", "number": "J-1", "number": "J-2", "fact": "sgb2", "value": true}',
        b'{"row": "fact", "number": "J-1", "fact": "sgb2", "value": true, "value": false}',
        '{"row": "fact", "number": "J-1", "fact": "sgb2", "value": true}'.encode("utf-16"),
    ],
)
def test_a_line_that_could_mean_two_things_is_not_guessed_at(line: bytes) -> None:
    answer = read_json(line, FRAME)
    assert isinstance(answer, Refused)
    assert answer.result is Result.MALFORMED


def test_an_identification_number_is_written_in_plain_digits() -> None:
    answer = said({"row": "person", "number": "P-1", "identification_number": "١٢٣٤٥٦٧٨٩٠١"})
    assert isinstance(answer, Refused)
    assert answer.result is Result.BAD_NUMBER
