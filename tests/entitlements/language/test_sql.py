"""What the SQL back end writes, refuses and is given; that it means what the interpreter means is proven beside this."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    MetaData,
    String,
    Table,
    Uuid,
    false,
    func,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from entitlements.language import (
    Fault,
    Kind,
    Known,
    Mismatch,
    Speakable,
    Stated,
    Subject,
    Tree,
    Type,
    Unknown,
    Value,
    Vocabulary,
    evaluate,
    parse,
)
from entitlements.language import tree as t
from entitlements.language.sql import SAYS, Cell, Compiled, Persons, Rows, Says, Shared, answer, compile_rules

STAGE = Type(Kind.ENUM, "stage")
FACTS = {
    "a": Speakable(t.BOOL),
    "b": Speakable(t.BOOL),
    "dead": Speakable(t.BOOL),
    "n": Speakable(t.INT),
    "m": Speakable(t.INT),
    "word": Speakable(t.STRING),
    "stage": Speakable(STAGE, ("primary", "sek1")),
    "left_on": Speakable(t.DAY),
    "birth_date": Speakable(t.DAY, latest="birth_date_latest"),
    "birth_date_latest": Speakable(t.DAY),
}
PARAMETERS = {"limit": t.INT, "flag": t.BOOL}
VOCABULARY = Vocabulary(FACTS, PARAMETERS, frozenset({"home"}))
AMOUNTS: Mapping[str, Value] = {"limit": 3, "flag": True}
TODAY = date(2026, 9, 16)
LEARNED = datetime(2026, 1, 1, tzinfo=UTC)
CITY = Table(
    "city_of_test",
    MetaData(),
    Column("id", Uuid(), primary_key=True),
    Column("home", Uuid()),
    Column("dead", Boolean(), nullable=False),
    *(Column(name, Boolean()) for name in ("a", "b")),
    *(Column(name, BigInteger()) for name in ("n", "m")),
    *(Column(name, String()) for name in ("word", "stage")),
    *(Column(name, Date()) for name in ("left_on", "birth_date", "birth_date_latest")),
)
ROWS = Rows(
    source=CITY,
    key=CITY.c.id,
    facts={name: Cell(CITY.c[name], always_known=name == "dead") for name in FACTS},
    households={"home": Shared(CITY.c.home, false())},
)
DIALECTS = pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()], ids=lambda d: d.name)


def compiled(*rules: str, rows: Rows = ROWS, **options: Any) -> Compiled:
    return compile_rules({f"r{n}": parse(rule, VOCABULARY) for n, rule in enumerate(rules)}, rows, **options)


def someone(key: str = "p", **facts: Value) -> Subject:
    return Subject(key, {n: Stated(v, date(2000, 1, 1), None, "", LEARNED) for n, v in facts.items()})


# --- what is written ----------------------------------------------------------------------------------------


@DIALECTS
def test_whatever_a_rule_says_is_a_parameter_and_never_text(dialect: Any) -> None:
    made = compiled(
        """word == "'; DROP TABLE city_of_test; --" || stage in ["primary"] """,
        "-(-42) - n > -43",
        'left_on > day("2026-01-31") || under(birth_date, 18) || n > param.limit || param.flag',
    )
    written = str(made.select.compile(dialect=dialect))
    for said in ("DROP", "--", "42", "43", "primary", "2026", "2008", "18"):
        assert said not in written
    handed = made.bind(AMOUNTS, TODAY).values()
    assert {"'; DROP TABLE city_of_test; --", -43, "primary", date(2008, 9, 16), 3} <= set(handed)


@DIALECTS
def test_the_database_is_left_no_arithmetic_with_days(dialect: Any) -> None:
    made = compiled("under(birth_date, 18, month_start) || under(birth_date, 25)", "today > until(a)")
    written = str(made.select.compile(dialect=dialect)).lower()
    words = ("interval ", "date(", "julianday(", "strftime(", "age(", "current_date", "extract(")
    assert not any(word in written for word in words)
    days = set(made.bind(AMOUNTS, date(2028, 2, 29)).values())
    assert {date(2010, 2, 1), date(2003, 2, 28), date(2028, 2, 29)} <= days


@DIALECTS
def test_what_is_always_known_needs_no_guard(dialect: Any) -> None:
    assert "IS NULL" not in str(compiled("dead ? 1 : 2").select.compile(dialect=dialect))
    assert "IS NULL" in str(compiled("a ? 1 : 2").select.compile(dialect=dialect))


def test_only_columns_that_the_rules_name_are_read() -> None:
    written = str(compiled("a || dead").select.compile(dialect=sqlite.dialect()))
    assert "city_of_test.a" in written
    assert "city_of_test.b" not in written
    assert "home" not in written


def test_households_of_one_kind_are_counted_once_for_all_rules() -> None:
    made = compiled("any_member(home, a)", "any_member(home, b) || count_members(home, a) > 1")
    assert str(made.select.compile(dialect=sqlite.dialect())).count("GROUP BY") == 1


def test_what_rules_have_in_common_is_worked_out_once() -> None:
    made = compiled("n * m > 100", "a && n * m > 100", "n * m > 100 ? b : a")
    assert str(made.select.compile(dialect=sqlite.dialect())).count(" * ") == 1


def test_a_statement_grows_with_the_rule_and_no_faster() -> None:
    def length(height: int) -> int:
        rule = "a"
        for level in range(height):
            rule = f"({rule}) ? b : n > {level}"
        return len(str(compiled(rule, name_missing=True).select))

    assert length(32) < 2.5 * length(16)


# --- what is refused ----------------------------------------------------------------------------------------


def test_a_fact_or_household_that_the_rows_lack_is_refused() -> None:
    poor = Rows(CITY, CITY.c.id, {"a": Cell(CITY.c.a)})
    with pytest.raises(Mismatch, match="the rows have no fact n"):
        compiled("n > 1", rows=poor)
    with pytest.raises(Mismatch, match="no kind of household home"):
        compiled("any_member(home, a)", rows=poor)


def test_an_amount_without_a_value_is_refused_on_that_day() -> None:
    with pytest.raises(Mismatch, match="limit has no value"):
        compiled("n > param.limit").bind({}, TODAY)


def test_more_missing_facts_than_a_number_has_bits_are_refused_only_if_they_are_to_be_named() -> None:
    facts = {f"f{n}": t.Fact(f"f{n}", t.BOOL) for n in range(70)}
    rows = Rows(CITY, CITY.c.id, {name: Cell(CITY.c.a) for name in facts})
    rule = {"rule": Tree(t.Or(tuple(facts.values())))}
    assert compile_rules(rule, rows)
    with pytest.raises(Mismatch, match="at most 62"):
        compile_rules(rule, rows, name_missing=True)


# --- what comes out -----------------------------------------------------------------------------------------


@pytest.fixture
async def connection(database_url: str) -> Any:
    engine = create_async_engine(database_url)
    async with engine.connect() as connection:
        await connection.run_sync(CITY.create)
        yield connection
    await engine.dispose()


def row(number: int, **facts: Any) -> dict[str, Any]:
    return dict.fromkeys(FACTS) | {"id": _id(number), "home": None, "dead": False} | facts


def _id(number: int) -> UUID:
    return UUID(int=number)


async def test_one_statement_serves_every_day_and_every_amount(connection: AsyncConnection) -> None:
    await connection.execute(CITY.insert(), [row(1, birth_date=date(2008, 9, 17), n=5)])
    made = compiled("under(birth_date, 18) && n > param.limit")
    said = {}
    for on, limit in ((TODAY, 4), (date(2026, 9, 17), 4), (TODAY, 5)):
        rows = await connection.execute(made.select, made.bind({"limit": limit}, on))
        said[on, limit] = rows.mappings().one()["r0"]
    assert list(said.values()) == [True, False, False]


async def test_a_column_says_granted_refused_undetermined_or_fault(connection: AsyncConnection) -> None:
    values = {1: 0, 2: 1, 3: None, 4: 2**63 - 1}
    await connection.execute(CITY.insert(), [row(number, n=n) for number, n in values.items()])
    made = compiled("n + 1 > 1", "n")
    answers = made.select.subquery()
    counted = await connection.execute(
        select(answers.c.r0__says, func.count()).group_by(answers.c.r0__says), made.bind(AMOUNTS, TODAY)
    )
    assert dict(counted.all()) == {
        Says.REFUSED: 1,
        Says.GRANTED: 1,
        Says.UNDETERMINED: 1,
        Says.FAULT: 1,
    }
    rows = await connection.execute(made.select, made.bind(AMOUNTS, TODAY))
    words = {r["r1"]: r["r1" + SAYS] for r in rows.mappings()}
    assert words == {0: "value", 1: "value", None: "undetermined", 2**63 - 1: "value"}


async def test_two_statements_become_one_by_their_prefixes(connection: AsyncConnection) -> None:
    people = [row(1, a=True, n=1, home=_id(9)), row(2, a=False, n=5, home=_id(9)), row(3, a=True)]
    await connection.execute(CITY.insert(), people)
    before, after = (
        compiled(rule, prefix=prefix)
        for rule, prefix in (("any_member(home, a) && n > 1", "o"), ("any_member(home, a) && n > 0", "n"))
    )
    old, new = before.select.subquery(), after.select.subquery()
    gained = select(old.c.key).join(new, new.c.key == old.c.key).where(old.c.r0__says != new.c.r0__says)
    rows = await connection.execute(gained, before.bind(AMOUNTS, TODAY) | after.bind(AMOUNTS, TODAY))
    assert rows.scalars().all() == [_id(1)]


async def test_the_last_day_there_is_is_one_day_however_it_was_written(connection: AsyncConnection) -> None:
    # A driver may write it as infinity, which is another day to the database than 9999-12-31.
    await connection.execute(
        CITY.insert(), [row(1, left_on=date.max), row(2), row(3, left_on=date(1, 1, 1)), row(4)]
    )
    for number, day in ((2, "9999-12-31"), (4, "0001-01-01")):
        ours = select(CITY.c.left_on).where(CITY.c.id == _id(number))
        written = CITY.update().where(CITY.c.id == _id(number)).values(left_on=text(f"'{day}'"))
        await connection.execute(written)
        assert (await connection.execute(ours)).scalar_one() == date.fromisoformat(day)
    made = compiled('left_on == day("9999-12-31")', 'left_on <= day("0001-01-01")')
    rows = await connection.execute(made.select.order_by("key"), made.bind(AMOUNTS, TODAY))
    assert [(r["r0"], r["r1"]) for r in rows.mappings()] == [
        (True, False),
        (True, False),
        (False, True),
        (False, True),
    ]


async def test_a_rule_as_wide_as_may_be_is_still_read(connection: AsyncConnection) -> None:
    await connection.execute(CITY.insert(), [row(1, n=1_199), row(2, n=-1), row(3)])
    anyof = Tree(t.Or(tuple(t.Compare("==", t.Fact("n", t.INT), t.Literal(t.INT, k)) for k in range(1_200))))
    among = Tree(t.OneOf(t.Fact("n", t.INT), tuple(t.Literal(t.INT, k) for k in range(1_200))))
    made = compile_rules({"any": anyof, "among": among}, ROWS)
    rows = await connection.execute(made.select.order_by("key"), made.bind({}, TODAY))
    assert [(r["any"], r["among"]) for r in rows.mappings()] == [(True, True), (False, False), (None, None)]


# --- one person ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("a || n > 3", Known(value=True)),
        ("b && n > 3", Unknown(frozenset({"b", "n"}))),
        ("n + 1", Unknown(frozenset({"n"}))),
        ("m * 9223372036854775807", Fault("overflow", "")),
        ("m * 9223372036854775807 > 0 || a", Known(value=True)),
        ("stage", Known("sek1")),
        ("until(a)", Known(date(9999, 12, 31))),
        ("birth_date_latest", Unknown(frozenset({"birth_date_latest"}))),
        ("any_member(home, a)", Unknown(frozenset({"home"}))),
        ("2 * 3", Known(6)),
        ("-(-9223372036854775808)", Fault("overflow", "")),
        # What is the same for everybody may still depend on the day.
        ('m + (today > day("2020-01-01") ? 9223372036854775807 : 0)', Fault("overflow", "")),
        ('m + (today > day("2020-01-01") ? 0 : 9223372036854775807)', Known(2)),
    ],
)
def test_one_person_is_answered_as_by_the_interpreter(rule: str, expected: object) -> None:
    tree, who = parse(rule, VOCABULARY), someone(a=True, m=2, stage="sek1")
    said = answer(tree, who, AMOUNTS, TODAY)
    assert said == evaluate(tree, who, AMOUNTS, TODAY)
    # A fault is as good as another: SQL does not tell why there is no result.
    assert said == expected


def test_one_person_is_answered_with_those_they_live_with() -> None:
    me, other = (
        someone("p", a=False, birth_date=date(2010, 1, 1)),
        someone("q", a=True, birth_date=date(2012, 1, 1)),
    )
    family = Subject(me.key, me.facts, {"home": (me, other)})
    for rule, expected in (
        ("any_member(home, a)", True),
        ("count_members(home, a)", 1),
        ("rank_among(home, a)", 0),
        ("rank_among(home, !a || under(birth_date, 18))", 1),
    ):
        assert answer(parse(rule, VOCABULARY), family, AMOUNTS, TODAY) == Known(expected)


def test_persons_in_a_table_of_their_own_know_who_is_alone() -> None:
    persons = Persons({"a": t.BOOL}, ["home"])
    rows = persons.rows_of([someone("p", a=True), Subject("q", {}, {"home": ()})])
    assert [(r["key"], r["h0"], r["h0_alone"]) for r in rows] == [("p", None, False), ("q", None, True)]
