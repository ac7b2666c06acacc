"""The days on which rules turn, told one by one: birthdays, 29 February, the clock's changes, the ends of months."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

import pytest

from entitlements.language import Known, Result, Stated, Subject, Unknown, Value, evaluate, parse
from entitlements.language.sql.together import Case, Together
from tests.entitlements.language.worlds import VOCABULARY

LEARNED = datetime(2026, 1, 1, tzinfo=UTC)
UNSURE = Unknown(frozenset({"birth_date_precise"}))


def born(first: str, last: str = "") -> Subject:
    days = {"birth_date": first} | ({"birth_date_latest": last} if last else {})
    return Subject(
        "p",
        {name: Stated(date.fromisoformat(day), date.min, None, "", LEARNED) for name, day in days.items()},
    )


def holding(since: str, until: str | None) -> Subject:
    last = None if until is None else date.fromisoformat(until)
    return Subject("p", {"a": Stated(True, date.fromisoformat(since), last, "", LEARNED)})


def said(text: str, who: Subject, on: str) -> Result:
    """What both back ends say."""
    tree, day, nothing = parse(text, VOCABULARY), date.fromisoformat(on), dict[str, Value]()
    parameters: Mapping[str, Value] = nothing
    with Together() as together:
        [by_sql] = together.answers([Case(tree, who)], parameters, day)
    assert evaluate(tree, who, parameters, day) == by_sql
    return by_sql


@pytest.mark.parametrize(
    ("years", "birth", "on", "under"),
    [
        pytest.param(18, "2008-09-16", "2026-09-15", True, id="the day before the 18th birthday"),
        pytest.param(18, "2008-09-16", "2026-09-16", False, id="the 18th birthday"),
        pytest.param(18, "2008-09-16", "2026-09-17", False, id="the day after the 18th birthday"),
        pytest.param(25, "2001-09-16", "2026-09-15", True, id="the day before the 25th birthday"),
        pytest.param(25, "2001-09-16", "2026-09-16", False, id="the 25th birthday"),
        pytest.param(25, "2001-09-16", "2026-09-17", False, id="the day after the 25th birthday"),
        pytest.param(18, "2008-02-29", "2026-02-28", True, id="born on 29 February, in a common year on the 28th"),
        pytest.param(18, "2008-02-29", "2026-03-01", False, id="born on 29 February, in a common year on 1 March"),
        pytest.param(20, "2008-02-29", "2028-02-28", True, id="born on 29 February, in a leap year on the 28th"),
        pytest.param(20, "2008-02-29", "2028-02-29", False, id="born on 29 February, in a leap year on the 29th"),
        pytest.param(18, "2010-02-28", "2028-02-28", False, id="born on 28 February, in a leap year on the 28th"),
        pytest.param(18, "2010-03-01", "2028-02-29", True, id="born on 1 March, in a leap year on the 29th"),
        pytest.param(18, "2010-03-01", "2028-03-01", False, id="born on 1 March, in a leap year on 1 March"),
        pytest.param(18, "2008-03-29", "2026-03-28", True, id="the day before a birthday when the clock goes forward"),
        pytest.param(18, "2008-03-29", "2026-03-29", False, id="a birthday when the clock goes forward"),
        pytest.param(18, "2008-10-25", "2026-10-24", True, id="the day before a birthday when the clock goes back"),
        pytest.param(18, "2008-10-25", "2026-10-25", False, id="a birthday when the clock goes back"),
        pytest.param(18, "2008-12-31", "2026-12-30", True, id="the day before a birthday on the last of the year"),
        pytest.param(18, "2008-12-31", "2026-12-31", False, id="a birthday on the last of the year"),
        pytest.param(18, "2009-01-01", "2026-12-31", True, id="the last of the year before a birthday on New Year"),
        pytest.param(18, "2009-01-01", "2027-01-01", False, id="a birthday on New Year"),
        pytest.param(0, "2026-09-16", "2026-09-16", False, id="the day of birth completes nothing, and 0 years at once"),
        pytest.param(1, "2026-09-17", "2026-09-16", True, id="not yet born"),
    ],
)  # fmt: skip
def test_an_age_is_completed_on_the_birthday(years: int, birth: str, on: str, under: bool) -> None:
    assert said(f"under(birth_date, {years})", born(birth), on) == Known(under)


@pytest.mark.parametrize(
    ("birth", "on", "under"),
    [
        pytest.param("2008-09-16", "2026-09-01", True, id="on the first of the birthday's month"),
        pytest.param("2008-09-16", "2026-09-16", True, id="on the birthday: the month is still whole"),
        pytest.param("2008-09-16", "2026-09-30", True, id="on the last of the birthday's month"),
        pytest.param("2008-09-16", "2026-10-01", False, id="on the first of the month after"),
        pytest.param(
            "2008-09-01", "2026-08-31", True, id="born on the first, on the last of the month before"
        ),
        pytest.param("2008-09-01", "2026-09-01", False, id="born on the first, on the birthday"),
        pytest.param("2008-02-29", "2026-02-28", True, id="born on 29 February, on the last of February"),
        pytest.param("2008-02-29", "2026-03-01", False, id="born on 29 February, on 1 March"),
        pytest.param("2008-02-29", "2026-02-01", True, id="born on 29 February, on 1 February"),
    ],
)
def test_an_age_that_counts_by_months_turns_on_a_first(birth: str, on: str, under: bool) -> None:
    assert said("under(birth_date, 18, month_start)", born(birth), on) == Known(under)


@pytest.mark.parametrize(
    ("first", "last", "on", "expected"),
    [
        pytest.param("2008-01-01", "2008-12-31", "2025-12-31", Known(True), id="only the year, before it"),
        pytest.param("2008-01-01", "2008-12-31", "2026-01-01", UNSURE, id="only the year, on its first day"),
        pytest.param("2008-01-01", "2008-12-31", "2026-12-30", UNSURE, id="only the year, on its last day but one"),
        pytest.param("2008-01-01", "2008-12-31", "2026-12-31", Known(False), id="only the year, on its last day"),
        pytest.param("2008-09-01", "2008-09-30", "2026-08-31", Known(True), id="only the month, before it"),
        pytest.param("2008-09-01", "2008-09-30", "2026-09-01", UNSURE, id="only the month, on its first day"),
        pytest.param("2008-09-01", "2008-09-30", "2026-09-29", UNSURE, id="only the month, on its last day but one"),
        pytest.param("2008-09-01", "2008-09-30", "2026-09-30", Known(False), id="only the month, on its last day"),
        pytest.param("2008-02-01", "2008-02-29", "2026-02-28", UNSURE, id="only February of a leap year, on the 28th"),
        pytest.param("2008-02-01", "2008-02-29", "2026-03-01", Known(False), id="only February of a leap year, on 1 March"),
        pytest.param("2008-09-16", "2008-09-16", "2026-09-16", Known(False), id="a range of one day"),
    ],
)  # fmt: skip
def test_a_birth_date_known_in_part_is_unsure_only_while_the_limit_lies_inside(
    first: str, last: str, on: str, expected: Result
) -> None:
    assert said("under(birth_date, 18)", born(first, last), on) == expected


@pytest.mark.parametrize(
    ("since", "until", "on", "holds"),
    [
        pytest.param("2026-09-01", "2026-09-30", "2026-08-31", False, id="the last of the month before"),
        pytest.param("2026-09-01", "2026-09-30", "2026-09-01", True, id="the first of the month"),
        pytest.param("2026-09-01", "2026-09-30", "2026-09-30", True, id="the last of the month"),
        pytest.param("2026-09-01", "2026-09-30", "2026-10-01", False, id="the first of the month after"),
        pytest.param("2028-02-01", "2028-02-29", "2028-02-29", True, id="29 February"),
        pytest.param("2028-02-01", "2028-02-29", "2028-03-01", False, id="the day after 29 February"),
        pytest.param(
            "2026-03-29", "2026-03-29", "2026-03-28", False, id="the day before the clock goes forward"
        ),
        pytest.param("2026-03-29", "2026-03-29", "2026-03-29", True, id="the day of 23 hours"),
        pytest.param(
            "2026-03-29", "2026-03-29", "2026-03-30", False, id="the day after the clock went forward"
        ),
        pytest.param(
            "2026-10-25", "2026-10-25", "2026-10-24", False, id="the day before the clock goes back"
        ),
        pytest.param("2026-10-25", "2026-10-25", "2026-10-25", True, id="the day of 25 hours"),
        pytest.param("2026-10-25", "2026-10-25", "2026-10-26", False, id="the day after the clock went back"),
        pytest.param("2026-12-31", None, "2026-12-30", False, id="the day before the last of the year"),
        pytest.param("2026-12-31", None, "2027-01-01", True, id="New Year"),
        pytest.param("2026-01-01", None, "9999-12-31", True, id="the last day there is"),
    ],
)
def test_a_statement_holds_from_its_first_to_its_last_day(
    since: str, until: str | None, on: str, holds: bool
) -> None:
    assert said("a", holding(since, until), on) == Known(holds)
    assert said("until(a)", holding(since, until), on) == Known(date.fromisoformat(until or "9999-12-31"))
